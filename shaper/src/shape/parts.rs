//! What a user says of a shape.

use serde::{Deserialize, Serialize};

use super::{Distribution, FourState, GilbertElliott, Loss, Pattern, Shape};
use crate::units::{Delay, Overhead, Probability, Queue, Rate, Size};

/// What a user says of a shape, each part or nothing; [`Shape::new`] checks that they fit together.
///
/// In JSON, quantities are the strings that the flags take. A part that is zero does nothing, as if it were not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// Propagation delay, one way, up to [`super::DELAY_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Delay>,
    /// Spread of the delay, at most the latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Delay>,
    /// How the delay spreads; uniform when there is jitter and nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// How often a packet's jitter is that of the packet before it, up to [`super::CORRELATION_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_correlation: Option<Probability>,
    /// No packet overtakes another for its jitter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_order: bool,
    /// How often a packet goes without latency and jitter, and so overtakes others; with a latency only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Probability>,
    /// How often a packet is reordered as the one before it was, up to [`super::CORRELATION_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder_correlation: Option<Probability>,
    /// Only every so manieth packet since the last reordered one may be reordered, from [`super::REORDER_GAP_MIN`] to
    /// [`super::REORDER_GAP_MAX`]; any when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder_gap: Option<u32>,
    /// Rate of the bottleneck, from [`super::BANDWIDTH_MIN`] to [`super::BANDWIDTH_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Rate>,
    /// Bound of the bottleneck's queue; [`super::QUEUE_DEFAULT`] or [`super::QUEUE_DEFAULT_LEAST`], whichever is longer,
    /// when there is a bandwidth and nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// What the bottleneck may send at once after it was idle, up to [`super::QUEUE_BYTES_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Size>,
    /// What each packet takes on the bottleneck beyond its own bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
    /// What waits longer than this for the bottleneck is marked (ECN, RFC 3168); less than the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecn: Option<Delay>,
    /// How often a packet is lost. At most one of the four models of loss can be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Probability>,
    /// How often the loss of a packet is that of the packet before it, up to [`super::CORRELATION_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_correlation: Option<Probability>,
    /// Loss in two states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_gemodel: Option<GilbertElliott>,
    /// Loss in four states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_state: Option<FourState>,
    /// Loss by the packet's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_pattern: Option<Pattern>,
    /// How often a packet is sent twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Probability>,
    /// How often a packet is sent twice as the one before it was, up to [`super::CORRELATION_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_correlation: Option<Probability>,
    /// How often one bit of a packet is flipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<Probability>,
    /// How often a packet is corrupted as the one before it was, up to [`super::CORRELATION_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt_correlation: Option<Probability>,
    /// Seed of every random draw; chosen by whoever applies the shape when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Parts {
    /// The first part that is given, and would do something if it were not zero.
    pub(super) fn zero(&self) -> Option<&'static str> {
        let loss = self.loss.is_some()
            || self.loss_gemodel.is_some()
            || self.loss_state.is_some()
            || self.loss_pattern.is_some();
        [
            (self.latency.is_some(), "latency"),
            (self.reorder.is_some(), "reordering"),
            (loss, "loss"),
            (self.duplicate.is_some(), "duplication"),
            (self.corrupt.is_some(), "corruption"),
        ]
        .into_iter()
        .find_map(|(given, what)| given.then_some(what))
    }
}

impl From<Shape> for Parts {
    fn from(shape: Shape) -> Self {
        let given = |delay: Delay| (!delay.is_zero()).then_some(delay);
        let some = |correlation: Probability| (!correlation.is_never()).then_some(correlation);
        let (reorder, duplicate, corrupt) = (shape.reorder(), shape.duplicate(), shape.corrupt());
        let parts = Self {
            latency: given(shape.latency()),
            jitter: given(shape.jitter()),
            distribution: given(shape.jitter()).map(|_| shape.distribution()),
            jitter_correlation: some(shape.jitter_correlation()),
            keep_order: shape.keep_order(),
            reorder: reorder.map(|chance| chance.probability),
            reorder_correlation: reorder.and_then(|chance| some(chance.correlation)),
            reorder_gap: (shape.reorder_gap() > 1).then_some(shape.reorder_gap()),
            bandwidth: shape.bandwidth(),
            queue: shape.queue(),
            burst: shape.burst(),
            overhead: shape.overhead(),
            ecn: shape.ecn(),
            duplicate: duplicate.map(|chance| chance.probability),
            duplicate_correlation: duplicate.and_then(|chance| some(chance.correlation)),
            corrupt: corrupt.map(|chance| chance.probability),
            corrupt_correlation: corrupt.and_then(|chance| some(chance.correlation)),
            seed: shape.seed(),
            ..Self::default()
        };
        match shape.loss() {
            None => parts,
            Some(Loss::Random { probability, correlation }) => {
                Self { loss: Some(probability), loss_correlation: some(correlation), ..parts }
            }
            Some(Loss::GilbertElliott { p, r, one_minus_h, one_minus_k }) => {
                Self { loss_gemodel: Some(GilbertElliott { p, r, one_minus_h, one_minus_k }), ..parts }
            }
            Some(Loss::FourState { p13, p31, p32, p23, p14 }) => {
                Self { loss_state: Some(FourState { p13, p31, p32, p23, p14 }), ..parts }
            }
            Some(Loss::Pattern(pattern)) => Self { loss_pattern: Some(pattern), ..parts },
        }
    }
}
