//! Ingress shapes of `edt` and `netem`: what is to be shaped goes through an ifb, whose egress then has a qdisc.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use shaper_common::trace::fate;

use crate::trace::Outcome;
use crate::{maps, packet, trace};

/// cls_bpf without direct-action: -1 matches (its action, a redirect to the ifb, is run), 0 does not.
const MATCH: i32 = -1;
const NO_MATCH: i32 = 0;

#[inline(always)]
pub(crate) fn ingress(ctx: &TcContext) -> i32 {
    let (Some(link), Some(rule)) = (maps::link(), maps::rule()) else {
        return NO_MATCH;
    };
    // SAFETY: no arguments.
    let expired = rule.expires_ns != 0 && unsafe { bpf_ktime_get_ns() } >= rule.expires_ns;
    let shapeable = packet::is_shapeable(ctx);
    // A redirect to a device that is gone would drop the packet.
    let held = packet::is_device(ctx, link.holder_ifindex);
    if shapeable && !expired && held {
        // The program on the ifb tells of it.
        return MATCH;
    }
    if let Some(counters) = maps::counters() {
        let frame = packet::frame(ctx);
        counters.packets += u64::from(frame.wire_packets);
        counters.bytes += u64::from(frame.wire_bytes);
        let (passed, fates) = if !shapeable {
            (&mut counters.passed_not_ip, fate::PASSED_NOT_IP)
        } else if expired {
            (&mut counters.passed_expired, fate::PASSED_EXPIRED)
        } else {
            (&mut counters.passed_unheld, fate::PASSED_UNHELD)
        };
        *passed += u64::from(frame.wire_packets);
        trace::tell(ctx, frame, Outcome::of(0, fates));
    }
    NO_MATCH
}
