//! Engine `netem`: the classifier picks the htb class, the netem qdisc below it does the rest with its own dice.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use shaper_common::trace::fate;

use crate::trace::Outcome;
use crate::{maps, packet, trace};

/// Sets `skb->priority`, which htb takes as the class when its major is htb's own; minor 0 is htb's direct queue
/// (net/sched/sch_htb.c, htb_classify).
#[inline(always)]
pub(crate) fn egress(ctx: &TcContext) -> i32 {
    let (Some(link), Some(rule), Some(counters)) = (maps::link(), maps::rule(), maps::counters()) else {
        return packet::PASS;
    };
    let frame = packet::frame(ctx);
    counters.packets += u64::from(frame.wire_packets);
    counters.bytes += u64::from(frame.wire_bytes);
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let direct = link.classid & 0xffff_0000;
    let (class, fates) = if !packet::is_shapeable(ctx) {
        counters.passed_not_ip += u64::from(frame.wire_packets);
        (direct, fate::PASSED_NOT_IP)
    } else if rule.expires_ns != 0 && now_ns >= rule.expires_ns {
        counters.passed_expired += u64::from(frame.wire_packets);
        (direct, fate::PASSED_EXPIRED)
    } else {
        counters.delayed_packets += u64::from(frame.wire_packets);
        counters.delayed_bytes += u64::from(frame.wire_bytes);
        counters.delayed_frames += 1;
        (link.classid, fate::GIVEN_TO_NETEM)
    };
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { (*packet::skb(ctx)).priority = class };
    trace::tell(ctx, frame, Outcome::of(now_ns, fates));
    packet::PASS
}
