//! `edt`: an `fq` root qdisc holds each packet until the time that the classifier stamped on it.
//!
//! ```text
//! egress:   eth0 clsact egress: shaper_edt ─▶ root fq 5a00:
//! ingress:  eth0 clsact ingress: shaper_divert ─▶ mirred ─▶ ifb clsact egress: shaper_edt ─▶ root fq 5a00: ─▶ eth0
//! ```

use crate::attachment::ROOT;
use crate::netlink::Message;
use crate::netlink::link::Device;
use crate::plan::Needs;
use crate::plan::limits::Room;
use crate::tc::qdisc::{Kind, Qdisc, fq};
use crate::tc::{self, Handle, Verb};

/// How late the timer may be; fq's default of 10 µs would be most of the lateness there is.
const TIMER_SLACK_NS: u32 = 1_000;
/// The horizon beyond the longest stay: a departure time must never be further off than fq accepts.
const HORIZON_MARGIN_US: u64 = 1_000_000;

/// Sets the queue up on a link.
pub(super) fn queue(dev: &Device, needs: &Needs) -> Vec<Message<'static>> {
    vec![qdisc(dev, options(needs)).message(Verb::Replace)]
}

/// Gives the queue the room that new rules need; what the old ones had stays, for the packets that are still there. With the
/// message that takes it back.
pub(super) fn widen(
    dev: &Device,
    needs: &Needs,
    now: &tc::Observed,
) -> Option<(Message<'static>, Message<'static>)> {
    let (had, need) = (fq::Options::parse(&now.options), options(needs));
    let wide = fq::Options {
        limit_packets: had.limit_packets.max(need.limit_packets),
        flow_limit_packets: had.flow_limit_packets.max(need.flow_limit_packets),
        horizon_us: had.horizon_us.max(need.horizon_us),
        ..need.clone()
    };
    let grows = wide.limit_packets > had.limit_packets
        || wide.flow_limit_packets > had.flow_limit_packets
        || wide.horizon_us > had.horizon_us;
    let before = fq::Options {
        limit_packets: had.limit_packets,
        flow_limit_packets: had.flow_limit_packets,
        horizon_us: had.horizon_us,
        ..need
    };
    let change = |options| qdisc(dev, options).message(Verb::Change);
    grows.then(|| (change(wide), change(before)))
}

fn qdisc(dev: &Device, options: fq::Options) -> Qdisc {
    Qdisc { dev: dev.clone(), parent: Handle::ROOT, handle: ROOT, kind: Kind::Fq(options) }
}

fn options(needs: &Needs) -> fq::Options {
    let Room { packets, longest_stay, .. } = Room::of(needs);
    let horizon_us = longest_stay.as_ns() / 1_000 + HORIZON_MARGIN_US;
    fq::Options {
        limit_packets: Some(packets),
        flow_limit_packets: Some(packets),
        timer_slack_ns: Some(TIMER_SLACK_NS),
        // What passes without a departure time still belongs to its socket, whose packets fq would spread out; no link does that.
        pacing: Some(false),
        // A flow for each hash, and no two that share one: the classifier says by it what may wait for what.
        orphan_mask: Some(u32::MAX),
        horizon_us: Some(u32::try_from(horizon_us).unwrap_or(u32::MAX)),
        ..fq::Options::default()
    }
}
