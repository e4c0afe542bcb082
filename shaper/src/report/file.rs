//! The rules of a link as the file that `apply -f` takes.

use std::collections::BTreeMap;

use shaper_common::abi::{Direction, link_flag};

use super::Error;
use crate::attachment::{Attachment, Survey};
use crate::engine;
use crate::measure::clock;
use crate::netlink::Socket;
use crate::plan::rule;
use crate::rules::file::{Document, Entry};
use crate::rules::{File, Mtu, RuleParts, To};
use crate::shape::{self, EngineChoice};
use crate::target::Target;

/// The rules of a link of `target` as the file that `apply -f` takes; of the one that is shaped when none is named.
///
/// # Errors
///
/// When no link is shaped or several are, and those of a look at the namespace.
pub fn of_target(target: &Target, dev: Option<&str>) -> Result<File, Error> {
    let mut socket = target.open()?.run(Socket::open)??;
    let survey = Survey::take(&mut socket)?;
    let is_asked = |found: &&Attachment| dev.is_none_or(|dev| *dev == found.link.name);
    let found: Vec<&Attachment> = survey.attachments.iter().filter(is_asked).collect();
    let mut links: Vec<String> = found.iter().map(|found| found.link.name.clone()).collect();
    links.dedup();
    let namespace = target.to_string();
    match links.as_slice() {
        [_] => Ok(File::new(of_link(&found, clock::now_ns()))?),
        [] => Err(Error::Unshaped { namespace }),
        _ => Err(Error::Several { namespace, links }),
    }
}

/// What the attachments of one link have been asked for, at `now_ns` (`CLOCK_MONOTONIC`): rules whose time is over are left out, and
/// of the others the time that is left is told.
#[must_use]
pub fn of_link(found: &[&Attachment], now_ns: u64) -> Document {
    let mut document = Document { rules: Some(Vec::new()), ..Document::default() };
    let mut rules: BTreeMap<Option<To>, Vec<(Direction, RuleParts)>> = BTreeMap::new();
    for attachment in found {
        document.dev = Some(attachment.link.name.clone());
        if let Ok(record) = &attachment.record {
            document.shape_neighbours |= record.flags & link_flag::SHAPE_NEIGHBOURS != 0;
            document.fail_closed |= record.flags & link_flag::FAIL_CLOSED != 0;
            document.down |= record.flags & link_flag::DOWN != 0;
            let mtu = engine::mtu_of(record).and_then(|bytes| Mtu::try_from(bytes).ok());
            document.mtu = document.mtu.or(mtu);
            let engine = engine::engine_of(attachment).filter(|_| record.engine_asked != 0);
            document.engine = document.engine.or_else(|| engine.map(EngineChoice::from));
        }
        let in_force = engine::rules_of(attachment).into_iter();
        let in_force =
            in_force.filter(|(_, entry)| entry.rule.expires_ns == 0 || entry.rule.expires_ns > now_ns);
        for rule in in_force.filter_map(|(_, entry)| rule::to_rule(&entry, now_ns)) {
            rules.entry(rule.to()).or_default().push((attachment.direction, rule.into()));
        }
    }
    document.direction = match found {
        [only] => Some(shape::Direction::from(only.direction)),
        _ => Some(shape::Direction::Both),
    };
    let both = found.len() > 1;
    let entries = document.rules.get_or_insert_default();
    for each in rules.into_values() {
        match each.as_slice() {
            [(_, one), (_, other)] if one == other => entries.push(Entry { direction: None, rule: *one }),
            each => entries.extend(each.iter().map(|(direction, rule)| Entry {
                direction: both.then(|| shape::Direction::from(*direction)),
                rule: *rule,
            })),
        }
    }
    document
}
