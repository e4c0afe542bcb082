//! Losses by the packet's number.

use std::fmt;
use std::str::FromStr;

use crate::units::{self, Quantity, quote, serde_as_text};

/// Which packets are lost, by number, again and again: `0010` loses the third of every four.
///
/// ```
/// use shaper::shape::Pattern;
///
/// let pattern: Pattern = "0010".parse().unwrap();
/// assert_eq!((pattern.bits(), pattern.length()), (0b0100, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    bits: u64,
    length: u32,
}

impl Pattern {
    /// The longest pattern, in packets.
    pub const LENGTH_MAX: u32 = u64::BITS;

    /// The pattern of `length` packets that loses packet *n* where bit *n* of `bits` is set; `None` if it has no packet,
    /// more than [`Self::LENGTH_MAX`], or a bit beyond its end.
    #[must_use]
    pub fn from_bits(bits: u64, length: u32) -> Option<Self> {
        let legal = (1..=Self::LENGTH_MAX).contains(&length) && bits.checked_shr(length).unwrap_or(0) == 0;
        legal.then_some(Self { bits, length })
    }

    /// Packet *n* is lost where bit *n* modulo [`Self::length`] is set.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// Packets until the pattern begins again.
    #[must_use]
    pub fn length(self) -> u32 {
        self.length
    }
}

impl FromStr for Pattern {
    type Err = units::Error;

    fn from_str(text: &str) -> Result<Self, units::Error> {
        let quantity = Quantity::Pattern;
        if text.is_empty() {
            return Err(units::Error::Empty { quantity });
        }
        let refused = || units::Error::NotANumber { value: quote(text), quantity };
        if text.len() > Self::LENGTH_MAX as usize {
            return Err(refused());
        }
        let mut pattern = Self { bits: 0, length: 0 };
        for digit in text.bytes() {
            let lost = match digit {
                b'0' => 0,
                b'1' => 1,
                _ => return Err(refused()),
            };
            pattern.bits |= lost << pattern.length;
            pattern.length += 1;
        }
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (0..self.length).map(|n| if self.bits >> n & 1 == 1 { '1' } else { '0' });
        f.pad(&digits.collect::<String>())
    }
}

serde_as_text!(Pattern, Quantity::Pattern);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_pattern_and_says_what_would_be() {
        for (text, words) in [
            ("", ["a loss pattern cannot be empty", "`0010`"]),
            ("0120", ["`0120` is not a loss pattern", "1 to 64 digits"]),
            ("0 1", ["`0 1` is not a loss pattern", "`0010`"]),
            ("１", ["`１` is not a loss pattern", "`0010`"]),
            ("-1", ["`-1` is not a loss pattern", "`0010`"]),
            ("50%", ["`50%` is not a loss pattern", "`0010`"]),
            (&"01".repeat(33), ["01…` is not a loss pattern", "1 to 64 digits"]),
        ] {
            let error = text.parse::<Pattern>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    #[test]
    fn has_no_bit_beyond_its_end() {
        assert_eq!(Pattern::from_bits(0b100, 3).map(|pattern| pattern.to_string()), Some("001".to_owned()));
        for (bits, length) in [(0b1000, 3), (0, 0), (1, 0), (0, 65)] {
            assert_eq!(Pattern::from_bits(bits, length), None);
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(text in "[01]{1,64}") {
            let pattern: Pattern = text.parse().unwrap();
            prop_assert_eq!(Pattern::from_bits(pattern.bits(), pattern.length()), Some(pattern));
            prop_assert_eq!(pattern.to_string(), text);
        }
    }
}
