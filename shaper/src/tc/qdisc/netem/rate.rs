//! The rate that netem sends at, and what a packet takes of it.

use super::chance::{attr_words, words};
use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::format;

/// Rate and overhead (`struct tc_netem_rate`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[doc(alias = "TCA_NETEM_RATE")]
pub struct Rate {
    /// Rate of the link; 0 is without limit.
    #[doc(alias = "TCA_NETEM_RATE64")]
    pub bytes_per_sec: u64,
    /// What each packet takes beyond its length.
    pub packet_overhead_bytes: i32,
    /// Length of the cells that packets are sent in, the last one filled up; 0 is none.
    pub cell_bytes: u32,
    /// What each cell takes beyond its length.
    pub cell_overhead_bytes: i32,
}

impl Rate {
    pub(super) fn parse(attributes: Attributes<'_>) -> Option<Self> {
        let wide = attributes.find_kind(TCA_NETEM_RATE64).and_then(|attribute| attribute.u64());
        let [rate, packet, cell_bytes, cell] = words(attributes.find_kind(TCA_NETEM_RATE)?)?;
        Some(Self {
            bytes_per_sec: wide.unwrap_or_else(|| u64::from(rate)),
            packet_overhead_bytes: packet.cast_signed(),
            cell_bytes,
            cell_overhead_bytes: cell.cast_signed(),
        })
    }

    pub(super) fn write(self, out: &mut Writer) {
        let Self { bytes_per_sec, packet_overhead_bytes, cell_bytes, cell_overhead_bytes } = self;
        let rate = u32::try_from(bytes_per_sec).unwrap_or_else(|_| {
            out.attr_u64(TCA_NETEM_RATE64, bytes_per_sec);
            u32::MAX
        });
        let (packet, cell) = (packet_overhead_bytes.cast_unsigned(), cell_overhead_bytes.cast_unsigned());
        attr_words(out, TCA_NETEM_RATE, &[rate, packet, cell_bytes, cell]);
    }

    pub(super) fn words(self) -> String {
        let mut words = format!(" rate {}", format::rate(self.bytes_per_sec));
        let cells = (self.cell_bytes, self.cell_overhead_bytes) != (0, 0);
        if self.packet_overhead_bytes != 0 || cells {
            words.push_str(&format!(" {}", self.packet_overhead_bytes));
        }
        if cells {
            words.push_str(&format!(" {}", self.cell_bytes));
        }
        if self.cell_overhead_bytes != 0 {
            words.push_str(&format!(" {}", self.cell_overhead_bytes));
        }
        words
    }
}
