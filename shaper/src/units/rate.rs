//! Bits and bytes per second.

use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::delay::Delay;
use super::error::{Error, Quantity};
use super::size::Size;
use super::text::serde_as_text;

/// A rate in whole bytes per second, the step of the kernel's own rates.
///
/// Reads tc's bit rates (`bit`, `kbit`, `mbit`, `gbit`, `tbit`, 1000-based; `Kibit`, `Mibit`, `Gibit`, `Tibit`,
/// 1024-based; in either case) and byte rates with a slash (`B/s`, `kB/s`, `MiB/s`; the `B` is a capital). `mbps` and
/// its like are refused, because they are bytes to tc and bits to most other tools. Prints as tc does, in the largest
/// unit of which it is a whole number.
///
/// ```
/// use shaper::units::Rate;
///
/// let rate: Rate = "10mbit".parse().unwrap();
/// assert_eq!(rate.bytes_per_sec(), 1_250_000);
/// assert_eq!(rate.to_string(), "10Mbit");
/// assert_eq!("1.25MB/s".parse(), Ok(rate));
/// assert!("10mbps".parse::<Rate>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    bytes_per_sec: u64,
}

impl Rate {
    /// The highest rate.
    pub const MAX: Self = Self::from_bytes_per_sec(u64::MAX);

    /// A rate of `bytes_per_sec` bytes per second.
    #[must_use]
    pub const fn from_bytes_per_sec(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec }
    }

    /// The rate in bytes per second.
    #[must_use]
    pub const fn bytes_per_sec(self) -> u64 {
        self.bytes_per_sec
    }

    /// The rate in bits per second.
    #[must_use]
    pub const fn bits_per_sec(self) -> u128 {
        self.bytes_per_sec as u128 * 8
    }

    /// The time that `size` takes at this rate, rounded up; `None` at rate zero and beyond [`Delay::MAX`].
    #[must_use]
    pub fn time_for(self, size: Size) -> Option<Delay> {
        let byte_ns = u128::from(size.bytes()) * 1_000_000_000;
        (self.bytes_per_sec > 0)
            .then(|| byte_ns.div_ceil(u128::from(self.bytes_per_sec)))
            .and_then(|ns| u64::try_from(ns).ok())
            .map(Delay::from_ns)
    }

    /// Bits per second in one `unit`.
    fn bits_per(unit: &str) -> Option<u64> {
        if let Some(prefix) = unit.strip_suffix("B/s") {
            return Some(8 * prefix_factor(&prefix.to_ascii_lowercase())?);
        }
        prefix_factor(unit.to_ascii_lowercase().strip_suffix("bit")?)
    }
}

/// What `prefix`, in lower case, multiplies a unit by.
fn prefix_factor(prefix: &str) -> Option<u64> {
    Some(match prefix {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    })
}

/// The bit and the byte rate that `unit` could mean, for those that do not say which.
fn ambiguous_units(unit: &str) -> Option<[&'static str; 2]> {
    let unit = unit.to_ascii_lowercase();
    let prefix = ["bps", "b/s"].iter().find_map(|suffix| unit.strip_suffix(suffix)).unwrap_or(&unit);
    Some(match prefix {
        "" => ["bit", "B/s"],
        "k" => ["kbit", "kB/s"],
        "m" => ["mbit", "MB/s"],
        "g" => ["gbit", "GB/s"],
        "t" => ["tbit", "TB/s"],
        "ki" => ["Kibit", "KiB/s"],
        "mi" => ["Mibit", "MiB/s"],
        "gi" => ["Gibit", "GiB/s"],
        "ti" => ["Tibit", "TiB/s"],
        _ => return None,
    })
}

impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let decimal = Decimal::split(text, Quantity::Rate)?;
        if let Some(bits) = Self::bits_per(decimal.unit()) {
            return decimal.scale(bits, 8, "8bit", Self::MAX).map(Self::from_bytes_per_sec);
        }
        Err(match ambiguous_units(decimal.unit()) {
            Some(units) => decimal.ambiguous(
                "bits or bytes? (tc takes `mbps` as megabytes per second, most others as megabits)",
                &units,
            ),
            None => decimal.unknown_unit(),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.bits_per_sec();
        let mut unit = "bit";
        for larger in ["Kbit", "Mbit", "Gbit", "Tbit"] {
            if number == 0 || !number.is_multiple_of(1_000) {
                break;
            }
            number /= 1_000;
            unit = larger;
        }
        f.pad(&format!("{number}{unit}"))
    }
}

