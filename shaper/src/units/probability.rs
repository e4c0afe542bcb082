//! How often something happens.

use std::fmt;
use std::str::FromStr;

use shaper_common::probability::CERTAIN;

use super::decimal::{Decimal, fixed_point};
use super::error::{Error, Quantity};
use super::text::serde_as_text;

/// 1 in 2^32nds.
const ONE: u64 = 1 << 32;
/// With so many decimals of a percent, neighbours of 2^-32 never print alike.
const DECIMALS_MOST: u32 = 8;

/// A probability in steps of 2^-32, from never to always.
///
/// Reads and prints percentages. A bare number is refused, because `0.5` could be half of all or half of a percent.
///
/// ```
/// use shaper::units::Probability;
///
/// let half: Probability = "50%".parse().unwrap();
/// assert_eq!(half.as_2_32nds(), 1 << 31);
/// assert_eq!(half.to_string(), "50%");
/// assert!("0.5".parse::<Probability>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability {
    /// As the kernel program has it: `u32::MAX` is always.
    steps: u32,
}

impl Probability {
    /// It does not happen.
    pub const NEVER: Self = Self::from_2_32nds(0);
    /// It always happens.
    pub const CERTAIN: Self = Self::from_2_32nds(CERTAIN);

    /// A probability of `steps` 2^32nds; `u32::MAX` is always.
    #[must_use]
    pub const fn from_2_32nds(steps: u32) -> Self {
        Self { steps }
    }

    /// The probability in 2^32nds; `u32::MAX` is always.
    #[must_use]
    pub const fn as_2_32nds(self) -> u32 {
        self.steps
    }

    /// The probability as a fraction of 1, for comparison with what was measured.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.exact() as f64 / ONE as f64
    }

    /// Says whether it does not happen.
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.steps == 0
    }

    /// The probability that it does not happen.
    #[must_use]
    pub fn complement(self) -> Self {
        Self::nearest(ONE - self.exact())
    }

    /// Says whether the two can be those of outcomes that exclude each other: together at most 100 %.
    #[must_use]
    pub fn exclude_each_other(self, other: Self) -> bool {
        self.exact() + other.exact() <= ONE
    }

    /// The probability in 2^32nds, of which 2^32 is always.
    fn exact(self) -> u64 {
        if self == Self::CERTAIN { ONE } else { u64::from(self.steps) }
    }

    fn nearest(exact: u64) -> Self {
        Self::from_2_32nds(u32::try_from(exact).unwrap_or(CERTAIN))
    }
}

impl FromStr for Probability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let decimal = Decimal::split(text, Quantity::Probability)?;
        if decimal.unit() != "%" {
            return Err(decimal.unknown_unit());
        }
        if decimal.exceeds(100) {
            return Err(decimal.too_large(Self::CERTAIN));
        }
        decimal.scale(ONE / 4, 25, "0.00000002%", Self::CERTAIN).map(Self::nearest)
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = u128::from(ONE);
        let shortest = (0..=DECIMALS_MOST).find_map(|decimals| {
            let hundred = 100 * 10u128.pow(decimals);
            let printed = (u128::from(self.exact()) * hundred + one / 2) / one;
            let read = (printed * one + hundred / 2) / hundred;
            let same = u64::try_from(read).is_ok_and(|read| Self::nearest(read) == *self);
            same.then(|| fixed_point(u64::try_from(printed).unwrap_or(0), decimals))
        });
        f.pad(&(shortest.unwrap_or_default() + "%"))
    }
}

