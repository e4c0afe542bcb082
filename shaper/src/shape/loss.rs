//! Which packets are lost.

use std::fmt;
use std::str::FromStr;

use super::chance::Chance;
use super::{Error, Parts, Pattern};
use crate::units::{self, Probability, Quantity, quote, serde_as_text};

/// How losses follow each other. The models and the names of their parameters are those of tc-netem(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each packet for itself, or like the one before it; as a [`Chance`].
    Random {
        /// How often a packet is lost.
        probability: Probability,
        /// How often the fate of a packet is that of the packet before it.
        correlation: Probability,
    },
    /// Two states, good and bad; as [`GilbertElliott`].
    GilbertElliott {
        /// From good to bad.
        p: Probability,
        /// From bad to good.
        r: Probability,
        /// Loss in the bad state.
        one_minus_h: Probability,
        /// Loss in the good state.
        one_minus_k: Probability,
    },
    /// Four states; as [`FourState`].
    FourState {
        /// From received in a gap to lost in a burst.
        p13: Probability,
        /// From lost in a burst to received in a gap.
        p31: Probability,
        /// From lost in a burst to received in a burst.
        p32: Probability,
        /// From received in a burst to lost in a burst.
        p23: Probability,
        /// From received in a gap to lost on its own.
        p14: Probability,
    },
    /// By the packet's number.
    Pattern(Pattern),
}

impl Loss {
    /// The loss that the parts make; `None` when no packet can be lost.
    pub(super) fn of(parts: &Parts) -> Result<Option<Self>, Error> {
        let random = Chance::of("loss", parts.loss, parts.loss_correlation)?
            .map(|Chance { probability, correlation }| Self::Random { probability, correlation });
        let gemodel = parts.loss_gemodel.map(Self::from).filter(|loss| !loss.never());
        let state = parts.loss_state.map(FourState::checked).transpose()?;
        let state = state.map(Self::from).filter(|loss| !loss.never());
        let pattern = parts.loss_pattern.map(Self::Pattern).filter(|loss| !loss.never());
        let mut models = [random, gemodel, state, pattern].into_iter().flatten();
        match (models.next(), models.next()) {
            (Some(one), Some(other)) => {
                Err(Error::TwoLossModels { one: one.to_string(), other: other.to_string() })
            }
            (loss, _) => Ok(loss),
        }
    }

    /// Says whether no packet is ever lost. Every model starts in its good state.
    fn never(self) -> bool {
        match self {
            Self::Random { probability, .. } => probability.is_never(),
            Self::GilbertElliott { p, one_minus_h, one_minus_k, .. } => {
                one_minus_k.is_never() && (p.is_never() || one_minus_h.is_never())
            }
            Self::FourState { p13, p14, .. } => p13.is_never() && p14.is_never(),
            Self::Pattern(pattern) => pattern.bits() == 0,
        }
    }
}

impl fmt::Display for Loss {
    /// As its flags say it, without the dashes in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Random { probability, correlation } if correlation.is_never() => {
                write!(f, "loss {probability}")
            }
            Self::Random { probability, correlation } => {
                write!(f, "loss {probability} correlation {correlation}")
            }
            Self::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
                write!(f, "loss-gemodel {}", GilbertElliott { p, r, one_minus_h, one_minus_k })
            }
            Self::FourState { p13, p31, p32, p23, p14 } => {
                write!(f, "loss-state {}", FourState { p13, p31, p32, p23, p14 })
            }
            Self::Pattern(pattern) => write!(f, "loss-pattern {pattern}"),
        }
    }
}

/// Loss in two states, good and bad.
///
/// Text is `P[,R[,1-H[,1-K]]]`; what is not said is 100 % − P, 100 % and 0 %: losses come in bursts of whole losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GilbertElliott {
    /// From good to bad.
    pub p: Probability,
    /// From bad to good.
    pub r: Probability,
    /// Loss in the bad state.
    pub one_minus_h: Probability,
    /// Loss in the good state.
    pub one_minus_k: Probability,
}

impl FromStr for GilbertElliott {
    type Err = units::Error;

    fn from_str(text: &str) -> Result<Self, units::Error> {
        let (p, [r, one_minus_h, one_minus_k]) = percentages(text, Quantity::GilbertElliott)?;
        Ok(Self {
            p,
            r: r.unwrap_or(p.complement()),
            one_minus_h: one_minus_h.unwrap_or(Probability::CERTAIN),
            one_minus_k: one_minus_k.unwrap_or(Probability::NEVER),
        })
    }
}

impl fmt::Display for GilbertElliott {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p, r, one_minus_h, one_minus_k } = self;
        write!(f, "{p},{r},{one_minus_h},{one_minus_k}")
    }
}

serde_as_text!(GilbertElliott, Quantity::GilbertElliott);

impl From<GilbertElliott> for Loss {
    fn from(GilbertElliott { p, r, one_minus_h, one_minus_k }: GilbertElliott) -> Self {
        Self::GilbertElliott { p, r, one_minus_h, one_minus_k }
    }
}

