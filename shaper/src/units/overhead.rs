//! Bytes that a link takes beyond those of the packet.

use std::fmt;
use std::str::FromStr;

use super::decimal::{Decimal, quote};
use super::error::{Error, Quantity};
use super::size::Size;
use super::text::serde_as_text;

/// What a packet takes on a link beyond its own bytes, and the cells that it is cut into.
///
/// Text is `PACKET[,CELL[,CELL_PACKET]]`, each a [`Size`] of its own; the overheads may be negative. `10b,48b,5b` is ATM
/// with 10 bytes of encapsulation.
///
/// ```
/// use shaper::units::Overhead;
///
/// assert_eq!("24b".parse(), Ok(Overhead { packet: 24, cell: 0, cell_packet: 0 }));
/// assert_eq!("10b,48b,5b".parse(), Ok(Overhead { packet: 10, cell: 48, cell_packet: 5 }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overhead {
    /// Bytes that each packet takes beyond its own; fewer than its own where negative.
    pub packet: i32,
    /// Bytes of a packet that a cell carries, the last one filled up; zero: the link has no cells.
    pub cell: u32,
    /// Bytes that each cell takes beyond those it carries.
    pub cell_packet: i32,
}

impl Overhead {
    /// No overhead.
    pub const NONE: Self = Self { packet: 0, cell: 0, cell_packet: 0 };
    /// The least overhead of a packet or a cell, in bytes.
    pub const BYTES_MIN: i32 = -100;
    /// The greatest overhead of a packet or a cell, in bytes.
    pub const BYTES_MAX: i32 = 1_000;
    /// The greatest cell, in bytes.
    pub const CELL_MAX: u32 = 65_535;

    /// The same overhead, if each part is in its range and a cell takes at least one byte.
    ///
    /// # Errors
    ///
    /// The first part that is out of its range.
    pub fn checked(self) -> Result<Self, Error> {
        let Self { packet, cell, cell_packet } = self;
        Self::of_bytes(packet.into(), (cell != 0).then_some(cell.into()), cell_packet.into())
    }

    fn of_bytes(packet: i64, cell: Option<i64>, cell_packet: i64) -> Result<Self, Error> {
        let (least, most) = (Self::BYTES_MIN.into(), Self::BYTES_MAX.into());
        let packet = within(packet, "the overhead of a packet", least, most)?;
        let Some(cell) = cell else {
            let cell_packet = within(cell_packet, "the overhead of a cell without cells", 0, 0)?;
            return Ok(Self { packet, cell: 0, cell_packet });
        };
        let cell = within(cell, "a cell", 1, Self::CELL_MAX.into())?;
        let cell_packet =
            within(cell_packet, "the overhead of a cell", least.max(1 - i64::from(cell)), most)?;
        Ok(Self { packet, cell, cell_packet })
    }
}

/// `bytes` as an integer of its part, from `least` to `most`.
fn within<T: TryFrom<i64>>(bytes: i64, what: &'static str, least: i64, most: i64) -> Result<T, Error> {
    let legal = (least..=most).contains(&bytes).then(|| T::try_from(bytes).ok()).flatten();
    let text = |bytes: i64| format!("{bytes}b");
    legal.ok_or_else(|| Error::OutOfRange { value: text(bytes), what, least: text(least), most: text(most) })
}

/// Reads a size, with or without a minus sign.
fn bytes(text: &str) -> Result<i64, Error> {
    let (decimal, negative) = Decimal::split_signed(text, Quantity::Overhead)?;
    let size = Size::from_decimal(&decimal).unwrap_or_else(|| Err(decimal.unknown_unit()))?;
    let bytes = i64::try_from(size.bytes()).unwrap_or(i64::MAX);
    Ok(if negative { -bytes } else { bytes })
}

