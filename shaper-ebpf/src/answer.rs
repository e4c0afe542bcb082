//! The answer to a packet that was rejected: the packet itself is turned into it and sent back to where it came from.

use aya_ebpf::bindings::{
    BPF_F_INGRESS, BPF_F_INVALIDATE_HASH, BPF_F_RECOMPUTE_CSUM, TC_ACT_STOLEN, bpf_adj_room_mode,
};
use aya_ebpf::helpers::generated::{
    bpf_redirect, bpf_skb_adjust_room, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
};
use aya_ebpf::programs::TcContext;
use shaper_common::abi::{Direction, Link};
use shaper_common::answer::{self, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, TCP_HLEN, v4, v6};

use crate::packet::{ETH_P_IP, ETH_P_IPV6, PASS};
use crate::{maps, packet};

const ETH_HLEN: usize = 14;
/// The loopback is the first device of each namespace.
const LOOPBACK_IFINDEX: u32 = 1;
/// Bytes behind the Ethernet header that are cut out, the packet's checksum among them.
///
/// A checksum that was left to the link is filled in over whatever is there then, and no helper says so or finishes it; but
/// when its place is cut off, the kernel forgets about it (`skb_postpull_rcsum`). Enough for any IPv4 header, and for
/// extension headers of IPv6 up to 458 bytes.
const CUT: usize = 512;

/// Room for any answer, without the Ethernet header; zeros at first.
type Answer = [u8; v6::ERROR_MAX];

/// Answers what is marked, with the verdict for it; the rest passes.
#[inline(always)]
pub(crate) fn answer(ctx: &TcContext) -> i32 {
    if !packet::take_to_be_answered(ctx) {
        return PASS;
    }
    // SAFETY: the context pointer is valid for the program's whole run.
    let protocol = unsafe { (*packet::skb(ctx)).protocol };
    // One for both, because the stack has 512 bytes.
    let mut answer: Answer = [0; _];
    let answered = match protocol {
        ETH_P_IP => answer_v4(ctx, &mut answer),
        ETH_P_IPV6 => answer_v6(ctx, &mut answer),
        _ => None,
    };
    match (answered, maps::link()) {
        (Some(()), Some(link)) => send_back(ctx, link),
        // Rejected all the same.
        _ => TC_ACT_STOLEN as i32,
    }
}

/// Takes the mark off an answer on its way back, where nobody shapes what goes that way.
#[inline(always)]
pub(crate) fn forget(ctx: &TcContext) -> i32 {
    packet::forget_shaped(ctx);
    PASS
}

#[inline(always)]
fn answer_v4(ctx: &TcContext, answer: &mut Answer) -> Option<()> {
    let (mut ethernet, mut ip) = ([0; ETH_HLEN], [0; v4::HLEN]);
    load(ctx, 0, &mut ethernet)?;
    load(ctx, ETH_HLEN as u32, &mut ip)?;
    if !answer::is_unicast(&ethernet) || !v4::is_answerable(&ip) {
        return None;
    }
    let len = v4::len(&ip, bytes_behind_ethernet(ctx))?;
    let header_len = v4::header_len(&ip);
    let transport = ETH_HLEN as u32 + header_len;
    if ip[9] == IPPROTO_TCP {
        let mut tcp = [0; TCP_HLEN];
        load(ctx, transport, &mut tcp)?;
        let tcp = answer::reset(&tcp, len - header_len)?;
        let reset = answer.first_chunk_mut()?;
        v4::reset(&ip, &tcp, reset);
        make_room(ctx, reset.len())?;
        return replace(ctx, &ethernet, reset, v4::RESET_LEN as u32);
    }
    if ip[9] == IPPROTO_ICMP {
        let mut kind = [0];
        load(ctx, transport, &mut kind)?;
        if v4::is_error(kind[0]) {
            return None;
        }
    }
    let error = answer.first_chunk_mut::<{ v4::ERROR_MAX }>()?;
    make_room(ctx, error.len())?;
    let quote_len = v4::quote_len(&ip, len);
    quote(ctx, &mut error[v4::QUOTE_AT..], quote_len)?;
    v4::prohibited(&ip, error, quote_len);
    replace(ctx, &ethernet, error, v4::QUOTE_AT as u32 + quote_len)
}

