//! `htb`: classes, each with a rate it is assured of and a ceiling it may borrow up to.

use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::format;
use crate::tc::psched::{CLOCK_HZ, xmit_ticks};

/// Options of the qdisc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qdisc {
    /// Minor number of the class for unclassified packets, in hex as tc has it; 0 sends them at once.
    pub default_class: u16,
    /// A class without a quantum takes its rate divided by this.
    pub rate2quantum: u32,
    /// Packets in the queue of those that no class wants; `None` takes the link's txqlen.
    #[doc(alias = "TCA_HTB_DIRECT_QLEN")]
    pub direct_qlen_packets: Option<u32>,
}

impl Default for Qdisc {
    /// tc's defaults.
    fn default() -> Self {
        Self { default_class: 0, rate2quantum: 10, direct_qlen_packets: None }
    }
}

impl Qdisc {
    pub(super) fn write(&self, out: &mut Writer) {
        let (debug, direct_pkts) = (0, 0);
        let glob = [TC_HTB_PROTOVER, self.rate2quantum, self.default_class.into(), debug, direct_pkts];
        out.attr(TCA_HTB_INIT, &words_bytes(&glob));
        if let Some(packets) = self.direct_qlen_packets {
            out.attr_u32(TCA_HTB_DIRECT_QLEN, packets);
        }
    }

    pub(super) fn words(&self) -> String {
        let mut words = format!(" default {:x} r2q {}", self.default_class, self.rate2quantum);
        if let Some(packets) = self.direct_qlen_packets {
            words.push_str(&format!(" direct_qlen {packets}"));
        }
        words
    }
}

/// Options of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Rate the class is assured of, from 1.
    #[doc(alias = "TCA_HTB_RATE64")]
    pub rate_bytes_per_sec: u64,
    /// Rate the class may reach by borrowing, not below the rate.
    #[doc(alias = "TCA_HTB_CEIL64")]
    pub ceil_bytes_per_sec: u64,
    /// Bytes that may leave back to back at no less than the rate; `None` takes tc's default, a packet and a tick.
    pub burst_bytes: Option<u32>,
    /// Bytes that may leave back to back at no less than the ceiling; `None` as above.
    pub cburst_bytes: Option<u32>,
    /// Bytes sent before the next class's turn, up to 200 000; `None` takes the rate divided by the qdisc's `r2q`.
    pub quantum_bytes: Option<u32>,
    /// Order in which classes borrow, 0 (first) to 7.
    pub prio: u32,
}

/// What tc takes for the largest packet: it sets the step of the rate tables and the default burst.
const MTU_BYTES: u64 = 1600;
/// Step of the rate tables: the smallest power of two whose 256 multiples cover [`MTU_BYTES`].
const CELL_LOG: u8 = 3;
const _: () = assert!(MTU_BYTES >> CELL_LOG <= 255 && MTU_BYTES >> (CELL_LOG - 1) > 255);
const TABLE_LEN: u64 = 256;
/// `TC_LINKLAYER_ETHERNET`.
const LINKLAYER_ETHERNET: u8 = 1;

impl Class {
    /// Makes a class that never borrows, with tc's default bursts.
    pub fn with_rate(rate_bytes_per_sec: u64) -> Self {
        Self {
            rate_bytes_per_sec,
            ceil_bytes_per_sec: rate_bytes_per_sec,
            burst_bytes: None,
            cburst_bytes: None,
            quantum_bytes: None,
            prio: 0,
        }
    }

    pub(in crate::tc) fn write(&self, out: &mut Writer) {
        let (rate, ceil) = (self.rate_bytes_per_sec, self.ceil_bytes_per_sec);
        let burst = self.burst_bytes.map_or_else(|| default_burst(rate), u64::from);
        let cburst = self.cburst_bytes.map_or_else(|| default_burst(ceil), u64::from);
        for (kind, rate) in [(TCA_HTB_RATE64, rate), (TCA_HTB_CEIL64, ceil)] {
            if u32::try_from(rate).is_err() {
                out.attr_u64(kind, rate);
            }
        }
        let level = 0;
        let mut opt = Vec::with_capacity(44);
        opt.extend(ratespec(rate));
        opt.extend(ratespec(ceil));
        let quantum = self.quantum_bytes.unwrap_or_default();
        opt.extend(words_bytes(&[
            xmit_ticks(burst, rate),
            xmit_ticks(cburst, ceil),
            quantum,
            level,
            self.prio,
        ]));
        out.attr(TCA_HTB_PARMS, &opt);
        out.attr(TCA_HTB_RTAB, &rate_table(rate));
        out.attr(TCA_HTB_CTAB, &rate_table(ceil));
    }

    pub(in crate::tc) fn words(&self) -> String {
        let rate = format::rate(self.rate_bytes_per_sec);
        let ceil = format::rate(self.ceil_bytes_per_sec);
        let mut words = format!(" rate {rate} ceil {ceil}");
        for (key, value) in
            [("burst", self.burst_bytes), ("cburst", self.cburst_bytes), ("quantum", self.quantum_bytes)]
        {
            if let Some(value) = value {
                words.push_str(&format!(" {key} {value}"));
            }
        }
        words + &format!(" prio {}", self.prio)
    }

    /// Reads the rate and the ceiling of a dump, in bytes per second; the bursts are ticks there and not read.
    pub fn parse_rates(options: &[u8]) -> Option<(u64, u64)> {
        let attributes = Attributes::new(options);
        let parms = attributes.find_kind(TCA_HTB_PARMS)?.value;
        let word =
            |offset| parms.get(offset..)?.first_chunk().map(|bytes| u64::from(u32::from_ne_bytes(*bytes)));
        let wide = |kind| attributes.find_kind(kind).and_then(|attribute| attribute.u64());
        Some((wide(TCA_HTB_RATE64).or_else(|| word(8))?, wide(TCA_HTB_CEIL64).or_else(|| word(20))?))
    }
}

/// tc's default: what the rate sends in a tick of the scheduler's clock, and a packet.
fn default_burst(rate_bytes_per_sec: u64) -> u64 {
    rate_bytes_per_sec / CLOCK_HZ + MTU_BYTES
}

/// `struct tc_ratespec`: the rate is all ones when it does not fit and is in an attribute of its own.
fn ratespec(rate_bytes_per_sec: u64) -> [u8; 12] {
    let (overhead, cell_align, mpu) = (0u16, -1i16, 0u16);
    let rate = u32::try_from(rate_bytes_per_sec).unwrap_or(u32::MAX);
    let mut spec = [0; 12];
    spec[0] = CELL_LOG;
    spec[1] = LINKLAYER_ETHERNET;
    spec[2..4].copy_from_slice(&overhead.to_ne_bytes());
    spec[4..6].copy_from_slice(&cell_align.to_ne_bytes());
    spec[6..8].copy_from_slice(&mpu.to_ne_bytes());
    spec[8..12].copy_from_slice(&rate.to_ne_bytes());
    spec
}

/// The ticks of packets of each size step; kernels since 3.9 compute them and only check that the table is there.
fn rate_table(rate_bytes_per_sec: u64) -> Vec<u8> {
    let ticks: Vec<_> =
        (1..=TABLE_LEN).map(|cell| xmit_ticks(cell << CELL_LOG, rate_bytes_per_sec)).collect();
    words_bytes(&ticks)
}

fn words_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
