//! Engine `relay`: a process holds the packet. The classifier on the link decides and steers what must wait into a TAP;
//! on the TAP's egress the departure time is written in front of the frame.

use aya_ebpf::bindings::{BPF_F_INGRESS, TC_ACT_OK, TC_ACT_SHOT};
use aya_ebpf::helpers::generated::{bpf_redirect, bpf_skb_change_head, bpf_skb_store_bytes};
use aya_ebpf::programs::TcContext;
use shaper_common::abi::{HoldHeader, Link};

use crate::shape::shape;
use crate::{maps, packet};

/// In `skb->cb[2]`: `cb[0]` and `cb[1]` hold a departure time. What reaches the TAP without it is not ours to send.
const STEERED: u32 = 0x5a57_4544;

/// On the link: decides, and redirects to the TAP.
#[inline(always)]
pub(crate) fn steer(ctx: &TcContext) -> i32 {
    shape(
        ctx,
        |link, now_ns| is_held(ctx, link, now_ns),
        |link, at_ns| {
            let skb = packet::skb(ctx);
            // SAFETY: the context pointer is valid for the program's whole run.
            unsafe {
                (*skb).cb[0] = at_ns as u32;
                (*skb).cb[1] = (at_ns >> 32) as u32;
                (*skb).cb[2] = STEERED;
            }
            // SAFETY: no memory is passed.
            Some(unsafe { bpf_redirect(link.holder_ifindex, 0) as i32 })
        },
    )
}

/// Whether somebody reads the TAP: the device is there (it goes with the process that made it) and the relay's heartbeat
/// is fresh (it is not stopped or stuck).
#[inline(always)]
fn is_held(ctx: &TcContext, link: &Link, now_ns: u64) -> bool {
    if !packet::is_device(ctx, link.holder_ifindex) {
        return false;
    }
    match maps::relay_beat_ns() {
        Some(beat_ns) => now_ns.saturating_sub(beat_ns) <= link.stale_after_ns,
        None => false,
    }
}

/// On the TAP's egress: writes the hold header in front of the frame. Here and not on the link, because only the TAP's
/// MTU leaves room for it (`bpf_skb_change_head` checks the device's MTU).
#[inline(always)]
pub(crate) fn stamp(ctx: &TcContext) -> i32 {
    let skb = packet::skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let (low, high, steered) = unsafe { ((*skb).cb[0], (*skb).cb[1], (*skb).cb[2]) };
    if steered != STEERED {
        return TC_ACT_SHOT as i32;
    }
    let header = HoldHeader { departure_ns: u64::from(high) << 32 | u64::from(low), reserved: 0 };
    let len = size_of::<HoldHeader>() as u32;
    // SAFETY: as above.
    if unsafe { bpf_skb_change_head(skb, len, 0) } != 0 {
        return TC_ACT_SHOT as i32;
    }
    // SAFETY: `header` is `len` bytes long and outlives the call.
    if unsafe { bpf_skb_store_bytes(skb, 0, (&raw const header).cast(), len, 0) } != 0 {
        return TC_ACT_SHOT as i32;
    }
    TC_ACT_OK as i32
}

/// On the TAP's ingress: a held ingress packet goes to the link as if it had just come in.
#[inline(always)]
pub(crate) fn give_back(ctx: &TcContext) -> i32 {
    let Some(link) = maps::link() else {
        return TC_ACT_SHOT as i32;
    };
    packet::set_shaped(ctx);
    // SAFETY: no memory is passed.
    unsafe { bpf_redirect(link.ifindex, u64::from(BPF_F_INGRESS)) as i32 }
}
