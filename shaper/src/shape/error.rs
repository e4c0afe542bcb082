//! Why parts do not make a shape.

use std::borrow::Cow;

use super::{
    BANDWIDTH_MAX, BANDWIDTH_MIN, CORRELATION_MAX, DELAY_MAX, PACKET, QUEUE_BYTES_MAX, REORDER_GAP_MAX,
    REORDER_GAP_MIN,
};
use crate::units::{self, Delay, Probability, Queue, Rate, Size};

/// A part that is out of its range or does nothing without another part; says what to ask for instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No part was given that does anything.
    #[error(
        "nothing to apply: give a latency (such as `100ms`), a bandwidth (such as `10mbit`), a loss (such as `1%`) or another \
         part of a shape"
    )]
    Nothing,
    /// The only parts given that could do something are zero.
    #[error(
        "nothing to apply: a {what} of zero is none; give more of it or something else, or take the shape away with `shaper \
         clear`"
    )]
    OnlyZero {
        /// The first of those parts.
        what: &'static str,
    },
    /// The latency is above [`DELAY_MAX`].
    #[error("latency {latency} is out of range: give at most {DELAY_MAX}")]
    LatencyTooLong {
        /// The latency asked for.
        latency: Delay,
    },
    /// Delays vary around the latency, and there is none.
    #[error("jitter {jitter} has no latency to vary around: give a latency of at least {jitter} too")]
    JitterWithoutLatency {
        /// The jitter asked for.
        jitter: Delay,
    },
    /// Delays below zero would be cut off, and the mean would no longer be the latency.
    #[error(
        "jitter {jitter} is more than the latency {latency}: no packet can leave before it came, so the mean delay would not \
         be {latency}; give a jitter of at most {latency} or a longer latency"
    )]
    JitterAboveLatency {
        /// The jitter asked for.
        jitter: Delay,
        /// The latency asked for.
        latency: Delay,
    },
    /// A distribution says how jitter spreads, and there is none.
    #[error("distribution `{distribution}` has nothing to spread: give a jitter (such as `10ms`) too")]
    DistributionWithoutJitter {
        /// The distribution asked for, in words.
        distribution: Cow<'static, str>,
    },
    /// Delays from a file are all that is to be said of them.
    #[error(
        "{what} {given} contradicts the delays in the file, of which the mean is {latency} and the deviation {jitter}: leave \
         latency and jitter out, or give a table of netem's or a distribution's name"
    )]
    BesideSamples {
        /// `latency` or `jitter`.
        what: &'static str,
        /// What was asked for, shortened.
        given: String,
        /// The file's own.
        latency: Delay,
        /// The file's own.
        jitter: Delay,
    },
    /// The bandwidth is below [`BANDWIDTH_MIN`] or above [`BANDWIDTH_MAX`].
    #[error("bandwidth {bandwidth} is out of range: give from {BANDWIDTH_MIN} to {BANDWIDTH_MAX}")]
    BandwidthOutOfRange {
        /// The bandwidth asked for.
        bandwidth: Rate,
    },
    /// Only a bottleneck has a queue, and there is no bandwidth to make one.
    #[error("queue {queue} has no bottleneck to wait for: give a bandwidth (such as `10mbit`) too")]
    QueueWithoutBandwidth {
        /// The queue asked for.
        queue: Queue,
    },
    /// The queue does not hold one [`PACKET`].
    #[error(
        "queue {queue} at {bandwidth} does not hold one full-size packet of {} bytes: give at least {least}",
        PACKET.bytes()
    )]
    QueueTooShort {
        /// The queue asked for.
        queue: Queue,
        /// The bandwidth asked for.
        bandwidth: Rate,
        /// The shortest queue at that bandwidth.
        least: Queue,
    },
    /// The queue is above [`DELAY_MAX`] or [`QUEUE_BYTES_MAX`].
    #[error(
        "queue {queue} at {bandwidth} is out of range: give one of at most {QUEUE_BYTES_MAX} that is sent in {DELAY_MAX}"
    )]
    QueueTooLong {
        /// The queue asked for.
        queue: Queue,
        /// The bandwidth asked for.
        bandwidth: Rate,
    },
    /// Only a bottleneck has this part, and there is no bandwidth to make one.
    #[error("{what} {value} has no bottleneck to act on: give a bandwidth (such as `10mbit`) too")]
    WithoutBandwidth {
        /// The part asked for.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The burst is above [`QUEUE_BYTES_MAX`], or takes longer than [`DELAY_MAX`].
    #[error(
        "burst {burst} at {bandwidth} is out of range: give one of at most {QUEUE_BYTES_MAX} that is sent in {DELAY_MAX}"
    )]
    BurstTooLong {
        /// The burst asked for.
        burst: Size,
        /// The bandwidth asked for.
        bandwidth: Rate,
    },
    /// No packet waits so long.
    #[error(
        "ecn {ecn} is not below the queue of {queue_time}: what waits so long is dropped and not marked; give less than \
         {queue_time} or a longer queue"
    )]
    EcnBeyondQueue {
        /// The threshold asked for.
        ecn: Delay,
        /// The longest wait.
        queue_time: Delay,
    },
    /// A part of the overhead is out of its range.
    #[error(transparent)]
    Overhead(units::Error),
    /// The correlation is above [`CORRELATION_MAX`].
    #[error(
        "{what}-correlation {correlation} is out of range: give at most {CORRELATION_MAX}, or the first packet decides for all \
         others"
    )]
    CorrelationTooHigh {
        /// What is correlated.
        what: &'static str,
        /// The correlation asked for.
        correlation: Probability,
    },
    /// A correlation is one of outcomes, and there are none.
    #[error(
        "{what}-correlation {correlation} does nothing by itself: give {what} too, such as `{what} {example}`"
    )]
    NothingToCorrelate {
        /// What would be correlated.
        what: &'static str,
        /// A value of that.
        example: &'static str,
        /// The correlation asked for.
        correlation: Probability,
    },
    /// Packets are lost by one model.
    #[error("`{one}` and `{other}` are two models of loss: give one of them")]
    TwoLossModels {
        /// One model asked for.
        one: String,
        /// Another one.
        other: String,
    },
    /// The probabilities of leaving a state are more than 100 % together.
    #[error(
        "loss-state leaves state {state} with {} {} and {} {}, more than 100% together: make one of them smaller",
        .one.0, .one.1, .other.0, .other.1
    )]
    LossStateBeyondCertain {
        /// The state.
        state: u8,
        /// One way out, and its probability.
        one: (&'static str, Probability),
        /// The other.
        other: (&'static str, Probability),
    },
    /// What is reordered goes without latency, and there is none.
    #[error("reorder {probability} has no latency to leave out: give a latency (such as `10ms`) too")]
    ReorderWithoutLatency {
        /// The probability asked for.
        probability: Probability,
    },
    /// The gap is below [`REORDER_GAP_MIN`] or above [`REORDER_GAP_MAX`].
    #[error(
        "reorder-gap {gap} is out of range: give from {REORDER_GAP_MIN} to {REORDER_GAP_MAX}, or none for any packet to be \
         reordered"
    )]
    ReorderGapOutOfRange {
        /// The gap asked for.
        gap: u32,
    },
    /// The gap is one between reordered packets, and there are none.
    #[error("reorder-gap {gap} has no reordered packets to part: give a reorder (such as `25%`) too")]
    GapWithoutReorder {
        /// The gap asked for.
        gap: u32,
    },
    /// Only jitter makes packets overtake each other.
    #[error(
        "keep-order has no jitter to act on: give a jitter (such as `10ms`) too; without one no packet overtakes another"
    )]
    KeepOrderWithoutJitter,
    /// Packets cannot both overtake each other and not.
    #[error("keep-order and reorder {probability} contradict each other: give one of them")]
    KeepOrderWithReorder {
        /// The probability of reordering asked for.
        probability: Probability,
    },
}
