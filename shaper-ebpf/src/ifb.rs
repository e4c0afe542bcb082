//! Ingress shapes of `edt` and `netem`: packets go through an ifb, whose egress then has a qdisc.

use aya_ebpf::programs::TcContext;
use shaper_common::trace::fate;

use crate::trace::Outcome;
use crate::{maps, packet, trace};

/// cls_bpf without direct-action: -1 matches (its action, a redirect to the ifb, is run), 0 does not.
const MATCH: i32 = -1;
const NO_MATCH: i32 = 0;

/// Matches all packets while the ifb is there, so that one program decides about them: the one on the ifb.
#[inline(always)]
pub(crate) fn ingress(ctx: &TcContext) -> i32 {
    let Some(link) = maps::link() else {
        return NO_MATCH;
    };
    // A redirect to a device that is gone would drop the packet.
    if link.rules != 0 && packet::is_device(ctx, link.holder_ifindex) {
        return MATCH;
    }
    if let Some(counters) = maps::counters(0) {
        let frame = packet::frame(ctx);
        counters.packets += u64::from(frame.wire_packets);
        counters.bytes += u64::from(frame.wire_bytes);
        counters.passed_unheld += u64::from(frame.wire_packets);
        trace::tell(ctx, frame, Outcome::of(0, fate::PASSED_UNHELD));
    }
    NO_MATCH
}
