//! How long packets are on their way, and in which order they arrive.

use shaper_common::jitter::TABLE_SCALE;

use super::chance::{Chance, correlation_of};
use super::{DELAY_MAX, Distribution, Error, Parts, REORDER_GAP_MAX, REORDER_GAP_MIN};
use crate::units::{Delay, Probability};

/// Latency, what varies it, and who may go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Propagation {
    pub(super) latency: Delay,
    pub(super) jitter: Delay,
    pub(super) distribution: Distribution,
    pub(super) jitter_correlation: Probability,
    pub(super) keep_order: bool,
    pub(super) reorder: Option<Chance>,
    pub(super) reorder_gap: u32,
}

impl Propagation {
    /// What the parts say of the way; all zero when they say nothing.
    pub(super) fn of(parts: &Parts) -> Result<Self, Error> {
        let latency = parts.latency.unwrap_or_default();
        let jitter = parts.jitter.unwrap_or_default();
        if latency > DELAY_MAX {
            return Err(Error::LatencyTooLong { latency });
        }
        match (parts.jitter, parts.latency) {
            (None, _) => {
                if let Some(distribution) = parts.distribution {
                    return Err(Error::DistributionWithoutJitter { distribution: distribution.words() });
                }
                if parts.keep_order {
                    return Err(Error::KeepOrderWithoutJitter);
                }
            }
            (Some(jitter), None) => return Err(Error::JitterWithoutLatency { jitter }),
            (Some(jitter), Some(latency))
                if jitter > latency && !reaches_no_zero(latency, jitter, parts.distribution) =>
            {
                return Err(Error::JitterAboveLatency { jitter, latency });
            }
            (Some(_), Some(_)) => {}
        }
        let jitter_correlation =
            correlation_of("jitter", "10ms", parts.jitter.is_some(), parts.jitter_correlation)?;
        let reorder = Chance::of("reorder", parts.reorder, parts.reorder_correlation)?;
        let reorder_gap = reorder_gap(parts)?;
        if let Some(Chance { probability, .. }) = reorder {
            if latency.is_zero() {
                return Err(Error::ReorderWithoutLatency { probability });
            }
            if parts.keep_order {
                return Err(Error::KeepOrderWithReorder { probability });
            }
        }
        let way = Self {
            latency,
            jitter,
            distribution: parts.distribution.unwrap_or_default(),
            jitter_correlation,
            keep_order: parts.keep_order,
            reorder,
            reorder_gap: reorder.map_or(1, |_| reorder_gap),
        };
        Ok(if jitter.is_zero() { way.without_jitter() } else { way })
    }

    /// The same without what only jitter needs.
    fn without_jitter(self) -> Self {
        Self {
            distribution: Distribution::default(),
            jitter_correlation: Probability::NEVER,
            keep_order: false,
            ..self
        }
    }
}

/// Whether a table has no delay below zero, so that nothing is cut off; but for half a step of the table, by which a value was
/// rounded.
fn reaches_no_zero(latency: Delay, jitter: Delay, distribution: Option<Distribution>) -> bool {
    let Some(Distribution::Table(table)) = distribution else { return false };
    let below = i128::from(jitter.as_ns()) * (-i128::from(table.least()));
    2 * below <= 2 * i128::from(latency.as_ns()) * i128::from(TABLE_SCALE) + i128::from(jitter.as_ns())
}

/// The gap asked for; 1 for none.
fn reorder_gap(parts: &Parts) -> Result<u32, Error> {
    match parts.reorder_gap {
        None => Ok(1),
        Some(gap) if !(REORDER_GAP_MIN..=REORDER_GAP_MAX).contains(&gap) => {
            Err(Error::ReorderGapOutOfRange { gap })
        }
        Some(gap) if parts.reorder.is_none() => Err(Error::GapWithoutReorder { gap }),
        Some(gap) => Ok(gap),
    }
}
