//! What `show` says of one attachment: what was asked for, who does it, and what came of it.

mod counted;
pub mod file;
mod holder;
mod namespace;
mod rule;
mod shown;
mod text;

use serde::Serialize;
use shaper_common::abi::{Counters, Engine, Link, link_flag};

use crate::attachment::{Attachment, Survey};
use crate::bpf::{self, Maps};
use crate::engine;
use crate::plan::Needs;
use crate::shape::{EngineChoice, Named as _};

pub use counted::Counted;
pub use holder::{Holder, Late};
pub use namespace::{Attached, Error, Namespace, of_namespace};
pub use rule::RuleReport;
pub use shown::Shown;

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
    /// Whether ARP and neighbour discovery are shaped, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shape_neighbours: bool,
    /// Whether what nobody can hold is dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fail_closed: bool,
    /// Whether nothing passes at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// The link's MTU in bytes, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What rules for single packets cannot do here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// The rule for all peers, if there is one.
    #[serde(flatten)]
    pub all_peers: Option<RuleReport>,
    /// The rules for some peers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleReport>,
    /// What the classifier counted, under all rules and under none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counted>,
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
    /// The time limits of all rules are over: packets pass.
    Expired,
    /// The relay does not run: they pass. The next `apply` starts it again.
    RelayGone,
    /// An `apply` was killed half-way: they pass. The next `apply` or `clear` mends it.
    Incomplete,
    /// The maps cannot be read: of another version, for example.
    Unreadable(String),
}

impl Report {
    /// All rules, the one for all peers last.
    pub fn each_rule(&self) -> impl Iterator<Item = &RuleReport> {
        self.rules.iter().chain(&self.all_peers)
    }

    /// What the rules ask for, taken together.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Needs {
            shapes: self.each_rule().filter_map(|rule| rule.shape).collect(),
            rules: self.each_rule().count(),
            shape_neighbours: self.shape_neighbours,
        }
    }
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
        shape_neighbours: false,
        fail_closed: false,
        down: false,
        mtu: None,
        note: None,
        all_peers: None,
        rules: Vec::new(),
        counters: None,
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
    let has = |flag: u32| record.flags & flag != 0;
    report.engine = engine.map(|engine| EngineChoice::from(engine).name());
    report.engine_asked = record.engine_asked != 0;
    report.shape_neighbours = has(link_flag::SHAPE_NEIGHBOURS);
    report.fail_closed = has(link_flag::FAIL_CLOSED);
    report.down = has(link_flag::DOWN);
    report.mtu = engine::mtu_of(record);
    report.holder = engine.and_then(|engine| holder::of(survey, found, engine));
    if let Err(error) = look_at_rules(&mut report, survey, found, (maps, record), now_ns) {
        report.state = State::Unreadable(error.to_string());
        return report;
    }
    report.note = engine::note_of(found.direction, &found.link, record, &report.needs());
    let is_over = |rule: &RuleReport| rule.time_left.is_some_and(|left| left.is_zero());
    report.state = if record.rules == 0 {
        State::Incomplete
    } else if report.each_rule().next().is_some() && report.each_rule().all(is_over) {
        State::Expired
    } else if engine == Some(Engine::Relay) && !engine::is_relay_alive(found) {
        State::RelayGone
    } else if report.holder.is_none() {
        State::Incomplete
    } else {
        State::Shaping
    };
    report
}

fn look_at_rules(
    report: &mut Report,
    survey: &Survey,
    found: &Attachment,
    (maps, record): (&Maps, &Link),
    now_ns: u64,
) -> Result<(), bpf::object::Error> {
    let engine = engine::engine_of(found);
    let holding = report.holder.as_ref().map(Holder::holding).unwrap_or_default();
    let counted = maps.all_counters()?;
    let of_slot = |slot: u32| counted.get(slot as usize).copied().unwrap_or_default();
    let mut sum: Counters = of_slot(0);
    let entries = if record.rules == 0 { Vec::new() } else { maps.rules()? };
    for (slot, entry) in entries {
        let counters = of_slot(slot).since(&entry.asked.before);
        sum = sum.plus(&counters);
        let told = rule::of_entry(survey, found, (slot, &entry), &counters, (engine, holding), now_ns);
        if told.to.is_some() {
            report.rules.push(told);
        } else {
            report.all_peers = Some(told);
        }
    }
    report.rules.sort_by_key(|rule| rule.to);
    if let Some(only) = report.all_peers.as_mut().filter(|_| report.rules.is_empty()) {
        only.counters = None;
    }
    report.counters = Some(counted::of(&sum, engine));
    Ok(())
}
