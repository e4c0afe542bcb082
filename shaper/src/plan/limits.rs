//! How much a shape may keep waiting: the bounds of `fq`, `netem` and the relay.
//!
//! Without these the defaults bite: 100 packets for each flow in `fq`, 1000 in `netem`. They are the room that the shape
//! itself needs, so what they drop is beyond what was asked for; the bottleneck's own queue is bounded elsewhere.

use crate::shape::{PACKET, Shape};
use crate::units::Delay;

/// Packets per second that an unlimited link is given room for; a core of today sends fewer small ones.
const PACKETS_PER_SEC: u64 = 2_000_000;
/// Bytes per second that an unlimited link is given room for: 20 Gbit/s.
const BYTES_PER_SEC: u64 = 2_500_000_000;
/// A frame of Ethernet's least length.
const LEAST_PACKET_BYTES: u64 = 60;
/// Room beyond the shape's need, so that a late reader drops nothing.
const PACKETS_LEAST: u64 = 10_000;
/// 4 million packets, some 3 GB of memory in the kernel: a long delay at full speed ends here.
const PACKETS_MOST: u64 = 4_000_000;
const BYTES_LEAST: u64 = 64 << 20;
const BYTES_MOST: u64 = 4 << 30;
/// No delay is further from the mean than this many times the jitter (the tables are cut at 4 deviations).
const TAIL: u64 = 4;
const NS_PER_SEC: u128 = 1_000_000_000;

/// Longest time from a packet's arrival to its departure.
#[must_use]
pub fn longest_stay(shape: &Shape) -> Delay {
    let queue_ns = shape.queue_time().map_or(0, Delay::as_ns);
    let spread_ns = shape.jitter().as_ns().saturating_mul(TAIL);
    Delay::from_ns(shape.latency().as_ns().saturating_add(spread_ns).saturating_add(queue_ns))
}

/// Packets that may wait, whatever their size.
#[must_use]
pub fn packets(shape: &Shape) -> u32 {
    let per_sec = match shape.bandwidth() {
        Some(rate) => (rate.bytes_per_sec() / LEAST_PACKET_BYTES).min(PACKETS_PER_SEC),
        None => PACKETS_PER_SEC,
    };
    let packets = in_flight(per_sec, longest_stay(shape)).saturating_add(PACKETS_LEAST);
    u32::try_from(packets.min(PACKETS_MOST)).unwrap_or(u32::MAX)
}

/// Bytes that may wait.
#[must_use]
pub fn bytes(shape: &Shape) -> u64 {
    let per_sec = shape.bandwidth().map_or(BYTES_PER_SEC, |rate| rate.bytes_per_sec().min(BYTES_PER_SEC));
    in_flight(per_sec, longest_stay(shape)).saturating_add(BYTES_LEAST).min(BYTES_MOST)
}

/// Packets that `netem` may hold: with a bandwidth, this is the bottleneck's queue too.
///
/// netem counts packets, so the bound is that of full-size ones: rate × latency for those on their way, and the queue.
#[must_use]
pub fn netem_packets(shape: &Shape) -> u32 {
    let (Some(rate), Some(queue)) = (shape.bandwidth(), shape.queue_time()) else {
        return packets(shape);
    };
    let on_the_way = in_flight(rate.bytes_per_sec(), shape.latency());
    let queued = in_flight(rate.bytes_per_sec(), queue);
    let packets = (on_the_way + queued).div_ceil(PACKET.bytes()).max(1);
    u32::try_from(packets.min(PACKETS_MOST)).unwrap_or(u32::MAX)
}

fn in_flight(per_sec: u64, time: Delay) -> u64 {
    u64::try_from(u128::from(per_sec) * u128::from(time.as_ns()) / NS_PER_SEC).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Parts;

    fn shape(latency: &str, bandwidth: Option<&str>, queue: Option<&str>) -> Shape {
        Shape::new(Parts {
            latency: Some(latency.parse().unwrap()),
            bandwidth: bandwidth.map(|bandwidth| bandwidth.parse().unwrap()),
            queue: queue.map(|queue| queue.parse().unwrap()),
            ..Parts::default()
        })
        .unwrap()
    }

    #[test]
    fn an_unlimited_link_has_room_for_what_a_core_can_send() {
        assert_eq!(packets(&shape("100ms", None, None)), 210_000);
        assert_eq!(bytes(&shape("100ms", None, None)), 250_000_000 + BYTES_LEAST);
        assert_eq!(u64::from(packets(&shape("1h", None, None))), PACKETS_MOST);
        assert_eq!(bytes(&shape("1h", None, None)), BYTES_MOST);
    }

    #[test]
    fn a_rate_bounds_what_can_be_on_the_way() {
        // 1 Gbit/s × (100 ms + 100 ms of queue) is 25 MB.
        assert_eq!(bytes(&shape("100ms", Some("1gbit"), None)), 25_000_000 + BYTES_LEAST);
        let ten = shape("100ms", Some("10mbit"), None);
        assert_eq!(u64::from(packets(&ten)), 1_250_000 / 60 / 5 + PACKETS_LEAST);
    }

    #[test]
    fn netem_holds_the_latency_and_the_queue_in_full_size_packets() {
        // 10 Mbit/s: 100 ms are 125,000 bytes, and so is the default queue.
        assert_eq!(netem_packets(&shape("100ms", Some("10mbit"), None)), 250_000u32.div_ceil(1_514));
        assert_eq!(netem_packets(&shape("0ms", Some("10mbit"), Some("1514b"))), 1);
    }
}
