//! What a user may ask for: valid by construction, and pure.

mod choice;
mod distribution;
mod error;
mod named;

use serde::{Deserialize, Serialize};

pub use choice::{Direction, EngineChoice};
pub use error::Error;
pub use named::{Named, UnknownName};
pub use shaper_common::jitter::Distribution;

use crate::units::{Delay, Queue, Rate, Size};

/// The longest latency, and the longest queue: beyond an hour a link is down, not slow.
pub const DELAY_MAX: Delay = Delay::from_secs(3_600);
/// The lowest bandwidth, 8 kbit/s: a full-size packet takes 1.5 s there, already longer than TCP's first
/// retransmission timeout (1 s, RFC 6298).
pub const BANDWIDTH_MIN: Rate = Rate::from_bytes_per_sec(1_000);
/// The highest bandwidth, 100 Gbit/s: a 64-byte packet takes 5 ns there, about the finest spacing nanoseconds can
/// express.
pub const BANDWIDTH_MAX: Rate = Rate::from_bytes_per_sec(12_500_000_000);
/// A full-size Ethernet frame: 1500 bytes and 14 of header. The shortest queue holds one.
pub const PACKET: Size = Size::from_bytes(1_514);
/// The largest queue in bytes, 1 GiB: what waits in it is memory of this machine.
pub const QUEUE_BYTES_MAX: Size = Size::from_bytes(1 << 30);
/// The queue when none is asked for: one bandwidth-delay product at the round trip that CoDel assumes (RFC 8289,
/// 3.2).
pub const QUEUE_DEFAULT: Delay = Delay::from_ms(100);
/// What the queue holds at least when none is asked for: TCP's initial window (RFC 6928), so that a slow link does
/// not drop the first burst of every connection.
pub const QUEUE_DEFAULT_LEAST: Size = Size::from_bytes(10 * PACKET.bytes());

/// What one direction of a link is to do to the packets that cross it.
///
/// Nothing here depends on a clock, on the kernel or on the engine. In JSON a shape is its [`Parts`].
///
/// ```
/// use shaper::shape::{Parts, Shape};
///
/// let shape = Shape::new(Parts { latency: Some("100ms".parse().unwrap()), ..Parts::default() }).unwrap();
/// assert_eq!(serde_json::to_string(&shape).unwrap(), r#"{"latency":"100ms"}"#);
/// assert!(Shape::new(Parts::default()).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Shape {
    latency: Delay,
    jitter: Delay,
    distribution: Distribution,
    bottleneck: Option<Bottleneck>,
    seed: Option<u64>,
}

/// A rate and the queue in front of it; there is never one without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bottleneck {
    bandwidth: Rate,
    queue: Queue,
    queue_time: Delay,
}

