//! The fate of a packet: everything between its arrival at the classifier and its departure time.

use core::num::NonZeroU64;

use crate::abi::Rule;
use crate::bottleneck::{self, Bottleneck};
use crate::jitter;
use crate::random::{Purpose, draw};

/// A counter that several CPUs change at once.
pub trait Shared {
    /// Reads the value once.
    fn read(&self) -> u64;
    /// Stores `new` if the value is still `seen`; returns the value found.
    fn compare_exchange(&self, seen: u64, new: u64) -> u64;
    /// Adds `n` and returns the value before.
    fn fetch_add(&self, n: u64) -> u64;
}

/// The running state of a rule, as [`crate::abi::RuleState`] lays it out.
#[derive(Debug)]
pub struct State<'a, S> {
    /// When the bottleneck will have sent all it has accepted.
    pub free_at_ns: &'a S,
    /// Packets seen.
    pub packets: &'a S,
}

/// What the decision needs to know of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes on the wire, the headers of every segment of a GSO frame included.
    pub wire_bytes: u32,
    /// Packets on the wire; 1 for a frame that is not GSO.
    pub wire_packets: u32,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The rule no longer applies: the packet goes on as if it did not exist.
    Expired,
    /// The bottleneck's queue was full.
    QueueFull,
    /// The packet leaves at this `CLOCK_MONOTONIC` time, never before its arrival.
    Depart {
        /// Departure time.
        at_ns: u64,
    },
}

/// CPUs that race for the bottleneck at most this often before one of them takes its place without looking at the bound.
/// Each failed exchange means that another CPU succeeded, so only a storm of more CPUs than this can get there.
const ATTEMPTS: u32 = 16;

/// Decides the fate of a frame that arrives at `now_ns`.
#[inline(always)]
pub fn decide<S: Shared>(rule: &Rule, state: &State<'_, S>, frame: Frame, now_ns: u64) -> Fate {
    if rule.expires_ns != 0 && now_ns >= rule.expires_ns {
        return Fate::Expired;
    }
    let index = state.packets.fetch_add(frame.wire_packets as u64);
    let sent_ns = match serialise(rule, state.free_at_ns, frame.wire_bytes, now_ns) {
        Some(sent_ns) => sent_ns,
        None => return Fate::QueueFull,
    };
    let delay_ns = if rule.jitter_ns == 0 {
        rule.latency_ns
    } else {
        let bits = draw(rule.seed, rule.id, index, Purpose::Jitter);
        jitter::delay_ns(rule.latency_ns, rule.jitter_ns, rule.distribution, bits)
    };
    Fate::Depart { at_ns: sent_ns + delay_ns }
}

