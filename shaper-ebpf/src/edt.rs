//! Engine `edt`: the departure time goes on the packet, and the link's `fq` qdisc holds it until then.

use aya_ebpf::bindings::TC_ACT_STOLEN;
use aya_ebpf::helpers::generated::{bpf_clone_redirect, bpf_ktime_get_ns, bpf_skb_set_tstamp};
use aya_ebpf::programs::TcContext;
use shaper_common::decide::Fate;

use crate::{maps, packet};

/// The time is on `CLOCK_MONOTONIC` (uapi/linux/bpf.h).
const BPF_SKB_TSTAMP_DELIVERY_MONO: u32 = 1;
/// `TC_PRIO_CONTROL`: before Linux 6.7 `fq` sends such packets at once, whatever their time.
const TC_PRIO_MAX: u32 = 15;
const TC_PRIO_CONTROL: u32 = 7;

/// Stamps a clone and sends that; the original is consumed at once, because a packet that `fq` holds would count against
/// TCP small queues (10 ms of delay: 51 Mbit/s instead of 2.3 Gbit/s).
#[inline(always)]
pub(crate) fn egress(ctx: &TcContext) -> i32 {
    if packet::take_shaped(ctx) {
        return packet::PASS;
    }
    let (Some(_), Some(rule), Some(state), Some(counters)) =
        (maps::link(), maps::rule(), maps::state(), maps::counters())
    else {
        return packet::PASS;
    };
    let frame = packet::frame(ctx);
    counters.packets += u64::from(frame.wire_packets);
    counters.bytes += u64::from(frame.wire_bytes);
    if !packet::is_shapeable(ctx) {
        counters.passed_not_ip += u64::from(frame.wire_packets);
        return packet::PASS;
    }
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let at_ns = match shaper_common::decide::decide(rule, &state, frame, now_ns) {
        Fate::Expired => {
            counters.passed_expired += u64::from(frame.wire_packets);
            return packet::PASS;
        }
        Fate::QueueFull => {
            counters.queue_drops += u64::from(frame.wire_packets);
            return TC_ACT_STOLEN as i32;
        }
        Fate::Depart { at_ns } => at_ns,
    };
    let skb = packet::skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let set = unsafe { bpf_skb_set_tstamp(skb, at_ns, BPF_SKB_TSTAMP_DELIVERY_MONO) };
    if set != 0 {
        counters.passed_unheld += u64::from(frame.wire_packets);
        return packet::PASS;
    }
    // SAFETY: as above.
    unsafe {
        if (*skb).priority & TC_PRIO_MAX == TC_PRIO_CONTROL {
            (*skb).priority = 0;
        }
    }
    counters.delayed_packets += u64::from(frame.wire_packets);
    counters.delayed_bytes += u64::from(frame.wire_bytes);
    counters.delayed_frames += 1;
    counters.delay_ns_sum += at_ns - now_ns;
    packet::set_shaped(ctx);
    // SAFETY: as above.
    unsafe { bpf_clone_redirect(skb, (*skb).ifindex, 0) };
    TC_ACT_STOLEN as i32
}
