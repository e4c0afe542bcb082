//! What the classifier counted.

use serde::Serialize;
use shaper_common::abi::{Counters, Engine};

use crate::units::Delay;

/// The classifier's counters since the rules came; a GSO frame counts as the packets it becomes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen, as on the wire.
    pub bytes: u64,
    /// Packets shaped.
    pub shaped_packets: u64,
    /// Bytes shaped.
    pub shaped_bytes: u64,
    /// Packets that the bottleneck's queue had no room for.
    pub queue_drops: u64,
    /// Packets lost, as the shape asks; this and the next four are absent with `netem`, which decides on its own and counts
    /// only what it drops ([`Holder::drops`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Packets sent twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicated: Option<u64>,
    /// Packets of which a bit was flipped, copies included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupted: Option<u64>,
    /// Packets sent ahead of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reordered: Option<u64>,
    /// Packets marked congestion experienced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked: Option<u64>,
    /// Packets that a rule's filter dropped or answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub filtered: u64,
    /// Packets not shaped because no rule is for them.
    #[serde(skip_serializing_if = "is_zero")]
    pub passed_unmatched: u64,
    /// Packets not shaped because they are not IP, or neighbour discovery.
    pub passed_not_ip: u64,
    /// Packets not shaped because the time limit was over.
    pub passed_expired: u64,
    /// Packets not shaped because nobody was there to hold them.
    pub passed_unheld: u64,
    /// Packets dropped because nobody was there to hold them.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_unheld: u64,
    /// Mean delay given, the bottleneck included; absent with `netem`, which gives its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_given_mean: Option<Delay>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What of the counters an engine's classifier can tell.
#[must_use]
pub(super) fn of(counters: &Counters, engine: Option<Engine>) -> Counted {
    let mean_ns = counters.delay_ns_sum.checked_div(counters.delayed_frames);
    let decided_by_us = engine != Some(Engine::Netem);
    let told = |count: u64| decided_by_us.then_some(count);
    Counted {
        packets: counters.packets,
        bytes: counters.bytes,
        shaped_packets: counters.delayed_packets,
        shaped_bytes: counters.delayed_bytes,
        queue_drops: counters.queue_drops,
        lost: told(counters.lost),
        duplicated: told(counters.duplicated),
        corrupted: told(counters.corrupted),
        reordered: told(counters.reordered),
        marked: told(counters.marked),
        filtered: counters.filtered,
        passed_unmatched: counters.passed_unmatched,
        passed_not_ip: counters.passed_not_ip,
        passed_expired: counters.passed_expired,
        passed_unheld: counters.passed_unheld,
        dropped_unheld: counters.dropped_unheld,
        delay_given_mean: mean_ns.filter(|_| decided_by_us).map(Delay::from_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_does_not_tell_the_fates_apart() {
        let counters = Counters { packets: 5, lost: 1, marked: 2, ..Counters::default() };
        let ours = of(&counters, Some(Engine::Relay));
        assert_eq!((ours.lost, ours.duplicated, ours.marked), (Some(1), Some(0), Some(2)));
        let json = serde_json::to_value(of(&counters, Some(Engine::Netem))).unwrap();
        assert_eq!(json["packets"], 5);
        for absent in ["lost", "duplicated", "corrupted", "reordered", "marked", "delay_given_mean"] {
            assert!(json.get(absent).is_none(), "{absent}");
        }
    }
}
