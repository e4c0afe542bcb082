//! What a user may ask for: valid by construction, and pure.

mod bottleneck;
mod chance;
mod choice;
pub mod distribution;
mod error;
mod flags;
mod loss;
mod named;
mod parts;
mod pattern;
mod propagation;
mod words;

use serde::{Deserialize, Serialize};

pub use chance::{CORRELATION_MAX, Chance};
pub use choice::{Direction, EngineChoice};
pub use distribution::{Distribution, Measured, Table};
pub use error::Error;
pub use loss::{FourState, GilbertElliott, Loss};
pub use named::{Named, UnknownName};
pub use parts::Parts;
pub use pattern::Pattern;

pub(crate) use named::text_by_name;

use self::bottleneck::Bottleneck;
use self::propagation::Propagation;
use crate::units::{Delay, Overhead, Probability, Queue, Rate, Size};

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
/// The least gap between reordered packets; with a gap of 1 any packet may be reordered, as without.
pub const REORDER_GAP_MIN: u32 = 2;
/// The greatest gap between reordered packets.
pub const REORDER_GAP_MAX: u32 = 255;

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
    loss: Option<Loss>,
    duplicate: Option<Chance>,
    corrupt: Option<Chance>,
    bottleneck: Option<Bottleneck>,
    propagation: Propagation,
    seed: Option<u64>,
}

impl Shape {
    /// Checks `parts` and puts the defaults where nothing is said.
    ///
    /// A part of zero is the same as none, and what would then do nothing (a distribution or a correlation) is dropped, so
    /// that shapes that do the same are equal.
    ///
    /// # Errors
    ///
    /// The first part that is out of its range or does nothing without another part, and [`Error::Nothing`] when the
    /// shape would let every packet pass as it came.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let propagation = Propagation::of(&parts)?;
        let bottleneck = Bottleneck::of(&parts)?;
        let loss = Loss::of(&parts)?;
        let duplicate = Chance::of("duplicate", parts.duplicate, parts.duplicate_correlation)?;
        let corrupt = Chance::of("corrupt", parts.corrupt, parts.corrupt_correlation)?;
        let faultless = loss.is_none() && duplicate.is_none() && corrupt.is_none();
        if faultless && bottleneck.is_none() && propagation.latency.is_zero() {
            return Err(parts.zero().map_or(Error::Nothing, |what| Error::OnlyZero { what }));
        }
        Ok(Self { loss, duplicate, corrupt, bottleneck, propagation, seed: parts.seed })
    }

    /// Propagation delay, one way; zero for none.
    #[must_use]
    pub fn latency(&self) -> Delay {
        self.propagation.latency
    }

    /// Spread of the delay, at most the latency: half width of the uniform distribution, standard deviation of the
    /// others.
    #[must_use]
    pub fn jitter(&self) -> Delay {
        self.propagation.jitter
    }

    /// How the delay spreads; uniform where there is no jitter.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        self.propagation.distribution
    }

    /// How often a packet's jitter is that of the packet before it.
    #[must_use]
    pub fn jitter_correlation(&self) -> Probability {
        self.propagation.jitter_correlation
    }

    /// Says whether no packet may overtake another for its jitter.
    #[must_use]
    pub fn keep_order(&self) -> bool {
        self.propagation.keep_order
    }

    /// How often a packet goes without latency and jitter, and so overtakes others.
    #[must_use]
    pub fn reorder(&self) -> Option<Chance> {
        self.propagation.reorder
    }

    /// Only every so manieth packet since the last reordered one may be reordered; 1 for any.
    #[must_use]
    pub fn reorder_gap(&self) -> u32 {
        self.propagation.reorder_gap
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

    /// What the bottleneck may send at once after it was idle; `None` for nothing, not zero.
    #[must_use]
    pub fn burst(&self) -> Option<Size> {
        self.bottleneck?.burst
    }

    /// [`Self::burst`] as the time it takes to send that much.
    #[must_use]
    pub fn burst_time(&self) -> Option<Delay> {
        self.bottleneck.and_then(|bottleneck| bottleneck.bandwidth.time_for(bottleneck.burst?))
    }

    /// What each packet takes on the bottleneck beyond its own bytes; `None` for nothing.
    #[must_use]
    pub fn overhead(&self) -> Option<Overhead> {
        self.bottleneck?.overhead
    }

    /// What waits longer than this for the bottleneck is marked; `None` for nothing, not zero.
    #[must_use]
    pub fn ecn(&self) -> Option<Delay> {
        self.bottleneck?.ecn
    }

    /// Which packets are lost; `None` for none.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// How often a packet is sent twice; `None` for never.
    #[must_use]
    pub fn duplicate(&self) -> Option<Chance> {
        self.duplicate
    }

    /// How often one bit of a packet is flipped; `None` for never.
    #[must_use]
    pub fn corrupt(&self) -> Option<Chance> {
        self.corrupt
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

impl TryFrom<Parts> for Shape {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self, Error> {
        Self::new(parts)
    }
}

#[cfg(test)]
mod any;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use any::{any_shape, shape_of};