#[inline(always)]
fn answer_v6(ctx: &TcContext, answer: &mut Answer) -> Option<()> {
    let (mut ethernet, mut ip) = ([0; ETH_HLEN], [0; v6::HLEN]);
    load(ctx, 0, &mut ethernet)?;
    load(ctx, ETH_HLEN as u32, &mut ip)?;
    if !answer::is_unicast(&ethernet) || !v6::is_answerable(&ip) {
        return None;
    }
    let len = v6::len(&ip, bytes_behind_ethernet(ctx))?;
    let transport = (ETH_HLEN + v6::HLEN) as u32;
    if ip[6] == IPPROTO_TCP {
        let mut tcp = [0; TCP_HLEN];
        load(ctx, transport, &mut tcp)?;
        let tcp = answer::reset(&tcp, len - v6::HLEN as u32)?;
        let reset = answer.first_chunk_mut()?;
        v6::reset(&ip, &tcp, reset);
        make_room(ctx, reset.len())?;
        return replace(ctx, &ethernet, reset, v6::RESET_LEN as u32);
    }
    if ip[6] == IPPROTO_ICMPV6 {
        let mut kind = [0];
        load(ctx, transport, &mut kind)?;
        if v6::is_error(kind[0]) {
            return None;
        }
    }
    let error = answer.first_chunk_mut::<{ v6::ERROR_MAX }>()?;
    make_room(ctx, error.len())?;
    let quote_len = v6::quote_len(len);
    quote(ctx, &mut error[v6::QUOTE_AT..], quote_len)?;
    v6::prohibited(&ip, error, quote_len);
    replace(ctx, &ethernet, error, v6::QUOTE_AT as u32 + quote_len)
}

#[inline(always)]
fn bytes_behind_ethernet(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { (*packet::skb(ctx)).len }.saturating_sub(ETH_HLEN as u32)
}

/// Makes the packet one plain frame (no GSO, no fragments elsewhere) with room for `bytes` behind what will be cut.
#[inline(always)]
fn make_room(ctx: &TcContext, bytes: usize) -> Option<()> {
    set_len(ctx, (ETH_HLEN + CUT + bytes) as u32)
}

#[inline(always)]
fn set_len(ctx: &TcContext, len: u32) -> Option<()> {
    // SAFETY: the context pointer is valid for the program's whole run.
    ok(unsafe { bpf_skb_change_tail(packet::skb(ctx), len, 0) })
}

/// Copies the packet's first `len` bytes to `to`, which is zeros; they end within the room made.
#[inline(always)]
fn quote(ctx: &TcContext, to: &mut [u8], len: u32) -> Option<()> {
    // The verifier follows a copy of a constant size once, so that zeros go where the quote ends.
    store(ctx, ETH_HLEN as u32 + len, to)?;
    load(ctx, ETH_HLEN as u32, to)
}

/// Makes the frame the first `len` bytes of `answer`, on its way back. Only after [`make_room`] for all of them.
#[inline(always)]
fn replace(ctx: &TcContext, ethernet: &[u8; ETH_HLEN], answer: &[u8], len: u32) -> Option<()> {
    store(ctx, 0, &answer::ethernet(ethernet))?;
    store(ctx, (ETH_HLEN + CUT) as u32, answer)?;
    // Before the cut: behind it, kernels before 6.13 take the place of the old transport header for the least length.
    set_len(ctx, (ETH_HLEN + CUT) as u32 + len)?;
    let skb = packet::skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    ok(unsafe { bpf_skb_adjust_room(skb, -(CUT as i32), bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, 0) })
}

#[inline(always)]
fn load(ctx: &TcContext, at: u32, to: &mut [u8]) -> Option<()> {
    // SAFETY: `to` is as long as said.
    ok(unsafe { bpf_skb_load_bytes(packet::skb(ctx).cast(), at, to.as_mut_ptr().cast(), to.len() as u32) })
}

#[inline(always)]
fn store(ctx: &TcContext, at: u32, bytes: &[u8]) -> Option<()> {
    let flags = u64::from(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH);
    // SAFETY: `bytes` is as long as said.
    ok(unsafe { bpf_skb_store_bytes(packet::skb(ctx), at, bytes.as_ptr().cast(), bytes.len() as u32, flags) })
}

#[inline(always)]
fn ok(result: i64) -> Option<()> {
    if result == 0 { Some(()) } else { None }
}

/// Sends the answer to where the packet came from, past our filter on that way.
#[inline(always)]
fn send_back(ctx: &TcContext, link: &Link) -> i32 {
    let skb = packet::skb(ctx);
    // What was set for the packet's own way: a routing decision, and the class of an htb of ours.
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe {
        (*skb).mark = 0;
        (*skb).priority = 0;
    }
    let leaving = link.direction == Direction::Egress as u32;
    if link.ifindex == LOOPBACK_IFINDEX {
        // The sender is where the packet goes; and without the route that it has, it would not be taken.
        if leaving {
            packet::set_shaped(ctx, 0);
        }
        return PASS;
    }
    packet::set_shaped(ctx, 0);
    let flags = if leaving { u64::from(BPF_F_INGRESS) } else { 0 };
    // SAFETY: no memory is passed.
    unsafe { bpf_redirect(link.ifindex, flags) as i32 }
}
