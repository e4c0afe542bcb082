//! What `show` says of one attachment: what was asked for, who does it, and what came of it.

use serde::Serialize;
use shaper_common::abi::{Counters, Direction, Engine, RelayReport, Rule};

use crate::achieved::{self, Achieved};
use crate::attachment::{Attachment, Survey};
use crate::engine;
use crate::plan::rule;
use crate::shape::{EngineChoice, Named as _, Parts, Shape};
use crate::tc;
use crate::tc::qdisc::{fq, netem};
use crate::units::Delay;

/// One direction of one link.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The link's name.
    pub link: String,
    /// `egress` or `ingress`.
    pub direction: &'static str,
    /// Whether packets are shaped now, and if not, why.
    pub state: State,
    /// Who holds the packets; absent when another version attached the programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<&'static str>,
    /// Whether the user asked for that engine.
    pub engine_asked: bool,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Time left, when a time limit was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_left: Option<Delay>,
    /// What the classifier counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counted>,
    /// How often each fault was asked for and happened; nothing with `netem`, which does not tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub achieved: Vec<Achieved>,
    /// Who holds the packets, and how punctually it sends them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

/// Whether packets are shaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "because")]
pub enum State {
    /// They are.
    Shaping,
    /// The time limit is over: they pass.
    Expired,
    /// The relay does not run: they pass. The next `apply` starts it again.
    RelayGone,
    /// An `apply` was killed half-way: they pass. The next `apply` or `clear` mends it.
    Incomplete,
    /// The maps cannot be read: of another version, for example.
    Unreadable(String),
}

/// The classifier's counters since this shape came; a GSO frame counts as the packets it becomes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen, as on the wire.
    pub bytes: u64,
    /// Packets shaped.
    pub shaped_packets: u64,
    /// Bytes shaped.
    pub shaped_bytes: u64,
    /// Packets that the bottleneck's queue had no room for.
    pub queue_drops: u64,
    /// Packets lost, as the shape asks; this and the next four are absent with `netem`, which decides on its own and counts
    /// only what it drops ([`Holder::drops`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Packets sent twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicated: Option<u64>,
    /// Packets of which a bit was flipped, copies included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupted: Option<u64>,
    /// Packets sent ahead of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reordered: Option<u64>,
    /// Packets marked congestion experienced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked: Option<u64>,
    /// Packets not shaped because they are not IP, or neighbour discovery.
    pub passed_not_ip: u64,
    /// Packets not shaped because the time limit was over.
    pub passed_expired: u64,
    /// Packets not shaped because nobody was there to hold them.
    pub passed_unheld: u64,
    /// Mean delay given, the bottleneck included; absent with `netem`, which gives its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_given_mean: Option<Delay>,
}

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

/// Lateness: time sent less departure time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Late {
    /// Frames that this rests on; absent with `fq`, which keeps a moving average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// `fq`: moving average of the timer's lateness.
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

/// Says how one attachment is doing at `now_ns` (`CLOCK_MONOTONIC`).
#[must_use]
pub fn of_attachment(survey: &Survey, found: &Attachment, now_ns: u64) -> Report {
    let mut report = Report {
        link: found.link.name.clone(),
        direction: crate::shape::Direction::from(found.direction).name(),
        state: State::Shaping,
        engine: None,
        engine_asked: false,
        shape: None,
        time_left: None,
        counters: None,
        achieved: Vec::new(),
        holder: None,
    };
    let (maps, record) = match (&found.maps, &found.record) {
        (Ok(maps), Ok(record)) => (maps, record),
        (Err(error), _) | (_, Err(error)) => {
            report.state = State::Unreadable(error.to_string());
            return report;
        }
    };
    let engine = engine::engine_of(found);
    report.engine = engine.map(|engine| EngineChoice::from(engine).name());
    report.engine_asked = record.engine_asked != 0;
    report.holder = engine.and_then(|engine| holder(survey, found, engine));
    let counters = match maps.counters() {
        Ok(counters) => Some(counters.since(&record.before)),
        Err(error) => {
            report.state = State::Unreadable(error.to_string());
            None
        }
    };
    report.counters = counters.as_ref().map(|counters| counted(counters, engine));
    let rule = match maps.rule() {
        Ok(Some(rule)) => rule,
        Ok(None) => {
            report.state = State::Incomplete;
            return report;
        }
        Err(error) => {
            report.state = State::Unreadable(error.to_string());
            return report;
        }
    };
    report.shape = rule::to_shape(&rule, record);
    if let (Some(shape), Some(counters)) = (&report.shape, &counters)
        && engine != Some(Engine::Netem)
    {
        report.achieved = achieved::of(shape, counters);
    }
    if engine == Some(Engine::Netem) && !draws_by_seed(survey, found) {
        report.shape = report.shape.and_then(|shape| Shape::new(Parts { seed: None, ..shape.into() }).ok());
    }
    report.time_left = time_left(&rule, now_ns);
    report.state = if report.time_left.is_some_and(Delay::is_zero) {
        State::Expired
    } else if engine == Some(Engine::Relay) && !engine::is_relay_alive(found) {
        State::RelayGone
    } else if report.holder.is_none() {
        State::Incomplete
    } else {
        report.state
    };
    report
}