serde_as_text!(Probability, Quantity::Probability);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_percentages() {
        for (text, steps) in [
            ("0%", 0),
            ("0.0%", 0),
            ("100%", u32::MAX),
            ("100.000%", u32::MAX),
            ("50%", 1 << 31),
            (".5%", 21_474_836),
            ("0.1%", 4_294_967),
            ("1%", 42_949_673),
            ("99%", 4_252_017_623),
            ("0.00000002%", 1),
            ("0.000000011641532183%", 1),
            ("99.99999999%", u32::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Probability::from_2_32nds(steps)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_percentage_and_says_what_would_be() {
        for (text, words) in [
            ("", ["empty", "`0.1%`"]),
            ("0.1", ["`0.1` has no unit: write `0.1%`", "from 0 to 100 and `%`"]),
            ("1", ["`1` has no unit: write `1%`", "from 0 to 100"]),
            ("0", ["`0` has no unit", "write `0%`"]),
            ("1/10", ["`/10` is no unit", "`0.1%`"]),
            ("%", ["`%` is not a probability", "`0.1%`"]),
            ("half", ["`half` is not a probability", "`25%`"]),
            ("NaN%", ["`NaN%` is not a probability", "`25%`"]),
            ("-1%", ["`-1%` is negative", "`25%`"]),
            ("-0%", ["`-0%` is negative", "`25%`"]),
            ("+1%", ["`+1%` is not a probability", "`25%`"]),
            ("250%", ["`250%` is too large for a probability (at most 100%)", "from 0 to 100"]),
            ("100.000000000000000000001%", ["too large", "at most 100%"]),
            ("99999999999999999999999999999999999999999999%", ["too large", "999…`"]),
            ("1e-3%", ["`e-3%` is no unit", "`0.1%`"]),
            ("1 %", ["` %` is no unit", "`0.1%`"]),
            ("1%%", ["`%%` is no unit", "`0.1%`"]),
            ("1,5%", ["`,5%` is no unit", "`0.1%`"]),
            ("1percent", ["`percent` is no unit", "`0.1%`"]),
            ("1ms", ["`ms` is no unit", "`0.1%`"]),
            ("0.00000001%", ["`0.00000001%` is too small", "step of a probability is 0.00000002%"]),
            ("1％", ["`％` is no unit", "`0.1%`"]),
        ] {
            let error = text.parse::<Probability>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    #[test]
    fn prints_no_more_digits_than_it_takes() {
        for text in ["0%", "100%", "50%", "0.1%", "1%", "33.3%", "99%", "99.9%", "0.00000002%", "12.345678%"]
        {
            assert_eq!(text.parse::<Probability>().unwrap().to_string(), text);
        }
        assert_eq!(Probability::from_2_32nds(u32::MAX - 1).to_string(), "99.99999995%");
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!((Probability::NEVER.as_f64(), Probability::CERTAIN.as_f64()), (0.0, 1.0));
        assert_eq!(Probability::NEVER.complement(), Probability::CERTAIN);
        assert_eq!(Probability::CERTAIN.complement(), Probability::NEVER);
    }

    #[test]
    fn percentages_that_are_100_together_exclude_each_other() {
        for (one, other, legal) in [
            ("33.3%", "66.7%", true),
            ("0%", "100%", true),
            ("50%", "50%", true),
            ("50%", "50.1%", false),
            ("100%", "0.1%", false),
        ] {
            let (one, other): (Probability, Probability) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.exclude_each_other(other), legal, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(steps: u32) {
            let probability = Probability::from_2_32nds(steps);
            prop_assert_eq!(probability.to_string().parse(), Ok(probability));
            let json = serde_json::to_string(&probability).unwrap();
            prop_assert_eq!(serde_json::from_str::<Probability>(&json).unwrap(), probability);
        }

        #[test]
        fn prints_at_most_what_was_written(thousandths in 0..=100_000u32) {
            let text = format!("{}.{:03}%", thousandths / 1_000, thousandths % 1_000);
            let printed = text.parse::<Probability>().unwrap().to_string();
            prop_assert!(printed.len() <= text.len(), "{} {}", text, printed);
            prop_assert_eq!(printed.trim_end_matches('%').parse::<f64>().unwrap(), f64::from(thousandths) / 1e3);
        }

        #[test]
        fn is_the_nearest_step(percent in 0.0..100.0f64) {
            let steps = format!("{percent:.12}%").parse::<Probability>();
            prop_assume!(steps.is_ok());
            let off = f64::from(steps.unwrap().as_2_32nds()) - percent / 100.0 * 4_294_967_296.0;
            prop_assert!(off.abs() <= 1.000_01, "{}", off);
        }

        #[test]
        fn both_or_neither(steps: u32) {
            let probability = Probability::from_2_32nds(steps);
            prop_assert!(probability.exclude_each_other(probability.complement()));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Probability>();
        }

        #[test]
        fn never_panics_on_numbers(text in "-?[0-9]{0,45}[.]?[0-9]{0,45}%?") {
            let _ = text.parse::<Probability>();
        }
    }
}
