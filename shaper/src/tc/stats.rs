//! Counters that every qdisc, class and action has (`TCA_STATS2`).

use crate::netlink::attr::{Attribute, Attributes};
use crate::netlink::uapi::*;

/// What went through an object since it was added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent; a super-packet counts its segments.
    pub packets: u64,
    /// Packets in the queue now.
    pub qlen: u32,
    /// Bytes in the queue now.
    pub backlog_bytes: u32,
    /// Packets dropped, modulo 2^32.
    pub drops: u32,
    /// Packets the driver gave back, modulo 2^32.
    pub requeues: u32,
    /// Times a limit was met, modulo 2^32.
    pub overlimits: u32,
    /// What the kind adds of its own (`TCA_STATS_APP`), as in [`super::qdisc::fq::Stats::parse`]; empty for netem.
    pub app: Vec<u8>,
}

impl Stats {
    /// Reads `TCA_STATS2`; what is missing counts zero.
    pub(super) fn parse(attributes: Attributes<'_>) -> Self {
        let mut stats = Self::default();
        let mut packets64 = None;
        for attribute in attributes {
            match attribute.kind {
                TCA_STATS_BASIC => {
                    stats.bytes = attribute.u64().unwrap_or_default();
                    stats.packets = word(&attribute, 2).into();
                }
                TCA_STATS_PKT64 => packets64 = attribute.u64(),
                TCA_STATS_QUEUE => {
                    stats.qlen = word(&attribute, 0);
                    stats.backlog_bytes = word(&attribute, 1);
                    stats.drops = word(&attribute, 2);
                    stats.requeues = word(&attribute, 3);
                    stats.overlimits = word(&attribute, 4);
                }
                TCA_STATS_APP => stats.app = attribute.value.to_vec(),
                _ => {}
            }
        }
        stats.packets = packets64.unwrap_or(stats.packets);
        stats
    }
}

/// Reads the 32-bit word at `index`, zero past the end.
fn word(attribute: &Attribute<'_>, index: usize) -> u32 {
    let value = attribute.value.get(index * 4..).unwrap_or_default();
    Attribute { kind: attribute.kind, value }.u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attr::Writer;

    #[test]
    fn the_wide_packet_count_wins_and_the_unknown_is_skipped() {
        let mut writer = Writer::new();
        writer
            .attr(TCA_STATS_BASIC, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
            .attr_u64(TCA_STATS_PKT64, (1 << 32) + 9)
            .attr(TCA_STATS_QUEUE, &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0])
            .attr_u32(77, 1);
        let stats = Stats::parse(Attributes::new(writer.as_bytes()));
        let expected = Stats {
            bytes: 1,
            packets: (1 << 32) + 9,
            qlen: 1,
            backlog_bytes: 2,
            drops: 3,
            requeues: 4,
            overlimits: 5,
            app: Vec::new(),
        };
        assert_eq!(stats, expected);
    }
}
