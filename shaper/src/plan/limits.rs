//! How much a shape may keep waiting: the bounds of `fq`, `netem` and the relay.
//!
//! Without these the defaults bite: 100 packets for each flow in `fq`, 1000 in `netem`. They are the room that the shape
//! itself needs, so what they drop is beyond what was asked for; the bottleneck's own queue is bounded elsewhere.

use super::Needs;
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
fn longest_stay(shape: &Shape) -> Delay {
    let queue_ns = shape.queue_time().map_or(0, Delay::as_ns);
    let spread_ns = shape.jitter().as_ns().saturating_mul(TAIL);
    Delay::from_ns(shape.latency().as_ns().saturating_add(spread_ns).saturating_add(queue_ns))
}

/// Copies of a packet that may wait, itself included. A rate counts them by itself: each takes its time on the bottleneck.
fn copies(shape: &Shape) -> u64 {
    if shape.duplicate().is_some() { 2 } else { 1 }
}

/// What the rules of one direction may keep waiting together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Packets, whatever their size.
    pub packets: u32,
    /// Bytes.
    pub bytes: u64,
    /// Longest time from a packet's arrival to its departure.
    pub longest_stay: Delay,
}

impl Room {
    /// The room that all the shapes need.
    ///
    /// What an unlimited link is given room for is what can be sent at all, so it is counted once, for the longest delay.
    #[must_use]
    pub fn of(needs: &Needs) -> Self {
        let mut room =
            Self { packets: PACKETS_LEAST as u32, bytes: BYTES_LEAST, longest_stay: Delay::default() };
        let (mut limited_packets, mut limited_bytes) = (0, 0);
        for shape in &needs.shapes {
            room.longest_stay = room.longest_stay.max(longest_stay(shape));
            if shape.bandwidth().is_some() {
                limited_packets += u64::from(packets(shape)) - PACKETS_LEAST;
                limited_bytes += bytes(shape).saturating_sub(BYTES_LEAST);
            } else {
                room.packets = room.packets.max(packets(shape));
                room.bytes = room.bytes.max(bytes(shape));
            }
        }
        let packets = (u64::from(room.packets) + limited_packets).min(PACKETS_MOST);
        room.packets = u32::try_from(packets).unwrap_or(u32::MAX);
        room.bytes = (room.bytes + limited_bytes).min(BYTES_MOST);
        room
    }
}

/// Packets that may wait, whatever their size.
fn packets(shape: &Shape) -> u32 {
    let unlimited = PACKETS_PER_SEC * copies(shape);
    let per_sec = match shape.bandwidth() {
        Some(rate) => (rate.bytes_per_sec() / LEAST_PACKET_BYTES).min(unlimited),
        None => unlimited,
    };
    let packets = in_flight(per_sec, longest_stay(shape)).saturating_add(PACKETS_LEAST);
    u32::try_from(packets.min(PACKETS_MOST)).unwrap_or(u32::MAX)
}

/// Bytes that may wait.
fn bytes(shape: &Shape) -> u64 {
    let unlimited = BYTES_PER_SEC * copies(shape);
    let per_sec = shape.bandwidth().map_or(unlimited, |rate| rate.bytes_per_sec().min(unlimited));
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
    use crate::shape::shape_of;

    #[test]
    fn an_unlimited_link_has_room_for_what_a_core_can_send() {
        assert_eq!(packets(&shape_of("latency=100ms")), 210_000);
        assert_eq!(bytes(&shape_of("latency=100ms")), 250_000_000 + BYTES_LEAST);
        assert_eq!(u64::from(packets(&shape_of("latency=1h"))), PACKETS_MOST);
        assert_eq!(bytes(&shape_of("latency=1h")), BYTES_MOST);
    }

    #[test]
    fn a_rate_bounds_what_can_be_on_the_way() {
        // 1 Gbit/s × (100 ms + 100 ms of queue) is 25 MB.
        assert_eq!(bytes(&shape_of("latency=100ms bandwidth=1gbit")), 25_000_000 + BYTES_LEAST);
        let ten = shape_of("latency=100ms bandwidth=10mbit");
        assert_eq!(u64::from(packets(&ten)), 1_250_000 / 60 / 5 + PACKETS_LEAST);
    }

    #[test]
    fn netem_holds_the_latency_and_the_queue_in_full_size_packets() {
        // 10 Mbit/s: 100 ms are 125,000 bytes, and so is the default queue.
        assert_eq!(netem_packets(&shape_of("latency=100ms bandwidth=10mbit")), 250_000u32.div_ceil(1_514));
        assert_eq!(netem_packets(&shape_of("latency=0ms bandwidth=10mbit queue=1514b")), 1);
    }

    #[test]
    fn copies_wait_too_and_take_their_part_of_a_rate() {
        assert_eq!(packets(&shape_of("latency=100ms duplicate=1%")), 410_000);
        assert_eq!(bytes(&shape_of("latency=100ms duplicate=1%")), 500_000_000 + BYTES_LEAST);
        let rate = "latency=100ms bandwidth=10mbit";
        assert_eq!(packets(&shape_of(&format!("{rate} duplicate=1%"))), packets(&shape_of(rate)));
        assert_eq!(bytes(&shape_of(&format!("{rate} duplicate=1%"))), bytes(&shape_of(rate)));
    }

    #[test]
    fn what_only_loses_packets_keeps_none_waiting() {
        assert_eq!(longest_stay(&shape_of("loss=10%")), Delay::ZERO);
        assert_eq!(u64::from(packets(&shape_of("loss=10%"))), PACKETS_LEAST);
    }
}
