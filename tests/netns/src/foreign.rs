//! What others have on a link: qdiscs and filters that `shaper` must work beside and leave alone.

use std::time::Duration;

use shaper::netlink::Message;
use shaper::netlink::link::Device;

use crate::node::Node;
use crate::snapshot;

// linux/rtnetlink.h, linux/pkt_cls.h, linux/pkt_sched.h
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_CLASSID: u16 = 3;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_CLSACT_EGRESS: u32 = 0xffff_fff3;
const TC_H_CLSACT_MAJOR: u32 = 0xffff_0000;
const ETH_P_ALL: u16 = 0x0003;
/// linux/bpf_common.h: BPF_RET | BPF_K.
const BPF_RET_K: u16 = 0x06;
const FILTER_PREF: u32 = 7;

/// Adds a clsact qdisc and, on its egress, the filter of [`add_filter`].
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn add_clsact_with_filter(node: &Node, device: &Device) {
    let mut clsact = message(libc::RTM_NEWQDISC, device, TC_H_CLSACT_MAJOR, TC_H_CLSACT, 0);
    clsact.body_mut().attr_str(TCA_KIND, "clsact");
    node.request(clsact);
    add_filter(node, device);
}

/// Adds a classifier to the egress of a clsact, before any of ours, which matches no packet:
/// `tc filter add dev DEV egress pref 7 bpf bytecode '1,6 0 0 0'`.
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn add_filter(node: &Node, device: &Device) {
    let info = FILTER_PREF << 16 | u32::from(ETH_P_ALL.to_be());
    let mut filter = message(libc::RTM_NEWTFILTER, device, 1, TC_H_CLSACT_EGRESS, info);
    filter.body_mut().attr_str(TCA_KIND, "bpf").nest(TCA_OPTIONS, |options| {
        // One classic BPF instruction, `ret #0`: no match, so that the filters behind are asked.
        let mut instruction = [0; 8];
        instruction[..2].copy_from_slice(&BPF_RET_K.to_ne_bytes());
        options.attr(TCA_BPF_OPS_LEN, &1_u16.to_ne_bytes()).attr(TCA_BPF_OPS, &instruction);
        options.attr_u32(TCA_BPF_CLASSID, 0x0001_0007);
    });
    node.request(filter);
}

/// Returns how many filters of [`add_filter`] the link has.
#[track_caller]
pub fn filters(node: &Node, device: &Device) -> usize {
    let preferences = snapshot::filters(node, device.ifindex).into_iter().filter_map(|filter| {
        let (header, attributes) = filter.split::<20>()?;
        // A dump lists the chain (without options) before its filters.
        attributes.find_kind(TCA_OPTIONS)?;
        let info: [u8; 4] = header[16..].try_into().ok()?;
        Some(u32::from_ne_bytes(info) >> 16)
    });
    preferences.filter(|&pref| pref == FILTER_PREF).count()
}

/// Makes a `pfifo` of 333 packets the root qdisc: `tc qdisc add dev DEV root handle 77: pfifo limit 333`.
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn add_root_qdisc(node: &Node, device: &Device) {
    let mut pfifo = message(libc::RTM_NEWQDISC, device, 0x0077_0000, TC_H_ROOT, 0);
    pfifo.body_mut().attr_str(TCA_KIND, "pfifo").attr_u32(TCA_OPTIONS, 333);
    node.request(pfifo);
}

/// Makes a plain `netem` the root qdisc: `tc qdisc add dev DEV root netem delay DELAY limit 100000`.
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn add_netem(node: &Node, device: &Device, delay: Duration) {
    // linux/pkt_sched.h: struct tc_netem_qopt is latency, limit, loss, gap, duplicate, jitter; times in ticks of 64 ns.
    let ticks = u32::try_from(delay.as_nanos() / 64).expect("a delay below 274 s");
    let mut options = [0; 24];
    options[..4].copy_from_slice(&ticks.to_ne_bytes());
    options[4..8].copy_from_slice(&100_000_u32.to_ne_bytes());
    let mut netem = message(libc::RTM_NEWQDISC, device, 0, TC_H_ROOT, 0);
    netem.body_mut().attr_str(TCA_KIND, "netem").attr(TCA_OPTIONS, &options);
    node.request(netem);
}

/// Deletes the root qdisc: `tc qdisc del dev DEV root`.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn delete_root_qdisc(node: &Node, device: &Device) {
    node.request(message(libc::RTM_DELQDISC, device, 0, TC_H_ROOT, 0));
}

fn message(kind: u16, device: &Device, handle: u32, parent: u32, info: u32) -> Message<'static> {
    let flags = if kind == libc::RTM_DELQDISC { 0 } else { libc::NLM_F_CREATE | libc::NLM_F_EXCL };
    let mut message = Message::new(kind, flags, "set up a foreign qdisc or filter", "");
    let mut tcmsg = [0; 20];
    for (field, value) in [device.ifindex, handle, parent, info].into_iter().enumerate() {
        tcmsg[4 + 4 * field..8 + 4 * field].copy_from_slice(&value.to_ne_bytes());
    }
    message.body_mut().raw(&tcmsg);
    message
}
