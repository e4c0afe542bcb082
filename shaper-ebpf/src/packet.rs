//! What a classifier sees of a packet, and the verdicts and marks it leaves on it.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{
    bpf_check_mtu, bpf_skb_ecn_set_ce, bpf_skb_load_bytes, bpf_skb_store_bytes,
};
use aya_ebpf::programs::TcContext;
use shaper_common::abi::Direction;
use shaper_common::corrupt;
use shaper_common::decide::Frame;
use shaper_common::lookup::Family;
use shaper_common::trace::HEAD;

/// The verdict of a packet that is none of ours: whatever filter comes next decides (`TC_ACT_UNSPEC`).
pub(crate) const PASS: i32 = -1;

/// `ETH_P_IP`, `ETH_P_IPV6` and `ETH_P_ARP` as `skb->protocol` holds them.
pub(crate) const ETH_P_IP: u32 = 0x0800u16.to_be() as u32;
pub(crate) const ETH_P_IPV6: u32 = 0x86ddu16.to_be() as u32;
const ETH_P_ARP: u32 = 0x0806u16.to_be() as u32;

/// Linux's `ENODEV`.
const ENODEV: i64 = 19;

const ETH_HLEN: usize = 14;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_SCTP: u8 = 132;
const IPPROTO_ICMPV6: u8 = 58;

/// `skb->tc_index` of a packet that has had its turn and comes by again. Unlike the mark it is not the user's, and unlike
/// `skb->cb` it survives a device's receive path.
const SHAPED: u16 = 0x5a5a;
/// The same, of a packet of which a bit is to be flipped; [`CORRUPT`] says which.
const DAMAGED: u16 = 0x5a5b;
/// The same, of a packet that the filter behind the one that decides is to answer.
const ANSWER: u16 = 0x5a5c;
/// Where in `skb->cb` the place travels at which a bit is to be flipped.
pub(crate) const CORRUPT: usize = 3;

/// The kernel's view of the packet.
#[inline(always)]
pub(crate) fn skb(ctx: &TcContext) -> *mut __sk_buff {
    ctx.skb.skb
}

/// Whether there is a device of that number in the packet's namespace.
#[inline(always)]
pub(crate) fn is_device(ctx: &TcContext, ifindex: u32) -> bool {
    let mut mtu = 0u32;
    // SAFETY: `mtu` outlives the call; the context pointer is valid for the program's whole run.
    unsafe { bpf_check_mtu(skb(ctx).cast(), ifindex, &raw mut mtu, 0, 0) != -ENODEV }
}

/// Whether the packet comes by again after it was shaped; the token is taken off, and the damage done that it asks for.
#[inline(always)]
pub(crate) fn take_shaped(ctx: &TcContext) -> bool {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let (token, place) = unsafe { ((*skb).tc_index, (*skb).cb[CORRUPT]) };
    let is_damaged = token == u32::from(DAMAGED);
    if token != u32::from(SHAPED) && !is_damaged {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*skb).tc_index = 0 };
    if is_damaged {
        flip(ctx, place);
    }
    true
}

/// Takes the token off a packet that no filter of ours has shaped; it would be known by it on other links and in other
/// namespaces.
#[inline(always)]
pub(crate) fn forget_shaped(ctx: &TcContext) {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe {
        if (*skb).tc_index == u32::from(SHAPED) {
            (*skb).tc_index = 0;
        }
    }
}

/// Whether the packet comes by again to have a bit flipped.
#[inline(always)]
pub(crate) fn is_to_be_damaged(ctx: &TcContext) -> bool {
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { (*skb(ctx)).tc_index == u32::from(DAMAGED) }
}

/// Marks the packet as shaped, for the next time it comes by, when the bit at `corrupt` is flipped (zero: none).
#[inline(always)]
pub(crate) fn set_shaped(ctx: &TcContext, corrupt: u32) {
    let token = if corrupt == 0 { SHAPED } else { DAMAGED };
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe {
        (*skb).cb[CORRUPT] = corrupt;
        (*skb).tc_index = u32::from(token);
    }
}

