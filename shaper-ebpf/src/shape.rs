//! What the engines that decide with our core have in common: count the packet, decide, hand it to whoever holds it.

use aya_ebpf::bindings::TC_ACT_STOLEN;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use shaper_common::abi::Link;
use shaper_common::decide::{Fate, decide};

use crate::{maps, packet};

/// Shapes a packet and returns the verdict.
///
/// `is_held` says whether there is somebody to hold packets now; `hold` gives the packet away until its departure time and
/// returns the verdict for what is left of it, or `None` when it could not.
#[inline(always)]
pub(crate) fn shape(
    ctx: &TcContext,
    is_held: impl FnOnce(&Link, u64) -> bool,
    hold: impl FnOnce(&Link, u64) -> Option<i32>,
) -> i32 {
    if packet::take_shaped(ctx) {
        return packet::PASS;
    }
    let (Some(link), Some(rule), Some(state), Some(counters)) =
        (maps::link(), maps::rule(), maps::state(), maps::counters())
    else {
        return packet::PASS;
    };
    let frame = packet::frame(ctx);
    let packets = u64::from(frame.wire_packets);
    counters.packets += packets;
    counters.bytes += u64::from(frame.wire_bytes);
    if !packet::is_shapeable(ctx) {
        counters.passed_not_ip += packets;
        return packet::PASS;
    }
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !is_held(link, now_ns) {
        counters.passed_unheld += packets;
        return packet::PASS;
    }
    let at_ns = match decide(rule, &state, frame, now_ns) {
        Fate::Expired => {
            counters.passed_expired += packets;
            return packet::PASS;
        }
        // Not a drop that the sender would be told of: no real bottleneck tells.
        Fate::QueueFull => {
            counters.queue_drops += packets;
            return TC_ACT_STOLEN as i32;
        }
        Fate::Depart { at_ns } => at_ns,
    };
    let Some(verdict) = hold(link, at_ns) else {
        counters.passed_unheld += packets;
        return packet::PASS;
    };
    counters.delayed_packets += packets;
    counters.delayed_bytes += u64::from(frame.wire_bytes);
    counters.delayed_frames += 1;
    counters.delay_ns_sum += at_ns - now_ns;
    verdict
}