serde_as_text!(Rate, Quantity::Rate);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_bits_and_bytes_per_second() {
        for (text, bits) in [
            ("10mbit", 10_000_000),
            ("10Mbit", 10_000_000),
            ("1.5gbit", 1_500_000_000),
            ("64kbit", 64_000),
            ("64Kibit", 65_536),
            ("1mibit", 1 << 20),
            ("2Gibit", 2 << 30),
            ("1tbit", 1_000_000_000_000),
            ("8000bit", 8_000),
            ("0bit", 0),
            ("1MB/s", 8_000_000),
            ("1.5kB/s", 12_000),
            ("1KiB/s", 8_192),
            ("3B/s", 24),
        ] {
            assert_eq!(text.parse::<Rate>().map(Rate::bits_per_sec), Ok(bits), "{text}");
        }
    }

    #[test]
    fn rounds_to_whole_bytes() {
        for (text, bytes) in [("12bit", 2), ("11bit", 1), ("4bit", 1), ("1.0000001mbit", 125_000)] {
            assert_eq!(text.parse(), Ok(Rate::from_bytes_per_sec(bytes)), "{text}");
        }
        assert!("3bit".parse::<Rate>().unwrap_err().to_string().contains("too small"));
    }

    #[test]
    fn refuses_what_is_no_rate_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`10mbit`"]),
            ("10", ["`10` has no unit", "`10mbit` or `10kbit`"]),
            ("8mbps", ["`8mbps` is ambiguous", "`8mbit` or `8MB/s`"]),
            ("8Mbps", ["bits or bytes?", "`8mbit` or `8MB/s`"]),
            ("64kbps", ["ambiguous", "`64kbit` or `64kB/s`"]),
            ("64bps", ["ambiguous", "`64bit` or `64B/s`"]),
            ("1gbps", ["ambiguous", "`1gbit` or `1GB/s`"]),
            ("1mibps", ["ambiguous", "`1Mibit` or `1MiB/s`"]),
            ("1Mb/s", ["ambiguous", "`1mbit` or `1MB/s`"]),
            ("1mb/s", ["ambiguous", "`1mbit` or `1MB/s`"]),
            ("10m", ["ambiguous", "`10mbit` or `10MB/s`"]),
            ("10MB", ["`MB` is no unit", "`1MB/s`"]),
            ("-1mbit", ["`-1mbit` is negative", "`10mbit`"]),
            ("fast", ["`fast` is not a rate", "`10mbit`"]),
            ("100ms", ["`ms` is no unit", "`10mbit`"]),
            ("999999999999999tbit", ["too large", "147573952589676412920bit"]),
        ] {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    #[test]
    fn prints_as_tc_does() {
        for (bytes, text) in [
            (0, "0bit"),
            (1, "8bit"),
            (1_000, "8Kbit"),
            (1_250_000, "10Mbit"),
            (187_500_000, "1500Mbit"),
            (12_500_000_000, "100Gbit"),
            (131_072, "1048576bit"),
        ] {
            assert_eq!(Rate::from_bytes_per_sec(bytes).to_string(), text);
        }
    }

    #[test]
    fn time_is_rounded_up() {
        let rate = Rate::from_bytes_per_sec(3);
        assert_eq!(rate.time_for(Size::from_bytes(1)), Some(Delay::from_ns(333_333_334)));
        assert_eq!(rate.time_for(Size::from_bytes(0)), Some(Delay::ZERO));
        assert_eq!(Rate::default().time_for(Size::from_bytes(1)), None);
        assert_eq!(rate.time_for(Size::from_bytes(u64::MAX)), None);
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(bytes_per_sec: u64, thousands in 0u32..5) {
            for bytes_per_sec in [bytes_per_sec, bytes_per_sec >> 24 << 3, bytes_per_sec % 1000 * 125 * 1000u64.pow(thousands)] {
                let rate = Rate::from_bytes_per_sec(bytes_per_sec);
                prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }

        #[test]
        fn never_panics(text in "-?[0-9]{0,45}[.]?[0-9]{0,45}([kmgtKMGT]i?)?(bit|B/s|bps|)") {
            let _ = text.parse::<Rate>();
        }
    }
}