/// Loss in four states: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost on its own in a gap.
///
/// Text is `P13[,P31[,P32[,P23[,P14]]]]`; what is not said is 100 % − P13, 0 %, 100 % and 0 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourState {
    /// From state 1 to 3.
    pub p13: Probability,
    /// From state 3 to 1.
    pub p31: Probability,
    /// From state 3 to 2.
    pub p32: Probability,
    /// From state 2 to 3.
    pub p23: Probability,
    /// From state 1 to 4; from there it is back to 1 at once.
    pub p14: Probability,
}

impl FourState {
    /// The same probabilities, if those of leaving a state are at most 100 % together.
    fn checked(self) -> Result<Self, Error> {
        for (state, one, other) in
            [(1, ("P13", self.p13), ("P14", self.p14)), (3, ("P31", self.p31), ("P32", self.p32))]
        {
            if !one.1.exclude_each_other(other.1) {
                return Err(Error::LossStateBeyondCertain { state, one, other });
            }
        }
        Ok(self)
    }
}

impl FromStr for FourState {
    type Err = units::Error;

    fn from_str(text: &str) -> Result<Self, units::Error> {
        let (p13, [p31, p32, p23, p14]) = percentages(text, Quantity::FourState)?;
        Ok(Self {
            p13,
            p31: p31.unwrap_or(p13.complement()),
            p32: p32.unwrap_or(Probability::NEVER),
            p23: p23.unwrap_or(Probability::CERTAIN),
            p14: p14.unwrap_or(Probability::NEVER),
        })
    }
}

impl fmt::Display for FourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p13, p31, p32, p23, p14 } = self;
        write!(f, "{p13},{p31},{p32},{p23},{p14}")
    }
}

serde_as_text!(FourState, Quantity::FourState);

impl From<FourState> for Loss {
    fn from(FourState { p13, p31, p32, p23, p14 }: FourState) -> Self {
        Self::FourState { p13, p31, p32, p23, p14 }
    }
}

/// Reads one percentage and up to `N` more.
fn percentages<const N: usize>(
    text: &str,
    quantity: Quantity,
) -> Result<(Probability, [Option<Probability>; N]), units::Error> {
    if text.is_empty() {
        return Err(units::Error::Empty { quantity });
    }
    let mut words = text.split(',');
    let first = words.next().unwrap_or_default().parse()?;
    let mut rest = [None; N];
    for (n, word) in words.enumerate() {
        let place =
            rest.get_mut(n).ok_or_else(|| units::Error::NotANumber { value: quote(text), quantity })?;
        *place = Some(word.parse()?);
    }
    Ok((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_said_is_as_in_tc() {
        for (text, printed) in [
            ("1%", "1%,99%,100%,0%"),
            ("1%,10%", "1%,10%,100%,0%"),
            ("1%,10%,70%", "1%,10%,70%,0%"),
            ("1%,10%,70%,0.1%", "1%,10%,70%,0.1%"),
        ] {
            assert_eq!(text.parse::<GilbertElliott>().unwrap().to_string(), printed);
        }
        for (text, printed) in [
            ("1%", "1%,99%,0%,100%,0%"),
            ("1%,10%", "1%,10%,0%,100%,0%"),
            ("1%,10%,5%", "1%,10%,5%,100%,0%"),
            ("1%,10%,5%,50%,0.1%", "1%,10%,5%,50%,0.1%"),
        ] {
            assert_eq!(text.parse::<FourState>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn refuses_what_is_no_model_and_says_what_would_be() {
        for (text, words) in [
            ("", ["a Gilbert-Elliott loss cannot be empty", "`1%,10%`"]),
            ("1", ["`1` has no unit: write `1%`", "from 0 to 100"]),
            ("1%,0.1", ["`0.1` has no unit: write `0.1%`", "from 0 to 100"]),
            ("1%,,2%", ["a probability cannot be empty", "`0.1%`"]),
            ("1%,", ["a probability cannot be empty", "`0.1%`"]),
            ("1%,2%,3%,4%,5%", ["`1%,2%,3%,4%,5%` is not a Gilbert-Elliott loss", "one to four"]),
            ("1%, 2%", ["` 2%` is not a probability", "`0.1%`"]),
            ("1%,101%", ["`101%` is too large", "at most 100%"]),
        ] {
            let error = text.parse::<GilbertElliott>().expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
        let error = "1%,2%,3%,4%,5%,6%".parse::<FourState>().unwrap_err().to_string();
        assert!(error.contains("is not a four-state loss: write one to five percentages"), "{error}");
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(steps: [u32; 5]) {
            let [p13, p31, p32, p23, p14] = steps.map(Probability::from_2_32nds);
            let four = FourState { p13, p31, p32, p23, p14 };
            prop_assert_eq!(four.to_string().parse(), Ok(four));
            let two = GilbertElliott { p: p13, r: p31, one_minus_h: p32, one_minus_k: p23 };
            prop_assert_eq!(two.to_string().parse(), Ok(two));
        }

        #[test]
        fn never_panics(text in "[0-9.,%\\PC]*") {
            let _ = (text.parse::<GilbertElliott>(), text.parse::<FourState>());
        }
    }
}
