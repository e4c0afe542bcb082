//! Engine `relay`: a process holds the packet. The classifier on the link decides and steers what must wait into a TAP;
//! on the TAP's egress the departure time is written in front of the frame.

use aya_ebpf::bindings::{BPF_F_INGRESS, TC_ACT_OK, TC_ACT_SHOT};
use aya_ebpf::helpers::generated::{
    bpf_clone_redirect, bpf_redirect, bpf_skb_change_head, bpf_skb_store_bytes,
};
use aya_ebpf::programs::TcContext;
use shaper_common::abi::{HoldHeader, Link};
use shaper_common::decide::Departure;

use crate::shape::Holder;
use crate::{maps, packet};

/// In `skb->cb[2]`: `cb[0]` and `cb[1]` hold a departure time. What reaches the TAP without it is not ours to send.
const STEERED: u32 = 0x5a57_4544;

/// The process behind the TAP.
pub(crate) struct Tap;

impl Holder for Tap {
    /// Whether somebody reads the TAP: the device is there (it goes with the process that made it) and the relay's
    /// heartbeat is fresh (it is not stopped or stuck).
    #[inline(always)]
    fn is_there(ctx: &TcContext, link: &Link, now_ns: u64) -> bool {
        if !packet::is_device(ctx, link.holder_ifindex) {
            return false;
        }
        match maps::relay_beat_ns() {
            Some(beat_ns) => now_ns.saturating_sub(beat_ns) <= link.stale_after_ns,
            None => false,
        }
    }

    #[inline(always)]
    fn take_copy(ctx: &TcContext, link: &Link, departure: Departure, _: u32) -> bool {
        write_departure(ctx, departure);
        // SAFETY: the context pointer is valid for the program's whole run.
        unsafe { bpf_clone_redirect(packet::skb(ctx), link.holder_ifindex, 0) == 0 }
    }

    #[inline(always)]
    fn take(ctx: &TcContext, link: &Link, departure: Departure, _: u32) -> Option<i32> {
        write_departure(ctx, departure);
        // SAFETY: no memory is passed.
        Some(unsafe { bpf_redirect(link.holder_ifindex, 0) as i32 })
    }
}

#[inline(always)]
fn write_departure(ctx: &TcContext, departure: Departure) {
    let skb = packet::skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe {
        (*skb).cb[0] = departure.at_ns as u32;
        (*skb).cb[1] = (departure.at_ns >> 32) as u32;
        (*skb).cb[2] = STEERED;
        (*skb).cb[packet::CORRUPT] = departure.corrupt;
    }
}

/// On the TAP's egress: writes the hold header in front of the frame. Here and not on the link, because only the TAP's
/// MTU leaves room for it (`bpf_skb_change_head` checks the device's MTU).
#[inline(always)]
pub(crate) fn stamp(ctx: &TcContext) -> i32 {
    let skb = packet::skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let (low, high, steered, corrupt) =
        unsafe { ((*skb).cb[0], (*skb).cb[1], (*skb).cb[2], (*skb).cb[packet::CORRUPT]) };
    if steered != STEERED {
        return TC_ACT_SHOT as i32;
    }
    let header = HoldHeader { departure_ns: u64::from(high) << 32 | u64::from(low), corrupt, reserved: 0 };
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
    packet::set_shaped(ctx, 0);
    // SAFETY: no memory is passed.
    unsafe { bpf_redirect(link.ifindex, u64::from(BPF_F_INGRESS)) as i32 }
}
