//! Something that happens to a part of the packets.

use super::Error;
use crate::units::Probability;

/// The highest correlation, 99 %: with all of it the first packet would decide for every other.
pub const CORRELATION_MAX: Probability = Probability::from_2_32nds(4_252_017_623);

/// How often something happens, and how much packets next to each other share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// How often it happens, in the mean over all packets; not zero.
    pub probability: Probability,
    /// How often a packet has the outcome of the packet before it, whatever that is, and is not drawn anew; at most
    /// [`CORRELATION_MAX`].
    pub correlation: Probability,
}

impl Chance {
    /// The chance that two parts make; `None` when it never happens.
    pub(super) fn of(
        what: &'static str,
        probability: Option<Probability>,
        correlation: Option<Probability>,
    ) -> Result<Option<Self>, Error> {
        let correlation = correlation_of(what, "1%", probability.is_some(), correlation)?;
        let probability = probability.filter(|probability| !probability.is_never());
        Ok(probability.map(|probability| Self { probability, correlation }))
    }
}

/// The correlation of `what`, such as `example`, which is given or not.
pub(super) fn correlation_of(
    what: &'static str,
    example: &'static str,
    given: bool,
    correlation: Option<Probability>,
) -> Result<Probability, Error> {
    match correlation {
        None => Ok(Probability::NEVER),
        Some(correlation) if correlation > CORRELATION_MAX => {
            Err(Error::CorrelationTooHigh { what, correlation })
        }
        Some(correlation) if !given && !correlation.is_never() => {
            Err(Error::NothingToCorrelate { what, example, correlation })
        }
        Some(correlation) => Ok(correlation),
    }
}
