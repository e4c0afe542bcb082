//! What is measured, and how long it takes.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::longest_delay;
use crate::measure::ping::Train;
use crate::measure::stats::Summary;
use crate::measure::tcp::Bulk;
use crate::shape::Shape;
use crate::units::Size;

/// Between two pings, unless the link is too slow for that.
const INTERVAL: Duration = Duration::from_millis(20);
/// What is spent on pings under a shape, besides the last one's round trip.
const PING_TIME: Duration = Duration::from_millis(800);
/// A ping of 56 bytes on the wire: with the headers of ICMP, IPv4 and Ethernet.
const PING_SIZE: Size = Size::from_bytes(56 + 8 + 20 + 14);
/// A reply that takes this much longer than the shape is lost.
const GRACE: Duration = Duration::from_secs(1);

/// How long a transfer is measured, and the least that it has to carry meanwhile.
const FLOW_TIME: Duration = Duration::from_millis(1_500);
const FLOW_PACKETS: Size = Size::from_bytes(20 * 1_514);
/// What TCP gets under way within a short transfer with the kernel's default socket buffers.
const UNDER_WAY: Size = Size::from_bytes(1 << 20);
const LATENCY_MOST: Duration = Duration::from_millis(200);

/// What a link did.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Reading {
    /// Pings sent.
    pub(super) sent: usize,
    /// Pings answered.
    pub(super) answered: usize,
    /// Round-trip times; `null` without an answer.
    pub(super) rtt: Option<Rtt>,
    /// What one TCP flow carried, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goodput_bits_per_sec: Option<u64>,
}

/// Round-trip times.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rtt {
    pub(super) median_ns: u64,
    pub(super) mean_ns: u64,
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
    pub(super) deviation_ns: u64,
}

impl Reading {
    pub(super) fn new(sent: usize, rtt: Option<&Summary>) -> Self {
        let rtt_ns = rtt.map(|rtt| Rtt {
            median_ns: rtt.p50 as u64,
            mean_ns: rtt.mean as u64,
            min_ns: rtt.min as u64,
            max_ns: rtt.max as u64,
            deviation_ns: rtt.deviation as u64,
        });
        Self { sent, answered: rtt.map_or(0, |rtt| rtt.count), rtt: rtt_ns, goodput_bits_per_sec: None }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rtt {
            None => write!(f, "no answer to {} pings", self.sent)?,
            Some(rtt) => {
                write!(
                    f,
                    "round trip {} (median), {} to {}",
                    ms(rtt.median_ns),
                    ms(rtt.min_ns),
                    ms(rtt.max_ns)
                )?;
                if self.answered < self.sent {
                    write!(f, ", {} lost", self.sent - self.answered)?;
                }
            }
        }
        match self.goodput_bits_per_sec {
            Some(goodput) => write!(f, "; one TCP flow {}", bits(goodput as f64)),
            None => Ok(()),
        }
    }
}

/// The pings to send through `shape`.
pub(super) fn train(shape: Option<&Shape>) -> Train {
    let Some(shape) = shape else { return Train::default() };
    let serialised = shape
        .bandwidth()
        .and_then(|bandwidth| bandwidth.time_for(PING_SIZE))
        .map_or(Duration::ZERO, Duration::from);
    let interval = INTERVAL.max(2 * serialised);
    let count = (PING_TIME.as_nanos() / interval.as_nanos()).clamp(3, 40) as usize;
    Train { count, interval, timeout: longest_delay(shape) + 2 * serialised + GRACE, ..Train::default() }
}

/// The transfers to measure unshaped and through `shape`: a warm-up that fills its queue, then long enough for a steady
/// reading. `None` without a bandwidth, and where a short transfer says nothing of it: below [`FLOW_PACKETS`] packets, or
/// when so much is under way that TCP's window and not the link bounds it.
pub(super) fn bulks(shape: &Shape) -> Option<(Bulk, Bulk)> {
    let bandwidth = shape.bandwidth()?;
    let latency = Duration::from(shape.latency());
    let packets_take = Duration::from(bandwidth.time_for(FLOW_PACKETS)?);
    let under_way_takes = Duration::from(bandwidth.time_for(UNDER_WAY)?);
    if packets_take > FLOW_TIME || latency > LATENCY_MOST || latency > under_way_takes {
        return None;
    }
    let unshaped = Bulk { warm_up: Duration::from_millis(100), duration: Duration::from_millis(200) };
    // From 10 packets to a megabyte under way takes slow start some seven round trips.
    let shaped = Bulk { warm_up: Duration::from_millis(300) + 8 * latency, duration: FLOW_TIME };
    Some((unshaped, shaped))
}

/// Milliseconds, to the microsecond.
pub(super) fn ms(ns: u64) -> String {
    let us = ns.saturating_add(500) / 1_000;
    format!("{}.{:03} ms", us / 1_000, us % 1_000)
}

/// Bits per second in the unit that suits them.
pub(super) fn bits(per_sec: f64) -> String {
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    let (scale, unit) = units.into_iter().find(|(scale, _)| per_sec >= *scale).unwrap_or((1.0, "bit/s"));
    format!("{:.2} {unit}", per_sec / scale)
}
