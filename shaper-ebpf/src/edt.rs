//! Engine `edt`: the departure time goes on the packet, and the link's `fq` qdisc holds it until then.

use aya_ebpf::bindings::TC_ACT_STOLEN;
use aya_ebpf::helpers::generated::{bpf_clone_redirect, bpf_set_hash, bpf_skb_set_tstamp};
use aya_ebpf::programs::TcContext;
use shaper_common::abi::Link;
use shaper_common::decide::Departure;

use crate::packet;
use crate::shape::Holder;

/// The time is on `CLOCK_MONOTONIC` (uapi/linux/bpf.h).
const BPF_SKB_TSTAMP_DELIVERY_MONO: u32 = 1;
/// `TC_PRIO_CONTROL`: before Linux 6.7 `fq` sends such packets at once, whatever their time.
const TC_PRIO_MAX: u32 = 15;
const TC_PRIO_CONTROL: u32 = 7;

/// The link's `fq`.
pub(crate) struct Fq;

impl Holder for Fq {
    #[inline(always)]
    fn is_there(_: &TcContext, _: &Link, _: u64) -> bool {
        true
    }

    /// Stamps a clone and sends that.
    #[inline(always)]
    fn take_copy(ctx: &TcContext, _: &Link, departure: Departure, flow: u32) -> bool {
        let skb = packet::skb(ctx);
        // A clone has no socket, so `fq` goes by its hash. It looks at a flow again only when the packet in front of it may leave,
        // and one that comes with less delay would wait for it (net/sched/sch_fq.c, fq_dequeue).
        // SAFETY: the context pointer is valid for the program's whole run.
        unsafe { bpf_set_hash(skb, flow) };
        // SAFETY: the context pointer is valid for the program's whole run.
        if unsafe { bpf_skb_set_tstamp(skb, departure.at_ns, BPF_SKB_TSTAMP_DELIVERY_MONO) } != 0 {
            return false;
        }
        // SAFETY: as above.
        unsafe {
            if (*skb).priority & TC_PRIO_MAX == TC_PRIO_CONTROL {
                (*skb).priority = 0;
            }
        }
        packet::set_shaped(ctx, departure.corrupt);
        // SAFETY: as above.
        unsafe { bpf_clone_redirect(skb, (*skb).ifindex, 0) };
        true
    }

    /// The original is consumed at once, because a packet that `fq` holds would count against TCP small queues (10 ms of
    /// delay: 51 Mbit/s instead of 2.3 Gbit/s).
    #[inline(always)]
    fn take(ctx: &TcContext, link: &Link, departure: Departure, flow: u32) -> Option<i32> {
        Self::take_copy(ctx, link, departure, flow).then_some(TC_ACT_STOLEN as i32)
    }
}

/// Matches a packet that comes by again to have a bit flipped (-1; 0 does not match).
#[inline(always)]
pub(crate) fn finish(ctx: &TcContext) -> i32 {
    if packet::is_to_be_damaged(ctx) { -1 } else { 0 }
}
