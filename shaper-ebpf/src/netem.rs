//! Engine `netem`: the classifier picks the htb class of the packet's rule, the netem qdisc below it does the rest with its
//! own dice.

use aya_ebpf::programs::TcContext;
use shaper_common::abi::Link;
use shaper_common::decide::Frame;
use shaper_common::trace::fate;

use crate::trace::Outcome;
use crate::{maps, packet, rules, trace};

/// Sets `skb->priority`, which htb takes as the class when its major is htb's own; minor 0 is htb's direct queue
/// (net/sched/sch_htb.c, htb_classify).
#[inline(always)]
pub(crate) fn egress(ctx: &TcContext) -> i32 {
    let is_shaped = packet::take_shaped(ctx);
    let Some(link) = maps::link().filter(|link| link.rules != 0) else {
        return packet::PASS;
    };
    if is_shaped {
        // SAFETY: the context pointer is valid for the program's whole run.
        unsafe { (*packet::skb(ctx)).priority = link.htb };
        return packet::PASS;
    }
    let frame = packet::frame(ctx);
    let mut outcome = Outcome::default();
    let (minor, verdict) = classify(ctx, link, frame, &mut outcome);
    // SAFETY: the context pointer is valid for the program's whole run.
    unsafe { (*packet::skb(ctx)).priority = link.htb | minor };
    trace::tell(ctx, frame, outcome);
    verdict
}

/// The minor number of the packet's class, and the verdict.
#[inline(always)]
fn classify(ctx: &TcContext, link: &Link, frame: Frame, outcome: &mut Outcome) -> (u32, i32) {
    let met = match rules::meet(ctx, link, frame, outcome) {
        Ok(met) => met,
        Err(verdict) => return (0, verdict),
    };
    maps::refer_to_tables(met.rule);
    met.counters.delayed_packets += u64::from(frame.wire_packets);
    met.counters.delayed_bytes += u64::from(frame.wire_bytes);
    met.counters.delayed_frames += 1;
    outcome.fates = fate::GIVEN_TO_NETEM;
    (met.slot, packet::PASS)
}
