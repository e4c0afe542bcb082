//! The fate of a packet: everything between its arrival at the classifier and its departure time.

use core::num::NonZeroU64;
#[cfg(target_has_atomic = "64")]
use core::sync::atomic::{AtomicU64, Ordering};

use crate::abi::{Rule, rule_flag};
use crate::bottleneck::{self, Bottleneck};
use crate::events::{self, Events};
use crate::jitter::Tables;
use crate::probability::{happens, is_less};
use crate::random::{Purpose, draw};
use crate::{corrupt, framing, jitter, memory};

/// A counter that several CPUs change at once.
pub trait Shared {
    /// Reads the value once.
    fn read(&self) -> u64;
    /// Stores `new` if the value is still `seen`; returns the value found.
    fn compare_exchange(&self, seen: u64, new: u64) -> u64;
    /// Adds `n` and returns the value before.
    fn fetch_add(&self, n: u64) -> u64;
}

#[cfg(target_has_atomic = "64")]
impl Shared for AtomicU64 {
    fn read(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn compare_exchange(&self, seen: u64, new: u64) -> u64 {
        match Self::compare_exchange(self, seen, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(found) | Err(found) => found,
        }
    }

    fn fetch_add(&self, n: u64) -> u64 {
        Self::fetch_add(self, n, Ordering::SeqCst)
    }
}

/// The running state of a rule, as [`crate::abi::RuleState`] lays it out.
#[derive(Debug)]
pub struct State<'a, S> {
    /// When the bottleneck will have sent all it has accepted.
    pub free_at_ns: &'a S,
    /// The next packet's index and what its draws depend on.
    pub sequence: &'a S,
    /// The latest departure given.
    pub last_at_ns: &'a S,
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
    /// It is lost, as asked.
    Lost,
    /// The bottleneck's queue was full.
    QueueFull,
    /// It leaves.
    Depart {
        /// The packet.
        packet: Departure,
        /// What becomes of its copy.
        copy: Copied,
        /// 1 where it overtakes those before it, else 0.
        reordered: u64,
        /// 1 where it is to be marked congestion experienced, and its copy with it, else 0.
        marked: u64,
        /// How it came through the bottleneck.
        crossing: Crossing,
    },
}

/// How a packet comes through the bottleneck; without one it takes no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// `CLOCK_MONOTONIC` time at which the bottleneck has sent it.
    pub sent_ns: u64,
    /// Bytes that it takes there.
    pub bytes: u64,
    /// Time that the bottleneck sends it.
    pub busy_ns: u64,
    /// Time that the bottleneck had nothing to send before ([`bottleneck::silence_ns`]).
    pub idle_ns: u64,
}

/// A packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// `CLOCK_MONOTONIC` departure time, never before the packet's arrival.
    pub at_ns: u64,
    /// The place where a bit is flipped ([`corrupt::bit`]); zero: nowhere.
    pub corrupt: u32,
}

/// What becomes of the copy that a packet may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// There is none.
    No,
    /// The bottleneck's queue was full.
    QueueFull,
    /// It leaves.
    Depart(Departure),
}

/// CPUs that race for the bottleneck at most this often before one of them takes its place without looking at the bound.
/// Each failed exchange means that another CPU succeeded, so only a storm of more CPUs than this can get there.
const ATTEMPTS: u32 = 4;
/// The same for a packet's index, before it is taken with the memory of another packet than the one before.
const INDEX_ATTEMPTS: u32 = 2;

