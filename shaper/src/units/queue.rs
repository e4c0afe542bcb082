//! How long a queue may get.

use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::delay::Delay;
use super::error::{Error, Quantity};
use super::size::Size;
use super::text::serde_as_text;

/// The bound of a bottleneck's queue: a waiting time, a number of bytes, or of full-size packets.
///
/// The unit tells which: `100ms` is a [`Delay`], `64kb` is a [`Size`], `100p` is 100 packets.
///
/// ```
/// use shaper::units::{Delay, Queue, Size};
///
/// assert_eq!("100ms".parse(), Ok(Queue::Time(Delay::from_ms(100))));
/// assert_eq!("64kb".parse(), Ok(Queue::Bytes(Size::from_bytes(65_536))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// No packet waits longer than this, its own time on the wire included.
    Time(Delay),
    /// No more than this many bytes wait, those on the wire included.
    Bytes(Size),
    /// Room for so many full-size packets, whatever their number if they are smaller; the one on the wire included.
    Packets(u32),
}

impl FromStr for Queue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let decimal = Decimal::split(text, Quantity::Queue)?;
        if decimal.unit().eq_ignore_ascii_case("m") {
            return Err(
                decimal.ambiguous("`m` could be milliseconds, minutes or megabytes", &["ms", "min", "mb"])
            );
        }
        if ["p", "packet", "packets"].iter().any(|unit| decimal.unit().eq_ignore_ascii_case(unit)) {
            let packets = decimal.scale(1, 1, "1p", u64::from(u32::MAX))?;
            return Ok(Self::Packets(u32::try_from(packets).unwrap_or(u32::MAX)));
        }
        let time = Delay::from_decimal(&decimal).map(|time| time.map(Self::Time));
        time.or_else(|| Size::from_decimal(&decimal).map(|size| size.map(Self::Bytes)))
            .unwrap_or_else(|| Err(decimal.unknown_unit()))
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Bytes(size) => size.fmt(f),
            Self::Packets(packets) => f.pad(&format!("{packets}p")),
        }
    }
}

serde_as_text!(Queue, Quantity::Queue);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_queue_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`64kb`"]),
            ("100", ["`100` has no unit", "`100ms` or `100kb`"]),
            ("1m", ["ambiguous", "`1ms` or `1min` or `1mb`"]),
            ("5q", ["`q` is no unit", "`100ms`"]),
            ("-64kb", ["negative", "`64kb`"]),
        ] {
            let error = text.parse::<Queue>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(n: u64) {
            let packets = Queue::Packets(n as u32);
            for queue in [Queue::Time(Delay::from_ns(n)), Queue::Bytes(Size::from_bytes(n)), packets] {
                prop_assert_eq!(queue.to_string().parse(), Ok(queue));
            }
        }
    }
}
