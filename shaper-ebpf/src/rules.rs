//! Which rule a packet meets, and what its filter says.

use aya_ebpf::bindings::TC_ACT_STOLEN;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use shaper_common::abi::{Counters, Link, Rule, link_flag};
use shaper_common::decide::Frame;
use shaper_common::filter::{self, Filter};
use shaper_common::lookup::{self, Candidates, Family};
use shaper_common::trace::fate;

use crate::maps::{self, Hashes};
use crate::packet::{self, Kind};
use crate::trace::Outcome;

/// The rule that a packet meets.
pub(crate) struct Met {
    pub(crate) slot: u32,
    pub(crate) rule: &'static Rule,
    pub(crate) counters: &'static mut Counters,
}

/// Finds the rule that is in force for a packet at `outcome.arrival_ns`, and counts the packet there.
///
/// # Errors
/// The verdict for a packet that goes no further, with its fate in `outcome`.
#[inline(always)]
pub(crate) fn meet(ctx: &TcContext, link: &Link, frame: Frame, outcome: &mut Outcome) -> Result<Met, i32> {
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    outcome.arrival_ns = now_ns;
    let kind = packet::kind(ctx);
    let candidates = candidates(ctx, link, kind);
    let (slot, rule) = in_force(&candidates, now_ns);
    outcome.slot = slot;
    let Some(counters) = maps::counters(slot) else {
        return Err(packet::PASS);
    };
    let packets = u64::from(frame.wire_packets);
    counters.packets += packets;
    counters.bytes += u64::from(frame.wire_bytes);
    if link.flags & link_flag::DOWN != 0 {
        counters.filtered += packets;
        outcome.fates = fate::FILTERED;
        return Err(TC_ACT_STOLEN as i32);
    }
    let Some(rule) = rule else {
        let (passed, fates) = if slot != 0 {
            (&mut counters.passed_expired, fate::PASSED_EXPIRED)
        } else if matches!(kind, Kind::Ip(_)) {
            (&mut counters.passed_unmatched, fate::PASSED_UNMATCHED)
        } else {
            (&mut counters.passed_not_ip, fate::PASSED_NOT_IP)
        };
        *passed += packets;
        outcome.fates = fates;
        return Err(packet::PASS);
    };
    let filter = filter::at(rule, now_ns);
    if filter == Filter::Accept as u32 {
        return Ok(Met { slot, rule, counters });
    }
    if filter == Filter::Reset as u32 && !is_open_connection(ctx, kind) {
        return Ok(Met { slot, rule, counters });
    }
    counters.filtered += packets;
    outcome.fates = fate::FILTERED;
    if filter == Filter::Drop as u32 {
        // Not a drop that the sender would be told of: no real path tells.
        return Err(TC_ACT_STOLEN as i32);
    }
    packet::set_to_be_answered(ctx);
    Err(packet::PASS)
}

/// The rules that a packet may meet; none for what is not to be shaped.
#[inline(always)]
fn candidates(ctx: &TcContext, link: &Link, kind: Kind) -> Candidates {
    let (family, is_ip) = match kind {
        Kind::Ip(family) => (family, true),
        Kind::Neighbours(family) if link.flags & link_flag::SHAPE_NEIGHBOURS != 0 => (family, false),
        Kind::Neighbours(_) | Kind::Other => return Candidates::default(),
    };
    let Some(search) = maps::search() else {
        return Candidates::default();
    };
    if !is_ip {
        return search.any[family as usize].rules;
    }
    let mut found = search.any[family as usize];
    if search.first[family as usize] != 0 {
        let address = packet::peer_address(ctx, family, link.direction);
        found = lookup::by_address(&Hashes, search, family, address);
    }
    if found.class == 0 {
        return found.rules;
    }
    let (protocol, port) = packet::peer_port(ctx, family, link.direction);
    lookup::by_port(&Hashes, &found, protocol, port)
}

/// The first rule whose time is not over, with its slot; without a rule the slot of the first, zero where there is none.
#[inline(always)]
fn in_force(candidates: &Candidates, now_ns: u64) -> (u32, Option<&'static Rule>) {
    for &slot in candidates {
        if slot == 0 {
            break;
        }
        match maps::rule(slot) {
            Some(rule) if filter::is_in_force(rule, now_ns) => return (slot, Some(rule)),
            Some(_) => {}
            None => break,
        }
    }
    (candidates[0], None)
}

#[inline(always)]
fn is_open_connection(ctx: &TcContext, kind: Kind) -> bool {
    match kind {
        Kind::Ip(family) => packet::is_established_tcp(ctx, family),
        Kind::Neighbours(Family::Ipv4 | Family::Ipv6) | Kind::Other => false,
    }
}
