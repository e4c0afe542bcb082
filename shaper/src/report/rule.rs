//! What `show` says of one rule.

use serde::{Serialize, Serializer};
use shaper_common::abi::{Counters, Direction, Engine, Entry};
use shaper_common::filter::Filter;

use super::counted::{self, Counted};
use crate::achieved::{self, Achieved, Holding};
use crate::attachment::{Attachment, Survey};
use crate::plan::rule;
use crate::rules::To;
use crate::shape::{Named as _, Parts, Shape};
use crate::tc::qdisc::netem;
use crate::units::Delay;

/// One rule, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    /// Its peers; absent for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<To>,
    /// What was asked for; absent for a rule that only filters, or lets packets alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Whether the dice are netem's own, because this kernel's netem takes no seed (before Linux 6.6).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub seed_ignored: bool,
    /// What becomes of packets before they are shaped.
    #[serde(skip_serializing_if = "is_accept", serialize_with = "name")]
    pub filter: Filter,
    /// Time until the filter begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Delay>,
    /// Time left, when a time limit was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_left: Option<Delay>,
    /// What the classifier counted under this rule; absent for one that is alone, whose counters are those of the attachment.
    #[serde(rename = "rule_counters", skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counted>,
    /// What was asked for and came of it: delay, rate, and how often each fault happened; nothing with `netem`, which does not tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub achieved: Vec<Achieved>,
}

fn is_accept(filter: &Filter) -> bool {
    *filter == Filter::Accept
}

fn name<S: Serializer>(filter: &Filter, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(filter.name())
}

/// Says how one rule is doing at `now_ns` (`CLOCK_MONOTONIC`).
pub(super) fn of_entry(
    survey: &Survey,
    found: &Attachment,
    (slot, entry): (u32, &Entry),
    counters: &Counters,
    (engine, holding): (Option<Engine>, Holding),
    now_ns: u64,
) -> RuleReport {
    let mut shape = rule::shape_of(entry);
    let achieved = match &shape {
        Some(shape) if engine != Some(Engine::Netem) => achieved::of(shape, counters, holding),
        _ => Vec::new(),
    };
    let seed_ignored =
        shape.is_some() && engine == Some(Engine::Netem) && !draws_by_seed(survey, found, slot);
    if seed_ignored {
        shape = shape.and_then(|shape| Shape::new(Parts { seed: None, ..shape.into() }).ok());
    }
    let left = |at_ns: u64| (at_ns != 0).then(|| Delay::from_ns(at_ns.saturating_sub(now_ns)));
    RuleReport {
        to: rule::to_of(&entry.asked),
        shape,
        seed_ignored,
        filter: rule::filter_of(entry).unwrap_or_default(),
        after: left(entry.rule.filter_from_ns).filter(|after| !after.is_zero()),
        time_left: left(entry.rule.expires_ns),
        counters: Some(counted::of(counters, engine)),
        achieved,
    }
}

/// Whether netem took the seed; before Linux 6.6 it ignores it, and tells none.
fn draws_by_seed(survey: &Survey, found: &Attachment, slot: u32) -> bool {
    let dev = match found.direction {
        Direction::Egress => Some(found.link.ifindex),
        Direction::Ingress => found.holder.as_ref().map(|holder| holder.ifindex),
    };
    let leaf = dev.and_then(|dev| survey.leaves(dev).find(|(of, _)| *of == slot));
    leaf.and_then(|(_, leaf)| netem::Options::parse(&leaf.options))
        .is_some_and(|options| options.seed.is_some())
}
