//! Who holds the packets of an attachment, and how punctually.

use serde::Serialize;
use shaper_common::abi::{Direction, Engine, RelayReport};

use crate::achieved::Holding;
use crate::attachment::{Attachment, Survey};
use crate::tc;
use crate::tc::qdisc::fq;
use crate::units::Delay;

/// The qdisc or the process that holds packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// `fq`, `netem` or `relay`.
    pub kind: &'static str,
    /// The relay's process id, as its own pid namespace numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// Frames held now.
    pub held_frames: u64,
    /// Bytes held now.
    pub held_bytes: u64,
    /// Frames it has sent on; those of `fq` and `netem` as packets on the wire, shaped or not.
    pub sent_frames: u64,
    /// Frames it may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_frames_max: Option<u64>,
    /// Frames it had no room for; with `netem` these are those that it lost and those that the bottleneck's queue had no room
    /// for as well, which it counts as one.
    pub drops: u64,
    /// Frames that the link refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_errors: Option<u64>,
    /// How late frames left against their departure times; absent where the kernel does not tell (`netem`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
}

impl Holder {
    /// What it makes of packets whose fate is decided.
    #[must_use]
    pub fn holding(&self) -> Holding {
        let dropped = (self.drops + self.send_errors.unwrap_or_default()) as f64;
        let all = (self.sent_frames as f64 + dropped).max(1.0);
        Holding { late_mean: self.late.and_then(|late| late.mean), dropped_share: dropped / all }
    }
}

/// Lateness: time sent less departure time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Late {
    /// Frames that this rests on; absent with `fq`, which keeps a moving average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// `relay`: mean of these frames. `fq`: moving average of the timer's lateness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Delay>,
    /// `relay`: half of the frames left no later than this (upper end of a power-of-two bucket).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<Delay>,
    /// `relay`: 99 of 100 frames left no later than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<Delay>,
    /// `relay`: no frame left later than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Delay>,
}

/// The holder of an attachment, where it is there.
pub(super) fn of(survey: &Survey, found: &Attachment, engine: Engine) -> Option<Holder> {
    let dev = match found.direction {
        Direction::Egress => found.link.ifindex,
        Direction::Ingress => found.holder.as_ref()?.ifindex,
    };
    match engine {
        Engine::Edt => survey.root(dev).filter(|root| root.kind == "fq").map(of_fq),
        Engine::Netem => of_leaves(survey, dev),
        Engine::Relay => found.maps.as_ref().ok()?.relay_report().ok()?.map(|report| of_relay(&report)),
    }
}

fn of_qdisc(kind: &'static str, qdisc: &tc::Observed) -> Holder {
    Holder {
        kind,
        pid: None,
        held_frames: u64::from(qdisc.stats.qlen),
        held_bytes: u64::from(qdisc.stats.backlog_bytes),
        sent_frames: qdisc.stats.packets,
        held_frames_max: None,
        drops: u64::from(qdisc.stats.drops),
        send_errors: None,
        late: None,
    }
}

/// All the leaves taken together; without one, what is left is htb itself, with rules that only filter.
fn of_leaves(survey: &Survey, dev: u32) -> Option<Holder> {
    let root = survey.root(dev).filter(|root| root.kind == "htb")?;
    let none = Holder { held_frames: 0, held_bytes: 0, sent_frames: 0, drops: 0, ..of_qdisc("netem", root) };
    Some(survey.leaves(dev).map(|(_, leaf)| of_qdisc("netem", leaf)).fold(none, |sum, leaf| Holder {
        held_frames: sum.held_frames + leaf.held_frames,
        held_bytes: sum.held_bytes + leaf.held_bytes,
        sent_frames: sum.sent_frames + leaf.sent_frames,
        drops: sum.drops + leaf.drops,
        ..sum
    }))
}

fn of_fq(root: &tc::Observed) -> Holder {
    let stats = fq::Stats::parse(&root.stats.app);
    let mean = Some(Delay::from_ns(u64::from(stats.unthrottle_latency_ns)));
    Holder {
        held_frames_max: fq::Options::parse(&root.options).limit_packets.map(u64::from),
        late: Some(Late { frames: None, mean, p50: None, p99: None, max: None }),
        ..of_qdisc("fq", root)
    }
}

fn of_relay(report: &RelayReport) -> Holder {
    let frames: u64 = report.late.iter().sum();
    let late = (frames > 0).then(|| Late {
        frames: Some(frames),
        mean: Some(Delay::from_ns(report.late_ns_sum / frames)),
        p50: quantile(report, frames.div_ceil(2)),
        p99: quantile(report, (u128::from(frames) * 99).div_ceil(100) as u64),
        max: quantile(report, frames),
    });
    Holder {
        kind: "relay",
        pid: Some(report.pid),
        held_frames: report.held_frames,
        held_bytes: report.held_bytes,
        sent_frames: report.sent_frames,
        held_frames_max: Some(report.held_frames_max),
        drops: report.full_drops,
        send_errors: Some(report.send_errors),
        late,
    }
}

/// The upper end of the bucket in which the `rank`-th least late frame is.
fn quantile(report: &RelayReport, rank: u64) -> Option<Delay> {
    let mut seen = 0;
    let bucket = report.late.iter().position(|&count| {
        seen += count;
        seen >= rank
    })?;
    Some(Delay::from_ns(1 << bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_read_off_the_histogram() {
        let mut report = RelayReport::default();
        report.late[10] = 98;
        report.late[15] = 1;
        report.late[20] = 1;
        report.late_ns_sum = 100 * 700;
        let late = of_relay(&report).late.unwrap();
        assert_eq!(late.frames, Some(100));
        assert_eq!(late.mean, Some(Delay::from_ns(700)));
        assert_eq!(late.p50, Some(Delay::from_ns(1 << 10)));
        assert_eq!(late.p99, Some(Delay::from_ns(1 << 15)));
        assert_eq!(late.max, Some(Delay::from_ns(1 << 20)));
        assert_eq!(of_relay(&RelayReport::default()).late, None);
    }

    #[test]
    fn what_it_drops_is_a_share_of_what_it_was_given() {
        let report = RelayReport { sent_frames: 96, full_drops: 3, send_errors: 1, ..RelayReport::default() };
        assert_eq!(of_relay(&report).holding(), Holding { late_mean: None, dropped_share: 0.04 });
        assert_eq!(of_relay(&RelayReport::default()).holding(), Holding::default());
    }
}