#[inline(always)]
fn serialise<S: Shared>(rule: &Rule, free_at_ns: &S, bytes: u32, now_ns: u64) -> Option<u64> {
    let Some(rate_bytes_per_sec) = NonZeroU64::new(rule.rate_bytes_per_sec) else {
        return Some(now_ns);
    };
    let link = Bottleneck { rate_bytes_per_sec, queue_ns: rule.queue_ns };
    let mut seen_ns = free_at_ns.read();
    for _ in 0..ATTEMPTS {
        let finish_ns = bottleneck::admit(link, seen_ns, now_ns, bytes)?;
        let found_ns = free_at_ns.compare_exchange(seen_ns, finish_ns);
        if found_ns == seen_ns {
            return Some(finish_ns);
        }
        seen_ns = found_ns;
    }
    let cost_ns = bottleneck::serialise_ns(bytes, rate_bytes_per_sec);
    Some(free_at_ns.fetch_add(cost_ns).max(now_ns) + cost_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    impl Shared for Cell<u64> {
        fn read(&self) -> u64 {
            self.get()
        }
        fn compare_exchange(&self, seen: u64, new: u64) -> u64 {
            let found = self.get();
            if found == seen {
                self.set(new);
            }
            found
        }
        fn fetch_add(&self, n: u64) -> u64 {
            self.replace(self.get() + n)
        }
    }

    fn fates(rule: &Rule, frames: &[(u64, u32)]) -> Vec<(u64, Fate)> {
        let (free_at_ns, packets) = (Cell::new(0), Cell::new(0));
        let state = State { free_at_ns: &free_at_ns, packets: &packets };
        let mut now = 1_000;
        frames
            .iter()
            .map(|&(gap, wire_bytes)| {
                now += gap;
                (now, decide(rule, &state, Frame { wire_bytes, wire_packets: 1 }, now))
            })
            .collect()
    }

    fn rules() -> impl Strategy<Value = Rule> {
        (
            0u64..3_600_000_000_000,
            0u64..3_600_000_000_000,
            0u64..12_500_000_000,
            0u64..1_000_000_000,
            any::<u64>(),
            0u32..4,
        )
            .prop_map(|(latency_ns, jitter_ns, rate, queue_ns, seed, distribution)| Rule {
                latency_ns,
                jitter_ns,
                rate_bytes_per_sec: if rate < 1_000 { 0 } else { rate },
                queue_ns,
                seed,
                distribution,
                ..Rule::default()
            })
    }

    proptest! {
        #[test]
        fn no_packet_departs_before_it_arrives(
            rule in rules(),
            frames in prop::collection::vec((0u64..1_000_000, 14u32..65_536), 1..100),
        ) {
            for (now, fate) in fates(&rule, &frames) {
                if let Fate::Depart { at_ns } = fate {
                    prop_assert!(at_ns >= now);
                }
            }
        }

        #[test]
        fn the_same_seed_and_index_give_the_same_fate(
            rule in rules(),
            frames in prop::collection::vec((0u64..1_000_000, 14u32..65_536), 1..100),
        ) {
            prop_assert_eq!(fates(&rule, &frames), fates(&rule, &frames));
        }

        #[test]
        fn a_change_of_rate_does_not_reshuffle_the_jitter(
            seed in any::<u64>(),
            frames in prop::collection::vec((1_000_000u64..2_000_000, 1_514u32..1_515), 1..50),
        ) {
            let slow = Rule {
                latency_ns: 100_000_000,
                jitter_ns: 10_000_000,
                rate_bytes_per_sec: 125_000_000,
                queue_ns: 1_000_000_000,
                seed,
                ..Rule::default()
            };
            let fast = Rule { rate_bytes_per_sec: 0, ..slow };
            let serialisation = bottleneck::serialise_ns(1_514, NonZeroU64::new(slow.rate_bytes_per_sec).unwrap());
            for ((_, slow), (_, fast)) in fates(&slow, &frames).into_iter().zip(fates(&fast, &frames)) {
                let (Fate::Depart { at_ns: slow }, Fate::Depart { at_ns: fast }) = (slow, fast) else {
                    panic!("dropped: {slow:?} {fast:?}");
                };
                prop_assert_eq!(slow, fast + serialisation);
            }
        }
    }

    #[test]
    fn an_expired_rule_leaves_packets_alone() {
        let rule = Rule { latency_ns: 5, expires_ns: 2_000, ..Rule::default() };
        let fates = fates(&rule, &[(999, 64), (1, 64)]);
        assert_eq!(fates, [(1_999, Fate::Depart { at_ns: 2_004 }), (2_000, Fate::Expired)]);
    }

    #[test]
    fn a_lost_race_is_still_charged() {
        struct Contended(Cell<u64>);
        impl Shared for Contended {
            fn read(&self) -> u64 {
                self.0.get()
            }
            fn compare_exchange(&self, seen: u64, _new: u64) -> u64 {
                seen + 1
            }
            fn fetch_add(&self, n: u64) -> u64 {
                self.0.fetch_add(n)
            }
        }
        let rule = Rule { rate_bytes_per_sec: 1_000_000_000, queue_ns: u64::MAX, ..Rule::default() };
        let (free_at_ns, packets) = (Contended(Cell::new(100)), Contended(Cell::new(0)));
        let state = State { free_at_ns: &free_at_ns, packets: &packets };
        let fate = decide(&rule, &state, Frame { wire_bytes: 10, wire_packets: 1 }, 50);
        assert_eq!((fate, free_at_ns.read()), (Fate::Depart { at_ns: 110 }, 110));
    }
}
