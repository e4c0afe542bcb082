//! Lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::decimal::{Decimal, fixed_point};
use super::error::{Error, Quantity};
use super::text::serde_as_text;

/// A length of time in nanoseconds, from 0 to 2^64 − 1 (584 years).
///
/// Reads tc's units (`ns`, `us`, `ms`, `s` and their long forms, in either case) and `min` and `h`; prints as tc
/// does, in the largest unit of which there is at least one.
///
/// ```
/// use shaper::units::Delay;
///
/// assert_eq!("1.5s".parse(), Ok(Delay::from_ms(1500)));
/// assert_eq!(Delay::from_us(1500).to_string(), "1.5ms");
/// assert!("100".parse::<Delay>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delay {
    ns: u64,
}

impl Delay {
    /// No time at all.
    pub const ZERO: Self = Self::from_ns(0);
    /// The longest time.
    pub const MAX: Self = Self::from_ns(u64::MAX);

    /// A time of `ns` nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self { ns }
    }

    /// A time of `us` microseconds; the longest time where that is longer.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self::from_ns(us.saturating_mul(1_000))
    }

    /// A time of `ms` milliseconds; the longest time where that is longer.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self::from_ns(ms.saturating_mul(1_000_000))
    }

    /// A time of `secs` seconds; the longest time where that is longer.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_ns(secs.saturating_mul(1_000_000_000))
    }

    /// The time in nanoseconds.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.ns
    }

    /// Says whether this is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.ns == 0
    }

    /// Nanoseconds in one `unit`.
    fn ns_per(unit: &str) -> Option<u64> {
        Some(match unit.to_ascii_lowercase().as_str() {
            "ns" | "nsec" | "nsecs" => 1,
            "us" | "usec" | "usecs" => 1_000,
            "ms" | "msec" | "msecs" => 1_000_000,
            "s" | "sec" | "secs" => 1_000_000_000,
            "min" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return None,
        })
    }

    /// The time that `decimal` is, if its unit is one of time.
    pub(super) fn from_decimal(decimal: &Decimal<'_>) -> Option<Result<Self, Error>> {
        Self::ns_per(decimal.unit()).map(|ns| decimal.scale(ns, 1, "1ns", Self::MAX).map(Self::from_ns))
    }
}

impl FromStr for Delay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let decimal = Decimal::split(text, Quantity::Time)?;
        Self::from_decimal(&decimal).unwrap_or_else(|| {
            Err(match decimal.unit() {
                "m" | "M" => decimal.ambiguous("`m` could be minutes or milliseconds", &["ms", "min"]),
                _ => decimal.unknown_unit(),
            })
        })
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decimals, unit) = match self.ns {
            1_000_000_000.. => (9, "s"),
            1_000_000.. => (6, "ms"),
            1_000.. => (3, "us"),
            _ => (0, "ns"),
        };
        f.pad(&(fixed_point(self.ns, decimals) + unit))
    }
}

impl From<Delay> for Duration {
    fn from(delay: Delay) -> Self {
        Self::from_nanos(delay.ns)
    }
}

serde_as_text!(Delay, Quantity::Time);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_spellings_of_tc() {
        for (text, ns) in [
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("250us", 250_000),
            ("20ns", 20),
            ("0ms", 0),
            (".5s", 500_000_000),
            ("007ms", 7_000_000),
            ("1MSEC", 1_000_000),
            ("2secs", 2_000_000_000),
            ("3usecs", 3_000),
            ("4nsec", 4),
            ("2min", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0.30000000000000004s", 300_000_000),
            ("0.29999999999999998s", 300_000_000),
            ("1.4ns", 1),
            ("1.5ns", 2),
            ("18446744073709551615ns", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Delay::from_ns(ns)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`100ms`"]),
            ("100", ["`100` has no unit", "`100ms` or `100us`"]),
            ("-5ms", ["`-5ms` is negative", "`100ms`"]),
            ("ms", ["`ms` is not a time", "`100ms`"]),
            ("NaNms", ["`NaNms` is not a time", "`100ms`"]),
            ("infs", ["`infs` is not a time", "`100ms`"]),
            ("5.ms", ["`5.ms` is not a time", "`100ms`"]),
            ("+5ms", ["`+5ms` is not a time", "`100ms`"]),
            ("１００ms", ["`１００ms` is not a time", "`100ms`"]),
            (" 5ms", ["` 5ms` is not a time", "`100ms`"]),
            ("5 ms", ["` ms` is no unit", "`ms`"]),
            ("1e3ms", ["`e3ms` is no unit", "`ms`"]),
            ("1,5s", ["`,5s` is no unit", "`1.5s`"]),
            ("1.2.3s", ["`.3s` is no unit", "`1.5s`"]),
            ("5m", ["`5m` is ambiguous", "`5ms` or `5min`"]),
            ("10mbit", ["`mbit` is no unit", "`100ms`"]),
            ("0.1ns", ["`0.1ns` is too small", "1ns"]),
            ("18446744073709551616ns", ["too large", "18446744073.709551615s"]),
            ("99999999999999999999999999999999999999999999s", ["too large", "999…`"]),
        ] {
            let error = text.parse::<Delay>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    #[test]
    fn prints_as_tc_does() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1us"),
            (1_500_000, "1.5ms"),
            (100_000_000, "100ms"),
            (1_000_000_001, "1.000000001s"),
            (3_600_000_000_000, "3600s"),
        ] {
            assert_eq!(Delay::from_ns(ns).to_string(), text);
        }
        assert_eq!(format!("{:>8}|{:<8}|", Delay::from_ms(5), Delay::from_ms(5)), "     5ms|5ms     |");
    }

    #[test]
    fn is_a_string_in_json_and_nothing_else() {
        assert_eq!(serde_json::to_string(&Delay::from_ms(100)).unwrap(), "\"100ms\"");
        assert_eq!(serde_json::from_str::<Delay>("\"100ms\"").unwrap(), Delay::from_ms(100));
        let error = serde_json::from_str::<Delay>("100").unwrap_err().to_string();
        assert!(error.contains("integer `100`") && error.contains("such as `100ms`"), "{error}");
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(ns: u64) {
            let delay = Delay::from_ns(ns);
            prop_assert_eq!(delay.to_string().parse(), Ok(delay));
            let json = serde_json::to_string(&delay).unwrap();
            prop_assert_eq!(serde_json::from_str::<Delay>(&json).unwrap(), delay);
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Delay>();
        }

        #[test]
        fn never_panics_on_numbers(text in "-?[0-9]{0,45}[.]?[0-9]{0,45}(ns|us|ms|s|min|h|m|)") {
            let _ = text.parse::<Delay>();
        }
    }
}
