//! `fq`: one queue per flow, each packet held until its departure time.

use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::format;

/// Options of `fq`; what is `None` keeps its value, the kernel's default at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Packets in all queues together; the kernel's default is 10 000.
    #[doc(alias = "TCA_FQ_PLIMIT")]
    pub limit_packets: Option<u32>,
    /// Packets in one flow's queue; the kernel's default is 100.
    #[doc(alias = "TCA_FQ_FLOW_PLIMIT")]
    pub flow_limit_packets: Option<u32>,
    /// Logarithm of the number of hash buckets, 1 to 18; the kernel's default is 10.
    #[doc(alias = "TCA_FQ_BUCKETS_LOG")]
    pub buckets_log2: Option<u32>,
    /// Bytes a flow sends in its turn; the kernel's default is two packets.
    #[doc(alias = "TCA_FQ_QUANTUM")]
    pub quantum_bytes: Option<u32>,
    /// Bytes a new flow sends in its first turn; the kernel's default is ten packets.
    #[doc(alias = "TCA_FQ_INITIAL_QUANTUM")]
    pub initial_quantum_bytes: Option<u32>,
    /// Whether a socket's own pacing rate is kept; the kernel's default is yes. Departure times are kept either way.
    #[doc(alias = "TCA_FQ_RATE_ENABLE")]
    pub pacing: Option<bool>,
    /// Rate below which each packet is paced alone; the kernel's default is 68 750 (550 kbit/s).
    #[doc(alias = "TCA_FQ_LOW_RATE_THRESHOLD")]
    pub low_rate_threshold_bytes_per_sec: Option<u32>,
    /// Mask of the hash that spreads packets without a socket over flows; the kernel's default is 1023.
    #[doc(alias = "TCA_FQ_ORPHAN_MASK")]
    pub orphan_mask: Option<u32>,
    /// How late the timer may fire so as to be shared; the kernel's default is 10 000 ns.
    #[doc(alias = "TCA_FQ_TIMER_SLACK")]
    pub timer_slack_ns: Option<u32>,
    /// Furthest departure time from now; the kernel's default is 10 s.
    #[doc(alias = "TCA_FQ_HORIZON")]
    pub horizon_us: Option<u32>,
    /// Whether a packet beyond the horizon is dropped or leaves at the horizon; the kernel's default is drop.
    #[doc(alias = "TCA_FQ_HORIZON_DROP")]
    pub horizon_drop: Option<bool>,
}

impl Options {
    /// Reads `TCA_OPTIONS` of a dump.
    pub fn parse(options: &[u8]) -> Self {
        let mut parsed = Self::default();
        for attribute in Attributes::new(options) {
            let value = attribute.u32();
            match attribute.kind {
                TCA_FQ_PLIMIT => parsed.limit_packets = value,
                TCA_FQ_FLOW_PLIMIT => parsed.flow_limit_packets = value,
                TCA_FQ_BUCKETS_LOG => parsed.buckets_log2 = value,
                TCA_FQ_QUANTUM => parsed.quantum_bytes = value,
                TCA_FQ_INITIAL_QUANTUM => parsed.initial_quantum_bytes = value,
                TCA_FQ_RATE_ENABLE => parsed.pacing = value.map(|value| value != 0),
                TCA_FQ_LOW_RATE_THRESHOLD => parsed.low_rate_threshold_bytes_per_sec = value,
                TCA_FQ_ORPHAN_MASK => parsed.orphan_mask = value,
                TCA_FQ_TIMER_SLACK => parsed.timer_slack_ns = value,
                TCA_FQ_HORIZON => parsed.horizon_us = value,
                TCA_FQ_HORIZON_DROP => parsed.horizon_drop = attribute.u8().map(|value| value != 0),
                _ => {}
            }
        }
        parsed
    }

