//! `netem`: delay, jitter and rate with the kernel's own dice.

use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::format;
use crate::tc::psched::{ns_from_ticks, ticks_from_ns};

/// Length of `struct tc_netem_qopt`, which precedes the attributes.
const QOPT_LEN: usize = 24;

/// How jitter is spread around the delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The name tc knows it by (`normal`, `pareto`, `paretonormal`).
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
/// A change keeps the rate, the distribution and the seed that the message leaves out; delay, jitter and limit are
/// always set. The kernel cannot go back from a distribution to the uniform one except by a table of a uniform one.
///
/// A time that is not a whole number of 64 ns ticks, or too long for 32 bits of them (274 s), is sent in an attribute of
/// its own as well (Linux 4.16), which tc never does: it rounds down.
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
    /// Rate of the link; 0 is without limit.
    #[doc(alias = "TCA_NETEM_RATE64")]
    pub rate_bytes_per_sec: Option<u64>,
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
            rate_bytes_per_sec: None,
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
        let mut parsed = Self {
            limit_packets: word(1),
            delay_ns: ns_from_ticks(word(0)),
            jitter_ns: ns_from_ticks(word(5)),
            ..Self::default()
        };
        let attributes = Attributes::new(rest);
        let wide = |kind| attributes.find_kind(kind).and_then(|attribute| attribute.u64());
        parsed.delay_ns = wide(TCA_NETEM_LATENCY64).unwrap_or(parsed.delay_ns);
        parsed.jitter_ns = wide(TCA_NETEM_JITTER64).unwrap_or(parsed.jitter_ns);
        let rate32 =
            attributes.find_kind(TCA_NETEM_RATE).and_then(|attribute| attribute.u32()).map(u64::from);
        parsed.rate_bytes_per_sec = wide(TCA_NETEM_RATE64).or(rate32);
        parsed.seed = wide(TCA_NETEM_PRNG_SEED);
        Some(parsed)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        let (loss, gap, duplicate) = (0, 0, 0);
        let (delay, jitter) = (ticks_from_ns(self.delay_ns), ticks_from_ns(self.jitter_ns));
        for word in [delay, self.limit_packets, loss, gap, duplicate, jitter] {
            out.raw(&word.to_ne_bytes());
        }
        for (kind, time_ns) in [(TCA_NETEM_LATENCY64, self.delay_ns), (TCA_NETEM_JITTER64, self.jitter_ns)] {
            if ns_from_ticks(ticks_from_ns(time_ns)) != time_ns {
                out.attr_u64(kind, time_ns);
            }
        }
        if let Some(rate) = self.rate_bytes_per_sec {
            // struct tc_netem_rate: rate, packet_overhead, cell_size, cell_overhead.
            let mut value = [0; 16];
            value[..4].copy_from_slice(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
            if u32::try_from(rate).is_err() {
                out.attr_u64(TCA_NETEM_RATE64, rate);
            }
            out.attr(TCA_NETEM_RATE, &value);
        }
        if let Some(seed) = self.seed {
            out.attr_u64(TCA_NETEM_PRNG_SEED, seed);
        }
        if let Some(distribution) = &self.distribution {
            let table: Vec<u8> = distribution.table.iter().flat_map(|value| value.to_ne_bytes()).collect();
            out.attr(TCA_NETEM_DELAY_DIST, &table);
        }
    }

    pub(super) fn words(&self) -> String {
        let mut words = format!(" limit {}", self.limit_packets);
        if self.delay_ns != 0 || self.jitter_ns != 0 {
            words.extend([" delay ", &format::time(self.delay_ns)]);
        }
        if self.jitter_ns != 0 {
            words.extend([" ", &format::time(self.jitter_ns)]);
        }
        // tc has no table of that name: uniform is what it does without one.
        if let Some(distribution) =
            self.distribution.as_ref().filter(|distribution| distribution.name != "uniform")
        {
            words.extend([" distribution ", &distribution.name]);
        }
        if let Some(rate) = self.rate_bytes_per_sec {
            words.extend([" rate ", &format::rate(rate)]);
        }
        if let Some(seed) = self.seed {
            words.push_str(&format!(" seed {seed}"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            limit_packets: u32,
            delay_ns in 0..i64::MAX as u64,
            jitter_ns in 0..i64::MAX as u64,
            rate_bytes_per_sec: Option<u64>,
            seed: Option<u64>,
        ) {
            let options =
                Options { limit_packets, delay_ns, jitter_ns, distribution: None, rate_bytes_per_sec, seed };
            let mut out = Writer::new();
            options.write(&mut out);
            prop_assert_eq!(Options::parse(out.as_bytes()), Some(options));
        }
    }

    #[test]
    fn a_time_in_whole_ticks_needs_no_wide_attribute() {
        let mut out = Writer::new();
        Options { delay_ns: 20_000_000, ..Options::default() }.write(&mut out);
        assert_eq!(out.as_bytes().len(), QOPT_LEN);
    }
}
