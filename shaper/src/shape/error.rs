//! Why parts do not make a shape.

use super::{BANDWIDTH_MAX, BANDWIDTH_MIN, DELAY_MAX, PACKET, QUEUE_BYTES_MAX};
use crate::units::{Delay, Queue, Rate};

/// A part that is out of its range or does nothing without another part; says what to ask for instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No part was given that does anything.
    #[error("nothing to apply: give a latency (such as `100ms`) or a bandwidth (such as `10mbit`)")]
    Nothing,
    /// The only part given is a latency of zero.
    #[error(
        "nothing to apply: a latency of zero is none; give a longer one or a bandwidth, or take the shape away with `shaper clear`"
    )]
    OnlyZero,
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
        /// The name of the distribution asked for.
        distribution: &'static str,
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
}