impl FromStr for Overhead {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split(',').collect();
        match parts[..] {
            [packet] => Self::of_bytes(bytes(packet)?, None, 0),
            [packet, cell] => Self::of_bytes(bytes(packet)?, Some(bytes(cell)?), 0),
            [packet, cell, cell_packet] => {
                Self::of_bytes(bytes(packet)?, Some(bytes(cell)?), bytes(cell_packet)?)
            }
            _ => Err(Error::NotANumber { value: quote(text), quantity: Quantity::Overhead }),
        }
    }
}

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}b", self.packet);
        if self.cell != 0 {
            text.push_str(&format!(",{}b", self.cell));
        }
        if self.cell_packet != 0 {
            text.push_str(&format!(",{}b", self.cell_packet));
        }
        f.pad(&text)
    }
}

serde_as_text!(Overhead, Quantity::Overhead);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_one_to_three_sizes() {
        for (text, packet, cell, cell_packet) in [
            ("24b", 24, 0, 0),
            ("-14b", -14, 0, 0),
            ("0b", 0, 0, 0),
            ("-0b", 0, 0, 0),
            ("10b,48b", 10, 48, 0),
            ("10b,48b,5b", 10, 48, 5),
            ("-100b,65535b,-100b", -100, 65_535, -100),
            ("0b,1kb", 0, 1_024, 0),
            ("1000b,2b,-1b", 1_000, 2, -1),
        ] {
            assert_eq!(text.parse(), Ok(Overhead { packet, cell, cell_packet }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_overhead_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`24b`"]),
            ("24", ["`24` has no unit: write `24b`", "`10b,48b,5b`"]),
            ("-14", ["`-14` has no unit: write `-14b`", "`10b,48b,5b`"]),
            ("10b,48,5b", ["`48` has no unit: write `48b`", "`10b,48b,5b`"]),
            ("24ms", ["`ms` is no unit", "`24b`"]),
            ("24b,", ["empty", "`10b,48b,5b`"]),
            (",48b", ["empty", "`10b,48b,5b`"]),
            ("1b,2b,3b,4b", ["`1b,2b,3b,4b` is not an overhead", "`10b,48b,5b`"]),
            ("--5b", ["`--5b` is not an overhead", "`24b`"]),
            ("1001b", ["`1001b` is out of range for the overhead of a packet", "from -100b to 1000b"]),
            ("-101b", ["`-101b` is out of range", "from -100b to 1000b"]),
            ("1gb", ["`1073741824b` is out of range", "from -100b to 1000b"]),
            ("10b,0b", ["`0b` is out of range for a cell", "from 1b to 65535b"]),
            ("10b,-48b", ["`-48b` is out of range for a cell", "from 1b to 65535b"]),
            ("10b,64kb", ["`65536b` is out of range for a cell", "from 1b to 65535b"]),
            ("10b,48b,-48b", ["`-48b` is out of range for the overhead of a cell", "from -47b to 1000b"]),
            ("10b,48b,1001b", ["`1001b` is out of range for the overhead of a cell", "from -47b to 1000b"]),
            ("10b;48b", ["`b;48b` is no unit", "`10b,48b,5b`"]),
        ] {
            let error = text.parse::<Overhead>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
        assert!(Overhead { packet: 1, cell: 0, cell_packet: 5 }.checked().is_err());
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(packet in -100..=1_000i32, cell in 0..=65_535u32, cell_packet in -100..=1_000i32) {
            let overhead = Overhead { packet, cell, cell_packet };
            if overhead.checked().is_ok() {
                prop_assert_eq!(overhead.to_string().parse(), Ok(overhead));
            }
        }

        #[test]
        fn what_it_reads_is_legal(text in "-?[0-9]{1,5}b(,[0-9]{1,5}b(,-?[0-9]{1,4}b)?)?") {
            if let Ok(overhead) = text.parse::<Overhead>() {
                prop_assert_eq!(overhead.checked(), Ok(overhead));
            }
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Overhead>();
        }
    }
}