/// Marks the packet as one that the next filter, [`crate::answer`], is to answer.
#[inline(always)]
pub(crate) fn set_to_be_answered(ctx: &TcContext) {
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { (*skb(ctx)).tc_index = u32::from(ANSWER) };
}

/// Whether the packet is to be answered; the token is taken off.
#[inline(always)]
pub(crate) fn take_to_be_answered(ctx: &TcContext) -> bool {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    if unsafe { (*skb).tc_index } != u32::from(ANSWER) {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*skb).tc_index = 0 };
    true
}

/// Flips the bit at `place`. The kernel copies first what others refer to, the sender's own copy above all.
#[inline(always)]
fn flip(ctx: &TcContext, place: u32) {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let len = unsafe { (*skb).len };
    let Some(bit) = corrupt::bit(place, len) else {
        return;
    };
    if let Ok(byte) = ctx.load::<u8>(bit.byte as usize) {
        let byte = byte ^ bit.mask;
        // SAFETY: `byte` is one byte long and outlives the call.
        unsafe { bpf_skb_store_bytes(skb, bit.byte, (&raw const byte).cast(), 1, 0) };
    }
}

/// Marks the packet congestion experienced (RFC 3168) and returns 1; 0 for one whose sender does not know of it.
#[inline(always)]
pub(crate) fn mark_congestion(ctx: &TcContext) -> u64 {
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { bpf_skb_ecn_set_ce(skb(ctx)) as u64 & 1 }
}

/// What a packet is to the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A packet to shape.
    Ip(Family),
    /// ARP or IPv6 neighbour discovery, which stay as they are unless the user wants otherwise: the first packet to a new
    /// peer must not pay its delay twice.
    Neighbours(Family),
    /// Anything else: it stays as it is.
    Other,
}

/// Says what a packet is.
#[inline(always)]
pub(crate) fn kind(ctx: &TcContext) -> Kind {
    // SAFETY: the context pointer is valid for the program's whole run.
    let protocol = unsafe { (*skb(ctx)).protocol };
    if protocol == ETH_P_IP {
        Kind::Ip(Family::Ipv4)
    } else if protocol == ETH_P_IPV6 {
        if is_neighbour_discovery(ctx) { Kind::Neighbours(Family::Ipv6) } else { Kind::Ip(Family::Ipv6) }
    } else if protocol == ETH_P_ARP {
        Kind::Neighbours(Family::Ipv4)
    } else {
        Kind::Other
    }
}

/// The address of the packet's other end as [`shaper_common::lookup`] has it; zero where the packet ends before.
#[inline(always)]
pub(crate) fn peer_address(ctx: &TcContext, family: Family, direction: u32) -> [u64; 2] {
    let is_source = direction == Direction::Ingress as u32;
    if family == Family::Ipv4 {
        let mut address = [0; 4];
        copy(ctx, ETH_HLEN + if is_source { 12 } else { 16 }, &mut address);
        [u64::from(u32::from_be_bytes(address)) << 32, 0]
    } else {
        let mut address = [[0; 8]; 2];
        let offset = ETH_HLEN + if is_source { 8 } else { 24 };
        let [high, low] = &mut address;
        copy(ctx, offset, high);
        copy(ctx, offset + 8, low);
        address.map(u64::from_be_bytes)
    }
}

/// The transport protocol, and the port of the packet's other end; zero where there is none.
#[inline(always)]
pub(crate) fn peer_port(ctx: &TcContext, family: Family, direction: u32) -> (u8, u16) {
    let (protocol, transport) = transport(ctx, family);
    let is_source = direction == Direction::Ingress as u32;
    let mut port = [0; 2];
    if transport != 0 && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP) {
        copy(ctx, transport + if is_source { 0 } else { 2 }, &mut port);
    }
    (protocol, u16::from_be_bytes(port))
}

/// Whether the packet belongs to a TCP connection that is open: neither does it open one (SYN) nor does it end it (RST).
#[inline(always)]
pub(crate) fn is_established_tcp(ctx: &TcContext, family: Family) -> bool {
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    let (protocol, transport) = transport(ctx, family);
    protocol == IPPROTO_TCP
        && transport != 0
        && ctx.load::<u8>(transport + 13).is_ok_and(|flags| flags & (SYN | RST) == 0)
}