    pub(super) fn write(&self, out: &mut Writer) {
        for (kind, value) in [
            (TCA_FQ_BUCKETS_LOG, self.buckets_log2),
            (TCA_FQ_PLIMIT, self.limit_packets),
            (TCA_FQ_FLOW_PLIMIT, self.flow_limit_packets),
            (TCA_FQ_QUANTUM, self.quantum_bytes),
            (TCA_FQ_INITIAL_QUANTUM, self.initial_quantum_bytes),
            (TCA_FQ_RATE_ENABLE, self.pacing.map(u32::from)),
            (TCA_FQ_LOW_RATE_THRESHOLD, self.low_rate_threshold_bytes_per_sec),
            (TCA_FQ_ORPHAN_MASK, self.orphan_mask),
            (TCA_FQ_TIMER_SLACK, self.timer_slack_ns),
            (TCA_FQ_HORIZON, self.horizon_us),
        ] {
            if let Some(value) = value {
                out.attr_u32(kind, value);
            }
        }
        if let Some(drop) = self.horizon_drop {
            out.attr_u8(TCA_FQ_HORIZON_DROP, drop.into());
        }
    }

    pub(super) fn words(&self) -> String {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let mut words = String::new();
        for (key, value) in [
            ("limit", number(self.limit_packets)),
            ("flow_limit", number(self.flow_limit_packets)),
            ("buckets", self.buckets_log2.map(|log2| (1u64 << log2.min(63)).to_string())),
            ("quantum", number(self.quantum_bytes)),
            ("initial_quantum", number(self.initial_quantum_bytes)),
            (
                "low_rate_threshold",
                self.low_rate_threshold_bytes_per_sec.map(|rate| format::rate(rate.into())),
            ),
            ("orphan_mask", number(self.orphan_mask)),
            ("timer_slack", self.timer_slack_ns.map(|slack| format::time(slack.into()))),
            ("horizon", self.horizon_us.map(|horizon| format::time(u64::from(horizon) * 1000))),
        ] {
            if let Some(value) = value {
                words.extend([" ", key, " ", &value]);
            }
        }
        if let Some(pacing) = self.pacing {
            words.push_str(if pacing { " pacing" } else { " nopacing" });
        }
        if let Some(drop) = self.horizon_drop {
            words.push_str(if drop { " horizon_drop" } else { " horizon_cap" });
        }
        words
    }
}

/// What fq counts of its own (`struct tc_fq_qd_stats`); a field that an older kernel lacks is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets that found their flow's queue full.
    pub flows_plimit: u64,
    /// Packets that waited for their departure time.
    pub throttled: u64,
    /// Flows now.
    pub flows: u32,
    /// Flows now waiting for a departure time.
    pub throttled_flows: u32,
    /// How late the timer fires, as a moving average.
    pub unthrottle_latency_ns: u32,
    /// Packets dropped beyond the horizon.
    pub horizon_drops: u64,
    /// Packets brought forward to the horizon.
    pub horizon_caps: u64,
}

impl Stats {
    /// Reads `TCA_STATS_APP` of a dump ([`crate::tc::Stats::app`]).
    pub fn parse(app: &[u8]) -> Self {
        let u64_at = |offset| {
            app.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
        };
        let u32_at = |offset| {
            app.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
        };
        // Eight 64-bit counters, four 32-bit ones, then 64-bit ones in the order of their kernels.
        Self {
            throttled: u64_at(24),
            flows_plimit: u64_at(32),
            flows: u32_at(64),
            throttled_flows: u32_at(72),
            unthrottle_latency_ns: u32_at(76),
            horizon_drops: u64_at(88),
            horizon_caps: u64_at(96),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernels_shorter_statistics_read_as_zero() {
        let mut app = vec![0; 80];
        app[32] = 5;
        app[76] = 7;
        let expected = Stats { flows_plimit: 5, unthrottle_latency_ns: 7, ..Stats::default() };
        assert_eq!(Stats::parse(&app), expected);
        assert_eq!(Stats::parse(&[]), Stats::default());
    }
}
