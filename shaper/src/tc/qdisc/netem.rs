//! `netem`: delay, loss, duplicates, corruption, reordering and rate with the kernel's own dice.

mod chance;
mod loss;
mod rate;
mod words;

pub use chance::{Chance, Correlation};
pub use loss::Loss;
pub use rate::Rate;

use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::psched::{ns_from_ticks, ticks_from_ns};

/// Length of `struct tc_netem_qopt`, which precedes the attributes.
const QOPT_LEN: usize = 24;

/// How jitter is spread around the delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The name tc knows it by (`normal`, `pareto`, `paretonormal`), `uniform` for none, `table` for one that tc does not know.
    pub name: String,
    /// The inverse of the distribution function at equal steps, in units of jitter / [`Distribution::SCALE`].
    ///
    /// From 1 to [`Distribution::LEN_MAX`] values.
    pub table: Vec<i16>,
}

impl Distribution {
    /// The table's value that stands for one jitter above the delay (`NETEM_DIST_SCALE`).
    pub const SCALE: i32 = NETEM_DIST_SCALE;
    /// Most values in a table (`NETEM_DIST_MAX`).
    pub const LEN_MAX: usize = NETEM_DIST_MAX;
}

/// Options of `netem`.
///
/// A change keeps what the message leaves out: rate, correlation, corruption, the probability of reordering, the
/// distribution and the seed (those that are `Option` here). All else is always set: a message without another loss model
/// goes back to random loss, and a gap of 0 ends reordering. The kernel cannot go back from a distribution to the uniform
/// one except by a table of a uniform one.
///
/// A time that is not a whole number of 64 ns ticks, or too long for 32 bits of them (274 s), is sent in an attribute of
/// its own as well (Linux 4.16), which tc never does: it rounds down.
///
/// A probability is 0 for never and `u32::MAX` for always. A correlation is netem's own: each draw is the weighted mean of a
/// fresh one and the draw before, which pulls draws to the middle, so that what happens is not as frequent as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Packets in the queue, those being delayed included; tc's default is 1000.
    pub limit_packets: u32,
    /// Delay of each packet.
    #[doc(alias = "TCA_NETEM_LATENCY64")]
    pub delay_ns: u64,
    /// Spread of the delay: half the width when uniform, the standard deviation when normal.
    #[doc(alias = "TCA_NETEM_JITTER64")]
    pub jitter_ns: u64,
    /// How the delay is spread; `None` is uniform.
    #[doc(alias = "TCA_NETEM_DELAY_DIST")]
    pub distribution: Option<Distribution>,
    /// How much jitter, random loss and duplicates depend on the packet before.
    #[doc(alias = "TCA_NETEM_CORR")]
    pub correlation: Option<Correlation>,
    /// Which packets are lost.
    #[doc(alias = "TCA_NETEM_LOSS")]
    pub loss: Loss,
    /// Probability that a packet is sent twice.
    pub duplicate: u32,
    /// Of packets of which one bit is flipped.
    #[doc(alias = "TCA_NETEM_CORRUPT")]
    pub corrupt: Option<Chance>,
    /// Of packets that are sent at once, ahead of those delayed; only with a [`Options::gap`].
    #[doc(alias = "TCA_NETEM_REORDER")]
    pub reorder: Option<Chance>,
    /// Only every so manieth packet since the last reordered one may be reordered: 1 is any, 0 is none.
    pub gap: u32,
    /// Rate of the link.
    #[doc(alias = "TCA_NETEM_RATE")]
    pub rate: Option<Rate>,
    /// Seed of the dice, on kernels since 6.6; older ones ignore it.
    #[doc(alias = "TCA_NETEM_PRNG_SEED")]
    pub seed: Option<u64>,
}

impl Default for Options {
    /// tc's defaults: nothing is delayed.
    fn default() -> Self {
        Self {
            limit_packets: 1000,
            delay_ns: 0,
            jitter_ns: 0,
            distribution: None,
            correlation: None,
            loss: Loss::default(),
            duplicate: 0,
            corrupt: None,
            reorder: None,
            gap: 0,
            rate: None,
            seed: None,
        }
    }
}

impl Options {
    /// Reads `TCA_OPTIONS` of a dump, which tells everything but the distribution; `None` when it is too short.
    pub fn parse(options: &[u8]) -> Option<Self> {
        let (qopt, rest) = options.split_first_chunk::<QOPT_LEN>()?;
        let word =
            |index: usize| u32::from_ne_bytes(qopt[index * 4..].first_chunk().copied().unwrap_or_default());
        let attributes = Attributes::new(rest);
        let wide = |kind| attributes.find_kind(kind).and_then(|attribute| attribute.u64());
        Some(Self {
            limit_packets: word(1),
            delay_ns: wide(TCA_NETEM_LATENCY64).unwrap_or(ns_from_ticks(word(0))),
            jitter_ns: wide(TCA_NETEM_JITTER64).unwrap_or(ns_from_ticks(word(5))),
            distribution: None,
            correlation: Correlation::parse(attributes),
            loss: Loss::parse(attributes, word(2)),
            duplicate: word(4),
            corrupt: Chance::parse(attributes, TCA_NETEM_CORRUPT),
            reorder: Chance::parse(attributes, TCA_NETEM_REORDER),
            gap: word(3),
            rate: Rate::parse(attributes),
            seed: wide(TCA_NETEM_PRNG_SEED),
        })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        let (delay, jitter) = (ticks_from_ns(self.delay_ns), ticks_from_ns(self.jitter_ns));
        for word in [delay, self.limit_packets, self.loss.in_qopt(), self.gap, self.duplicate, jitter] {
            out.raw(&word.to_ne_bytes());
        }
        for (kind, time_ns) in [(TCA_NETEM_LATENCY64, self.delay_ns), (TCA_NETEM_JITTER64, self.jitter_ns)] {
            if ns_from_ticks(ticks_from_ns(time_ns)) != time_ns {
                out.attr_u64(kind, time_ns);
            }
        }
        if let Some(correlation) = self.correlation {
            correlation.write(out);
        }
        for (kind, chance) in [(TCA_NETEM_REORDER, self.reorder), (TCA_NETEM_CORRUPT, self.corrupt)] {
            if let Some(chance) = chance {
                chance.write(kind, out);
            }
        }
        self.loss.write(out);
        if let Some(rate) = self.rate {
            rate.write(out);
        }
        if let Some(seed) = self.seed {
            out.attr_u64(TCA_NETEM_PRNG_SEED, seed);
        }
        if let Some(distribution) = &self.distribution {
            let table: Vec<u8> = distribution.table.iter().flat_map(|value| value.to_ne_bytes()).collect();
            out.attr(TCA_NETEM_DELAY_DIST, &table);
        }
    }
}

#[cfg(test)]
mod tests;
