//! What the engines that decide with our core have in common: count the packet, decide, hand it to whoever holds it.

use aya_ebpf::bindings::TC_ACT_STOLEN;
use aya_ebpf::programs::TcContext;
use shaper_common::abi::{Counters, Link, Rule, link_flag};
use shaper_common::decide::{Copied, Departure, Fate, Frame, decide};
use shaper_common::probability::is_less;
use shaper_common::trace::fate;

use crate::maps::DelayTables;
use crate::rules::Met;
use crate::trace::Outcome;
use crate::{maps, packet, rules, trace};

/// Whoever keeps packets until their departure.
pub(crate) trait Holder {
    /// Whether it is there now.
    fn is_there(ctx: &TcContext, link: &Link, now_ns: u64) -> bool;
    /// Gives it a copy of the packet. Packets of one `flow` depart in the order in which they come, but for copies.
    fn take_copy(ctx: &TcContext, link: &Link, departure: Departure, flow: u32) -> bool;
    /// Gives it the packet; returns the verdict for what is left of it, or `None` when it could not.
    fn take(ctx: &TcContext, link: &Link, departure: Departure, flow: u32) -> Option<i32>;
}

/// Shapes a packet and returns the verdict.
#[inline(always)]
pub(crate) fn shape<H: Holder>(ctx: &TcContext) -> i32 {
    if packet::take_shaped(ctx) {
        return packet::PASS;
    }
    let Some(link) = maps::link().filter(|link| link.rules != 0) else {
        return packet::PASS;
    };
    let frame = packet::frame(ctx);
    let mut outcome = Outcome::default();
    let verdict = match rules::meet(ctx, link, frame, &mut outcome) {
        Ok(met) => go::<H>(ctx, link, met, frame, &mut outcome),
        Err(verdict) => verdict,
    };
    trace::tell(ctx, frame, outcome);
    verdict
}

/// Lets the packet meet its fate, counts it, and returns the verdict.
#[inline(always)]
fn go<H: Holder>(ctx: &TcContext, link: &Link, met: Met, frame: Frame, outcome: &mut Outcome) -> i32 {
    let Met { slot, rule, counters } = met;
    let now_ns = outcome.arrival_ns;
    let packets = u64::from(frame.wire_packets);
    let Some(state) = maps::state(slot) else {
        return packet::PASS;
    };
    if !H::is_there(ctx, link, now_ns) {
        return unheld(link, counters, packets, outcome);
    }
    let (departure, copy, reordered, marked, crossing) =
        match decide(rule, &state, &DelayTables, frame, now_ns) {
            // Not drops that the sender would be told of: no real path tells.
            Fate::Lost => {
                counters.lost += packets;
                outcome.fates = fate::LOST;
                return TC_ACT_STOLEN as i32;
            }
            Fate::QueueFull => {
                counters.queue_drops += packets;
                outcome.fates = fate::QUEUE_FULL;
                return TC_ACT_STOLEN as i32;
            }
            Fate::Depart { packet, copy, reordered, marked, crossing } => {
                (packet, copy, reordered, marked, crossing)
            }
        };
    if marked != 0 {
        let marked = packet::mark_congestion(ctx);
        counters.marked += marked * packets;
        outcome.fates |= trace::if_set(marked, fate::MARKED);
    }
    // The copy first: what takes the packet itself may be the verdict.
    match copy {
        Copied::No => {}
        Copied::QueueFull => {
            counters.queue_drops += packets;
            outcome.fates |= fate::COPY_QUEUE_FULL;
        }
        Copied::Depart(departure) => {
            if H::take_copy(ctx, link, departure, flow_of(slot, rule, departure)) {
                counters.duplicated += packets;
                count_corrupted(counters, departure, packets);
                outcome.fates |= fate::DUPLICATED | trace::if_corrupted(departure, fate::COPY_CORRUPTED);
                outcome.copy_delay_ns = departure.at_ns - now_ns;
            }
        }
    }
    // What leaves now as it is needs nobody to hold it.
    let verdict = if departure.at_ns <= now_ns && departure.corrupt == 0 {
        packet::PASS
    } else if let Some(verdict) = H::take(ctx, link, departure, flow_of(slot, rule, departure)) {
        verdict
    } else {
        return unheld(link, counters, packets, outcome);
    };
    count_corrupted(counters, departure, packets);
    counters.reordered += reordered * packets;
    counters.delayed_packets += packets;
    counters.delayed_bytes += u64::from(frame.wire_bytes);
    counters.delayed_frames += 1;
    counters.delay_ns_sum += departure.at_ns - now_ns;
    counters.reordered_frames += reordered;
    counters.queue_ns_sum += crossing.sent_ns - now_ns;
    counters.link_bytes += crossing.bytes;
    counters.link_busy_ns += crossing.busy_ns;
    counters.link_idle_ns += crossing.idle_ns;
    outcome.fates |= fate::DELAYED
        | trace::if_set(reordered, fate::REORDERED)
        | trace::if_corrupted(departure, fate::CORRUPTED);
    outcome.delay_ns = departure.at_ns - now_ns;
    verdict
}

/// The flow of a packet: that of its rule, or one of its own where delays vary.
#[inline(always)]
fn flow_of(slot: u32, rule: &Rule, departure: Departure) -> u32 {
    // An odd factor that spreads neighbouring slots: 2^32 over the golden ratio.
    const SPREAD: u32 = 0x9e37_79b1;
    let varies = is_less(0, rule.jitter_ns | u64::from(rule.reorder)) as u32;
    slot.wrapping_mul(SPREAD) ^ departure.at_ns as u32 * varies
}

/// The verdict for a packet that nobody can hold.
#[inline(always)]
fn unheld(link: &Link, counters: &mut Counters, packets: u64, outcome: &mut Outcome) -> i32 {
    if link.flags & link_flag::FAIL_CLOSED != 0 {
        counters.dropped_unheld += packets;
        outcome.fates |= fate::DROPPED_UNHELD;
        return TC_ACT_STOLEN as i32;
    }
    counters.passed_unheld += packets;
    outcome.fates |= fate::PASSED_UNHELD;
    packet::PASS
}

#[inline(always)]
fn count_corrupted(counters: &mut Counters, departure: Departure, packets: u64) {
    counters.corrupted += is_less(0, u64::from(departure.corrupt)) * packets;
}
