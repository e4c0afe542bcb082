//! Bytes.

use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::error::{Error, Quantity};
use super::text::serde_as_text;

/// A number of bytes, from 0 to 2^64 − 1.
///
/// Reads and prints tc's sizes, in either case: `b` is a byte, `k`, `kb` and `KiB` are 1024 bytes, and likewise for
/// `m` and `g`. There are no 1000-based sizes, because tc has none.
///
/// ```
/// use shaper::units::Size;
///
/// let size: Size = "64kb".parse().unwrap();
/// assert_eq!(size.bytes(), 65_536);
/// assert_eq!(size.to_string(), "64Kb");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    bytes: u64,
}

impl Size {
    /// The largest size.
    pub const MAX: Self = Self::from_bytes(u64::MAX);

    /// A size of `bytes` bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// Bytes in one `unit`.
    fn bytes_per(unit: &str) -> Option<u64> {
        Some(match unit.to_ascii_lowercase().as_str() {
            "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return None,
        })
    }

    /// The size that `decimal` is, if its unit is one of size.
    pub(super) fn from_decimal(decimal: &Decimal<'_>) -> Option<Result<Self, Error>> {
        Self::bytes_per(decimal.unit())
            .map(|bytes| decimal.scale(bytes, 1, "1b", Self::MAX).map(Self::from_bytes))
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let decimal = Decimal::split(text, Quantity::Size)?;
        Self::from_decimal(&decimal).unwrap_or_else(|| Err(decimal.unknown_unit()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (factor, unit) = match self.bytes {
            0 => (1, "b"),
            n if n.is_multiple_of(1 << 30) => (1 << 30, "Gb"),
            n if n.is_multiple_of(1 << 20) => (1 << 20, "Mb"),
            n if n.is_multiple_of(1 << 10) => (1 << 10, "Kb"),
            _ => (1, "b"),
        };
        f.pad(&format!("{}{unit}", self.bytes / factor))
    }
}

serde_as_text!(Size, Quantity::Size);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_spellings_of_tc() {
        for (text, bytes) in [
            ("1500b", 1_500),
            ("64k", 65_536),
            ("64kb", 65_536),
            ("64KB", 65_536),
            ("64KiB", 65_536),
            ("1mb", 1 << 20),
            ("1.5MiB", 3 << 19),
            ("2g", 2 << 30),
            ("0b", 0),
        ] {
            assert_eq!(text.parse(), Ok(Size::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`64kb`"]),
            ("64", ["`64` has no unit", "`64kb` or `64b`"]),
            ("64kbit", ["`kbit` is no unit", "`64kb`"]),
            ("-1kb", ["negative", "`64kb`"]),
            ("0.1b", ["too small", "1b"]),
            ("99999999999gb", ["too large", "18446744073709551615b"]),
        ] {
            let error = text.parse::<Size>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(bytes: u64, shift in 0u32..40) {
            let size = Size::from_bytes(bytes >> shift << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