/// Whether netem took the seed; before Linux 6.6 it ignores it, and tells none.
fn draws_by_seed(survey: &Survey, found: &Attachment) -> bool {
    let dev = match found.direction {
        Direction::Egress => Some(found.link.ifindex),
        Direction::Ingress => found.holder.as_ref().map(|holder| holder.ifindex),
    };
    let leaf = dev.and_then(|dev| survey.leaf(dev));
    leaf.and_then(|leaf| netem::Options::parse(&leaf.options)).is_some_and(|options| options.seed.is_some())
}

fn time_left(rule: &Rule, now_ns: u64) -> Option<Delay> {
    (rule.expires_ns != 0).then(|| Delay::from_ns(rule.expires_ns.saturating_sub(now_ns)))
}

fn counted(counters: &Counters, engine: Option<Engine>) -> Counted {
    let mean_ns = counters.delay_ns_sum.checked_div(counters.delayed_frames);
    let decided_by_us = engine != Some(Engine::Netem);
    let told = |count: u64| decided_by_us.then_some(count);
    Counted {
        packets: counters.packets,
        bytes: counters.bytes,
        shaped_packets: counters.delayed_packets,
        shaped_bytes: counters.delayed_bytes,
        queue_drops: counters.queue_drops,
        lost: told(counters.lost),
        duplicated: told(counters.duplicated),
        corrupted: told(counters.corrupted),
        reordered: told(counters.reordered),
        marked: told(counters.marked),
        passed_not_ip: counters.passed_not_ip,
        passed_expired: counters.passed_expired,
        passed_unheld: counters.passed_unheld,
        delay_given_mean: mean_ns.filter(|_| decided_by_us).map(Delay::from_ns),
    }
}

fn holder(survey: &Survey, found: &Attachment, engine: Engine) -> Option<Holder> {
    let dev = match found.direction {
        Direction::Egress => found.link.ifindex,
        Direction::Ingress => found.holder.as_ref()?.ifindex,
    };
    match engine {
        Engine::Edt => survey.root(dev).filter(|root| root.kind == "fq").map(of_fq),
        Engine::Netem => survey.leaf(dev).map(|leaf| of_qdisc("netem", leaf)),
        Engine::Relay => found.maps.as_ref().ok()?.relay_report().ok()?.map(|report| of_relay(&report)),
    }
}

fn of_qdisc(kind: &'static str, qdisc: &tc::Observed) -> Holder {
    Holder {
        kind,
        pid: None,
        held_frames: u64::from(qdisc.stats.qlen),
        held_bytes: u64::from(qdisc.stats.backlog_bytes),
        held_frames_max: None,
        drops: u64::from(qdisc.stats.drops),
        send_errors: None,
        late: None,
    }
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
        mean: None,
        p50: quantile(report, frames.div_ceil(2)),
        p99: quantile(report, (u128::from(frames) * 99).div_ceil(100) as u64),
        max: quantile(report, frames),
    });
    Holder {
        kind: "relay",
        pid: Some(report.pid),
        held_frames: report.held_frames,
        held_bytes: report.held_bytes,
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
    fn netem_does_not_tell_the_fates_apart() {
        let counters = Counters { packets: 5, lost: 1, marked: 2, ..Counters::default() };
        let ours = counted(&counters, Some(Engine::Relay));
        assert_eq!((ours.lost, ours.duplicated, ours.marked), (Some(1), Some(0), Some(2)));
        let json = serde_json::to_value(counted(&counters, Some(Engine::Netem))).unwrap();
        assert_eq!(json["packets"], 5);
        for absent in ["lost", "duplicated", "corrupted", "reordered", "marked", "delay_given_mean"] {
            assert!(json.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn lateness_is_read_off_the_histogram() {
        let mut report = RelayReport::default();
        report.late[10] = 98;
        report.late[15] = 1;
        report.late[20] = 1;
        let late = of_relay(&report).late.unwrap();
        assert_eq!(late.frames, Some(100));
        assert_eq!(late.p50, Some(Delay::from_ns(1 << 10)));
        assert_eq!(late.p99, Some(Delay::from_ns(1 << 15)));
        assert_eq!(late.max, Some(Delay::from_ns(1 << 20)));
        assert_eq!(of_relay(&RelayReport::default()).late, None);
    }
}