/// Decides the fate of a frame that arrives at `now_ns` and meets a rule that is in force, in the order of a real path: loss, copy, damage, bottleneck, delay.
#[inline(always)]
pub fn decide<S: Shared>(
    rule: &Rule,
    state: &State<'_, S>,
    tables: &(impl Tables + ?Sized),
    frame: Frame,
    now_ns: u64,
) -> Fate {
    let (index, events) = next(rule, state.sequence, frame.wire_packets);
    if events.lost != 0 {
        return Fate::Lost;
    }
    let bytes = framing::bytes(rule, frame);
    let Some(crossing) = serialise(rule, state.free_at_ns, bytes, now_ns) else {
        return Fate::QueueFull;
    };
    let sent_ns = crossing.sent_ns;
    let marked = is_less(rule.ecn_ns, sent_ns - now_ns) & is_less(0, rule.ecn_ns);
    let at_ns = if events.reordered != 0 {
        sent_ns
    } else {
        let delay_ns = delay_ns(rule, tables, events.jitter_index, Purpose::Jitter);
        in_order(rule, state.last_at_ns, sent_ns + delay_ns)
    };
    let place =
        corrupt::place(draw(rule.seed, rule.id, index, Purpose::CorruptWhere)) * events.corrupted as u32;
    let copy = if events.duplicated != 0 {
        match serialise(rule, state.free_at_ns, bytes, now_ns) {
            Some(copy) => Copied::Depart(depart_copy(rule, state.last_at_ns, tables, index, copy.sent_ns)),
            None => Copied::QueueFull,
        }
    } else {
        Copied::No
    };
    let packet = Departure { at_ns, corrupt: place };
    Fate::Depart { packet, copy, reordered: events.reordered, marked, crossing }
}

/// Takes the next index, and draws what happens to the packet that has it.
#[inline(always)]
fn next<S: Shared>(rule: &Rule, sequence: &S, packets: u32) -> (u64, Events) {
    let claim = || sequence.fetch_add(memory::advance(packets));
    if !events::are_possible(rule) {
        let index = memory::index_since(claim(), rule.first_index);
        return (index, Events::none(index));
    }
    let has_memory = memory::is_needed(rule);
    let mut seen = if has_memory { sequence.read() } else { claim() };
    let mut events = Events::none(0);
    for _ in 0..INDEX_ATTEMPTS {
        let index = memory::index_since(seen, rule.first_index);
        let left;
        (events, left) = events::draw_all(rule, index, packets, memory::unpack(seen));
        if !has_memory {
            return (index, events);
        }
        let next = memory::pack(memory::index(seen) + packets as u64, left);
        let found = sequence.compare_exchange(seen, next);
        if found == seen {
            return (index, events);
        }
        seen = found;
    }
    // What was drawn last was for the index of another packet: in such a storm one more packet with the same fate does not matter.
    (memory::index_since(claim(), rule.first_index), events)
}

/// The copy goes the same way, with a delay and damage of its own.
#[inline(always)]
fn depart_copy<S: Shared>(
    rule: &Rule,
    last_at_ns: &S,
    tables: &(impl Tables + ?Sized),
    index: u64,
    sent_ns: u64,
) -> Departure {
    let delay_ns = delay_ns(rule, tables, index, Purpose::JitterOfCopy);
    let at_ns = in_order(rule, last_at_ns, sent_ns + delay_ns);
    let corrupted = happens(rule.corrupt, draw(rule.seed, rule.id, index, Purpose::CorruptOfCopy));
    let corrupt =
        corrupt::place(draw(rule.seed, rule.id, index, Purpose::CorruptWhereOfCopy)) * corrupted as u32;
    Departure { at_ns, corrupt }
}

/// Latency, and the jitter that is drawn for packet `index`.
#[inline(always)]
fn delay_ns(rule: &Rule, tables: &(impl Tables + ?Sized), index: u64, purpose: Purpose) -> u64 {
    if rule.jitter_ns == 0 {
        rule.latency_ns
    } else {
        let bits = draw(rule.seed, rule.id, index, purpose);
        let value = |index| tables.value(rule.table, index);
        jitter::delay_ns(rule.latency_ns, rule.jitter_ns, rule.distribution, bits, value)
    }
}

/// `at_ns`, or the latest departure so far where the rule keeps the order.
#[inline(always)]
fn in_order<S: Shared>(rule: &Rule, last_at_ns: &S, at_ns: u64) -> u64 {
    if rule.flags & rule_flag::KEEP_ORDER == 0 {
        return at_ns;
    }
    let mut seen_ns = last_at_ns.read();
    for _ in 0..ATTEMPTS {
        if seen_ns >= at_ns {
            return seen_ns;
        }
        let found_ns = last_at_ns.compare_exchange(seen_ns, at_ns);
        if found_ns == seen_ns {
            break;
        }
        seen_ns = found_ns;
    }
    at_ns
}