/// What a user says of a shape, each part or nothing; [`Shape::new`] checks that they fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Propagation delay, one way, up to [`DELAY_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Delay>,
    /// Spread of the delay, at most the latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Delay>,
    /// How the delay spreads; uniform when there is jitter and nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "distribution::name")]
    pub distribution: Option<Distribution>,
    /// Rate of the bottleneck, from [`BANDWIDTH_MIN`] to [`BANDWIDTH_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Rate>,
    /// Bound of the bottleneck's queue; [`QUEUE_DEFAULT`] or [`QUEUE_DEFAULT_LEAST`], whichever is longer, when there
    /// is a bandwidth and nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// Seed of every random draw; chosen by whoever applies the shape when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Shape {
    /// Checks `parts` and puts the defaults where nothing is said.
    ///
    /// A latency or jitter of zero is the same as none, and a distribution without spread is dropped, so that shapes
    /// that do the same are equal.
    ///
    /// # Errors
    ///
    /// The first part that is out of its range or does nothing without another part, and [`Error::Nothing`] when the
    /// shape would let every packet pass as it came.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let latency = parts.latency.unwrap_or_default();
        let jitter = parts.jitter.unwrap_or_default();
        if latency > DELAY_MAX {
            return Err(Error::LatencyTooLong { latency });
        }
        match (parts.jitter, parts.latency) {
            (None, _) => {
                if let Some(distribution) = parts.distribution {
                    return Err(Error::DistributionWithoutJitter { distribution: distribution.name() });
                }
            }
            (Some(jitter), None) => return Err(Error::JitterWithoutLatency { jitter }),
            (Some(jitter), Some(latency)) if jitter > latency => {
                return Err(Error::JitterAboveLatency { jitter, latency });
            }
            (Some(_), Some(_)) => {}
        }
        let bottleneck = match (parts.bandwidth, parts.queue) {
            (Some(bandwidth), queue) => Some(Bottleneck::new(bandwidth, queue)?),
            (None, Some(queue)) => return Err(Error::QueueWithoutBandwidth { queue }),
            (None, None) => None,
        };
        if latency.is_zero() && bottleneck.is_none() {
            return Err(if parts.latency.is_some() { Error::OnlyZero } else { Error::Nothing });
        }
        let distribution =
            if jitter.is_zero() { Distribution::default() } else { parts.distribution.unwrap_or_default() };
        Ok(Self { latency, jitter, distribution, bottleneck, seed: parts.seed })
    }

    /// Propagation delay, one way; zero for none.
    #[must_use]
    pub fn latency(&self) -> Delay {
        self.latency
    }

    /// Spread of the delay, at most the latency: half width of the uniform distribution, standard deviation of the
    /// others.
    #[must_use]
    pub fn jitter(&self) -> Delay {
        self.jitter
    }

    /// How the delay spreads; uniform where there is no jitter.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// Rate of the bottleneck, in bytes on the wire; `None` for no bottleneck.
    #[must_use]
    pub fn bandwidth(&self) -> Option<Rate> {
        self.bottleneck.map(|bottleneck| bottleneck.bandwidth)
    }

    /// Bound of the bottleneck's queue, as asked or by default; `None` for no bottleneck.
    #[must_use]
    pub fn queue(&self) -> Option<Queue> {
        self.bottleneck.map(|bottleneck| bottleneck.queue)
    }

    /// The queue's bound as the time it takes to send what it holds; `None` for no bottleneck.
    #[must_use]
    pub fn queue_time(&self) -> Option<Delay> {
        self.bottleneck.map(|bottleneck| bottleneck.queue_time)
    }

    /// Seed of every random draw, where the user chose one.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The same shape with `seed` as its seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }
}

impl Bottleneck {
    fn new(bandwidth: Rate, queue: Option<Queue>) -> Result<Self, Error> {
        if !(BANDWIDTH_MIN..=BANDWIDTH_MAX).contains(&bandwidth) {
            return Err(Error::BandwidthOutOfRange { bandwidth });
        }
        let time_for = |size| bandwidth.time_for(size).unwrap_or(Delay::MAX);
        let queue = queue.unwrap_or(if time_for(QUEUE_DEFAULT_LEAST) > QUEUE_DEFAULT {
            Queue::Bytes(QUEUE_DEFAULT_LEAST)
        } else {
            Queue::Time(QUEUE_DEFAULT)
        });
        let (queue_time, least) = match queue {
            Queue::Time(time) => (time, Queue::Time(time_for(PACKET))),
            Queue::Bytes(size) => (time_for(size), Queue::Bytes(PACKET)),
        };
        let too_long = match queue {
            Queue::Time(time) => time > DELAY_MAX,
            Queue::Bytes(size) => size > QUEUE_BYTES_MAX || queue_time > DELAY_MAX,
        };
        if too_long {
            return Err(Error::QueueTooLong { queue, bandwidth });
        }
        if queue_time < time_for(PACKET) {
            return Err(Error::QueueTooShort { queue, bandwidth, least });
        }
        Ok(Self { bandwidth, queue, queue_time })
    }
}

impl TryFrom<Parts> for Shape {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self, Error> {
        Self::new(parts)
    }
}

impl From<Shape> for Parts {
    fn from(shape: Shape) -> Self {
        let given = |delay: Delay| (!delay.is_zero()).then_some(delay);
        Self {
            latency: given(shape.latency),
            jitter: given(shape.jitter),
            distribution: given(shape.jitter).map(|_| shape.distribution),
            bandwidth: shape.bandwidth(),
            queue: shape.queue(),
            seed: shape.seed,
        }
    }
}

#[cfg(test)]
mod tests;