/// The protocol, and where its header is; zero for a fragment that does not have it.
#[inline(always)]
fn transport(ctx: &TcContext, family: Family) -> (u8, usize) {
    if family == Family::Ipv6 {
        return (ctx.load(ETH_HLEN + 6).unwrap_or(0), ETH_HLEN + 40);
    }
    let mut header = [0; 10];
    copy(ctx, ETH_HLEN, &mut header);
    let is_later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    let offset = if is_later_fragment { 0 } else { ETH_HLEN + (header[0] & 0x0f) as usize * 4 };
    (header[9], offset)
}

/// Router and neighbour solicitations and advertisements and redirects: ICMPv6 types 133 to 137 (RFC 4861).
#[inline(always)]
fn is_neighbour_discovery(ctx: &TcContext) -> bool {
    matches!(ctx.load::<u8>(ETH_HLEN + 6), Ok(IPPROTO_ICMPV6))
        && matches!(ctx.load::<u8>(ETH_HLEN + 40), Ok(133..=137))
}

/// Copies the packet's first bytes and says how many there are.
#[inline(always)]
pub(crate) fn load_head(ctx: &TcContext, head: &mut [u8; HEAD]) -> u32 {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let len = unsafe { (*skb).len };
    // In 64 bits, which the compiler would not do by itself: older verifiers forget whose copy a 32-bit copy is, and take
    // what is then learnt of the one for unknown of the other.
    let len = black_box(u64::from(len));
    // A comparison with zero would do, but of that they learn nothing.
    if len < ETH_HLEN as u64 {
        return 0;
    }
    let head_len = len.min(HEAD as u64) as u32;
    // SAFETY: `head` is at least `head_len` bytes long.
    match unsafe { bpf_skb_load_bytes(skb.cast(), 0, head.as_mut_ptr().cast(), head_len) } {
        0 => head_len,
        _ => 0,
    }
}

/// Copies bytes of the packet; zeros where it ends before.
#[inline(always)]
fn copy<const N: usize>(ctx: &TcContext, offset: usize, to: &mut [u8; N]) {
    // SAFETY: `to` is `N` bytes long; the helper zeroes them when it fails.
    unsafe { bpf_skb_load_bytes(skb(ctx).cast(), offset as u32, to.as_mut_ptr().cast(), N as u32) };
}

/// What the frame will be on the wire.
#[inline(always)]
pub(crate) fn frame(ctx: &TcContext) -> Frame {
    let skb = skb(ctx);
    // SAFETY: the context pointer is valid for the program's whole run.
    let (len, segments) = unsafe { ((*skb).len, (*skb).gso_segs) };
    if segments <= 1 {
        return Frame { wire_bytes: len, wire_packets: 1 };
    }
    // SAFETY: as above.
    let wire_len = unsafe { (*skb).wire_len };
    // The kernel counts the headers of each segment on egress only; on ingress `wire_len` is the length without the
    // link header (net/core/dev.c, qdisc_pkt_len_init and sch_handle_ingress).
    let wire_bytes = if wire_len > len { wire_len } else { len + (segments - 1) * headers_len(ctx) };
    Frame { wire_bytes, wire_packets: segments }
}

/// Bytes in front of the payload of a GSO frame, which each of its segments repeats.
#[inline(always)]
fn headers_len(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid for the program's whole run.
    let v6 = unsafe { (*skb(ctx)).protocol } == ETH_P_IPV6;
    let (transport, next) = if v6 {
        (ETH_HLEN + 40, ctx.load::<u8>(ETH_HLEN + 6).unwrap_or(IPPROTO_TCP))
    } else {
        let ihl = ctx.load::<u8>(ETH_HLEN).unwrap_or(0x45) & 0x0f;
        (ETH_HLEN + ihl as usize * 4, ctx.load::<u8>(ETH_HLEN + 9).unwrap_or(IPPROTO_TCP))
    };
    let transport_len = if next == IPPROTO_TCP {
        (ctx.load::<u8>(transport + 12).unwrap_or(0x50) >> 4) as u32 * 4
    } else {
        8
    };
    transport as u32 + transport_len
}