/// How the packet comes through the bottleneck; `None` when its queue is full.
#[inline(always)]
fn serialise<S: Shared>(rule: &Rule, free_at_ns: &S, bytes: u32, now_ns: u64) -> Option<Crossing> {
    let at_once = Crossing { sent_ns: now_ns, bytes: bytes as u64, busy_ns: 0, idle_ns: 0 };
    let Some(rate_bytes_per_sec) = NonZeroU64::new(rule.rate_bytes_per_sec) else {
        return Some(at_once);
    };
    let busy_ns = bottleneck::serialise_ns(bytes, rate_bytes_per_sec);
    let link = Bottleneck { rate_bytes_per_sec, queue_ns: rule.queue_ns, burst_ns: rule.burst_ns };
    let mut seen_ns = free_at_ns.read();
    for _ in 0..ATTEMPTS {
        let finish_ns = bottleneck::admit(link, seen_ns, now_ns, bytes)?;
        let found_ns = free_at_ns.compare_exchange(seen_ns, finish_ns);
        if found_ns == seen_ns {
            let idle_ns = bottleneck::silence_ns(finish_ns - busy_ns - seen_ns, busy_ns);
            return Some(Crossing { sent_ns: finish_ns.max(now_ns), busy_ns, idle_ns, ..at_once });
        }
        seen_ns = found_ns;
    }
    let sent_ns = free_at_ns.fetch_add(busy_ns).max(now_ns) + busy_ns;
    Some(Crossing { sent_ns, busy_ns, ..at_once })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Model;
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
        fates_from(memory::FIRST, rule, frames)
    }

    fn fates_from(word: u64, rule: &Rule, frames: &[(u64, u32)]) -> Vec<(u64, Fate)> {
        let [free_at_ns, sequence, last_at_ns] = [0, word, 0].map(Cell::new);
        let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
        let mut now = 1_000;
        frames
            .iter()
            .map(|&(gap, wire_bytes)| {
                now += gap;
                (now, decide(rule, &state, &(), Frame { wire_bytes, wire_packets: 1 }, now))
            })
            .collect()
    }

    fn at_ns(fate: Fate) -> Option<u64> {
        match fate {
            Fate::Depart { packet, .. } => Some(packet.at_ns),
            Fate::Lost | Fate::QueueFull => None,
        }
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
                if let Some(at_ns) = at_ns(fate) {
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
                prop_assert_eq!(at_ns(slow).unwrap(), at_ns(fast).unwrap() + serialisation);
            }
        }
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
        let [free_at_ns, sequence, last_at_ns] = [100, 0, 0].map(|value| Contended(Cell::new(value)));
        let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
        let fate = decide(&rule, &state, &(), Frame { wire_bytes: 10, wire_packets: 1 }, 50);
        assert_eq!((at_ns(fate), free_at_ns.read()), (Some(110), 110));
        // An index is taken, too, with the memory as it was.
        let bursty = Rule { loss_model: Model::GilbertElliott as u32, loss: [0; 5], ..Rule::default() };
        assert_eq!(
            at_ns(decide(&bursty, &state, &(), Frame { wire_bytes: 10, wire_packets: 1 }, 50)),
            Some(50)
        );
        assert_eq!(memory::index(sequence.read()), 2);
    }

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn a_rule_begins_anew_wherever_the_sequence_is(
            seed in any::<u64>(),
            word in any::<u64>(),
            model in 1u32..4,
            frames in prop::collection::vec(Just((1_000u64, 64u32)), 1..50),
        ) {
            let half = 1 << 31;
            let rule = Rule {
                latency_ns: 10_000_000,
                jitter_ns: 10_000_000,
                seed,
                loss_model: model,
                loss: [half / 2; 5],
                duplicate: half,
                duplicate_correlation: half,
                reorder: half,
                reorder_gap: 3,
                jitter_correlation: half,
                ..Rule::default()
            };
            let later = Rule { first_index: memory::index(word), ..rule };
            prop_assert_eq!(fates_from(word, &later, &frames), fates(&rule, &frames));
        }
    }

    #[test]
    fn silence_is_told_apart_from_waiting() {
        let rule = Rule { rate_bytes_per_sec: 1_000_000, queue_ns: SECOND, ..Rule::default() };
        // A packet takes 1 ms. Two at once; then 3 ms later, of which the second took one; then after a long silence.
        let crossings: Vec<_> = fates(&rule, &[(0, 1_000), (0, 1_000), (3_000_000, 1_000), (SECOND, 1_000)])
            .into_iter()
            .map(|(now, fate)| {
                let Fate::Depart { crossing, .. } = fate else { panic!("{fate:?}") };
                assert_eq!((crossing.bytes, crossing.busy_ns), (1_000, 1_000_000));
                (crossing.sent_ns - now, crossing.idle_ns)
            })
            .collect();
        let ms = 1_000_000;
        // The first comes 1 us after the beginning of time.
        assert_eq!(crossings, [(ms, 1_000), (2 * ms, 0), (ms, ms), (ms, 18 * ms)]);
    }

    #[test]
    fn a_lost_packet_has_no_copy_and_takes_no_time_on_the_bottleneck() {
        let rule = Rule {
            loss_model: Model::Pattern as u32,
            loss_pattern: 0b01,
            loss_pattern_len: 2,
            duplicate: u32::MAX,
            rate_bytes_per_sec: 1_000,
            queue_ns: 10 * SECOND,
            ..Rule::default()
        };
        let fates = fates(&rule, &[(0, 1_000), (0, 1_000), (0, 1_000)]);
        assert_eq!((fates[0].1, fates[2].1), (Fate::Lost, Fate::Lost));
        let Fate::Depart { packet, copy: Copied::Depart(copy), .. } = fates[1].1 else {
            panic!("{:?}", fates[1])
        };
        // Each takes its second: the copy is a packet of its own.
        assert_eq!((packet.at_ns, copy.at_ns), (1_000 + SECOND, 1_000 + 2 * SECOND));
    }

    #[test]
    fn a_copy_without_room_is_dropped_alone() {
        let rule =
            Rule { duplicate: u32::MAX, rate_bytes_per_sec: 1_000, queue_ns: SECOND, ..Rule::default() };
        let fate = fates(&rule, &[(0, 1_000)])[0].1;
        assert!(matches!(fate, Fate::Depart { copy: Copied::QueueFull, .. }), "{fate:?}");
    }

    #[test]
    fn a_reordered_packet_waits_for_the_bottleneck_only() {
        let rule = Rule { latency_ns: SECOND, reorder: u32::MAX, reorder_gap: 3, ..Rule::default() };
        let departures: Vec<_> =
            fates(&rule, &[(0, 64); 6]).into_iter().map(|(_, fate)| at_ns(fate).unwrap()).collect();
        let late = 1_000 + SECOND;
        assert_eq!(departures, [late, late, 1_000, late, late, 1_000]);
    }

    #[test]
    fn what_waits_longer_than_the_threshold_is_marked() {
        let rule =
            Rule { rate_bytes_per_sec: 1_000, queue_ns: 10 * SECOND, ecn_ns: 2 * SECOND, ..Rule::default() };
        let marks: Vec<_> = fates(&rule, &[(0, 1_000); 4])
            .into_iter()
            .map(|(_, fate)| matches!(fate, Fate::Depart { marked: 1, .. }))
            .collect();
        assert_eq!(marks, [false, false, true, true]);
    }

    proptest! {
        #[test]
        fn the_order_is_kept_where_asked(
            seed in any::<u64>(),
            duplicate in any::<u32>(),
            frames in prop::collection::vec((0u64..1_000_000, 64u32..1_514), 1..100),
        ) {
            let rule = Rule {
                latency_ns: 10_000_000,
                jitter_ns: 10_000_000,
                flags: rule_flag::KEEP_ORDER,
                seed,
                duplicate,
                ..Rule::default()
            };
            let mut last = 0;
            for (_, fate) in fates(&rule, &frames) {
                let Fate::Depart { packet, copy, .. } = fate else { panic!("{fate:?}") };
                prop_assert!(packet.at_ns >= last);
                last = packet.at_ns;
                if let Copied::Depart(copy) = copy {
                    prop_assert!(copy.at_ns >= last);
                    last = copy.at_ns;
                }
            }
        }
    }
}
