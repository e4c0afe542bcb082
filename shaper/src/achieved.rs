//! Asked against achieved: whether what became of packets is what the shape says, as far as their number can tell. Pure.

mod chance;
mod delay;
mod rate;

use serde::Serialize;
use shaper_common::abi::Counters;

use crate::shape::Shape;
use crate::units::{Delay, Rate};

/// Standard errors within which chance keeps 999 of 1000 readings.
const SIGMAS: f64 = 3.29;
/// How late packets may leave in the mean: what a median round trip may be off.
pub const LATE_MAX: Delay = Delay::from_us(500);
/// Share by which the rate may be off while there is demand for it: what goodput may be.
pub const RATE_SHARE: f64 = 0.02;

/// One part of a shape: what was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Achieved {
    /// `delay`, `rate`, `loss`, `duplicate`, `corrupt` or `reorder`.
    pub what: &'static str,
    /// What was asked for; in the mean, for jitter and loss models.
    pub asked: Quantity,
    /// What it came to.
    pub achieved: Quantity,
    /// Packets that this rests on; for `delay` and `rate`, a GSO frame is one.
    pub packets: u64,
    /// Whether it is as asked: the difference is no more than chance makes of it in 999 of 1000 cases, packets left no later than
    /// [`LATE_MAX`] in the mean, and the rate was that asked within [`RATE_SHARE`]. Absent when the packets are too few to say, the
    /// model has no simple answer, or the demand was below the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_chance: Option<bool>,
    /// `rate`: the share of the time that the bottleneck had something to send, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<f64>,
}

/// What was asked for or achieved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// The share of the packets that something happens to, 0 to 1.
    Share(f64),
    /// The mean propagation delay.
    Delay(Delay),
    /// Bytes that the bottleneck sends, what it adds to packets included.
    Rate(Rate),
}

/// What the holder makes of packets whose fate is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Holding {
    /// How late they leave in the mean, where that is known: of all rules, since the holder is there.
    pub late_mean: Option<Delay>,
    /// The share of them that it drops, 0 to 1.
    pub dropped_share: f64,
}

/// Compares what was counted under a shape, on an engine that decides with our core, with what it asks.
#[must_use]
pub fn of(shape: &Shape, counters: &Counters, holding: Holding) -> Vec<Achieved> {
    let mut all = Vec::new();
    all.extend(delay::of(shape, counters, holding));
    all.extend(rate::of(shape, counters, holding));
    all.extend(chance::of(shape, counters));
    all
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use shaper_common::decide::{Copied, Fate, Frame, State, decide};

    use super::*;
    use crate::plan::rule;
    use crate::shape::shape_of;

    /// Bytes of each packet.
    pub(super) const BYTES: u32 = 1_000;

    /// What the core makes of `packets` packets under `shape`, one each nanosecond.
    pub(super) fn counted(shape: &str, packets: u64, seed: u64) -> Counters {
        counted_each(shape, packets, 1, seed)
    }

    /// What the core makes of `packets` packets under `shape`, one every `gap_ns`.
    pub(super) fn counted_each(shape: &str, packets: u64, gap_ns: u64, seed: u64) -> Counters {
        let rule = rule::of_shape(&shape_of(shape), seed);
        let [free_at_ns, sequence, last_at_ns] = [const { AtomicU64::new(0) }; 3];
        let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
        let mut counters = Counters::default();
        for now_ns in (0..packets).map(|packet| packet * gap_ns) {
            match decide(&rule, &state, &(), Frame { wire_bytes: BYTES, wire_packets: 1 }, now_ns) {
                Fate::Lost => counters.lost += 1,
                Fate::QueueFull => counters.queue_drops += 1,
                Fate::Depart { packet, copy, reordered, crossing, .. } => {
                    counters.delayed_packets += 1;
                    counters.delayed_frames += 1;
                    counters.delay_ns_sum += packet.at_ns - now_ns;
                    counters.queue_ns_sum += crossing.sent_ns - now_ns;
                    counters.link_bytes += crossing.bytes;
                    counters.link_busy_ns += crossing.busy_ns;
                    counters.link_idle_ns += crossing.idle_ns;
                    counters.corrupted += u64::from(packet.corrupt != 0);
                    counters.reordered += reordered;
                    counters.reordered_frames += reordered;
                    if let Copied::Depart(copy) = copy {
                        counters.duplicated += 1;
                        counters.corrupted += u64::from(copy.corrupt != 0);
                    }
                }
            }
        }
        counters
    }

    #[test]
    fn quantities_are_what_the_flags_take_and_shares_numbers() {
        let all = of(
            &shape_of("latency=10ms bandwidth=8mbit loss=25%"),
            &counted("latency=10ms", 1, 1),
            Holding::default(),
        );
        let json = serde_json::to_value(all).unwrap();
        let rows = json.as_array().unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row["what"].clone(), row["asked"].clone())).collect();
        let expected = [("delay", "10ms".into()), ("rate", "8Mbit".into()), ("loss", 0.25.into())];
        assert_eq!(told, expected.map(|(what, asked): (&str, serde_json::Value)| (what.into(), asked)));
        assert_eq!(rows[0]["achieved"], "10ms");
    }
}
