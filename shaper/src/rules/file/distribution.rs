//! Files of distributions that rules name: what they say goes in their place, before the rules are read.

use std::borrow::Cow;

use serde::de::Error as _;

use super::Files;
use super::fault::{Fault, Step};
use super::node::Node;
use crate::shape::{self, Measured, distribution};
use crate::units::quote;

const KEY: &str = "distribution";

/// Puts into each rule of a document what the file says that is its distribution.
pub(super) fn resolve(document: &mut Node<'_>, files: &mut Files<'_>) -> Result<(), Fault> {
    let Node::Table(members) = document else { return Ok(()) };
    for (_, rules) in members.iter_mut().filter(|(key, _)| key == "rules") {
        let Node::List(rules) = rules else { continue };
        for (index, rule) in rules.iter_mut().enumerate() {
            let within = |fault: Fault| {
                fault
                    .within(Step::Key(KEY.to_owned()))
                    .within(Step::Index(index))
                    .within(Step::Key("rules".to_owned()))
            };
            in_rule(rule, files).map_err(within)?;
        }
    }
    Ok(())
}

fn in_rule(rule: &mut Node<'_>, files: &mut Files<'_>) -> Result<(), Fault> {
    let Node::Table(members) = rule else { return Ok(()) };
    let said = members.iter_mut().find_map(|(key, node)| match node {
        Node::Text(name) if key == KEY && distribution::is_file_name(name) => Some(name),
        _ => None,
    });
    let Some(said) = said else { return Ok(()) };
    let measured = files(said).map_err(Fault::custom)?;
    let (Measured::Table(table) | Measured::Samples { table, .. }) = measured;
    // A table lives as long as the process, so rules by the thousand share its text.
    *said = Cow::Borrowed(table.text());
    if let Measured::Samples { latency, jitter, .. } = measured {
        for (what, own) in [("latency", latency), ("jitter", jitter)] {
            members.retain(|(key, node)| key != what || *node != Node::Null);
            if let Some((_, node)) = members.iter().find(|(key, _)| key == what) {
                let given = if let Node::Text(text) = node { quote(text) } else { String::new() };
                return Err(Fault::custom(shape::Error::BesideSamples { what, given, latency, jitter }));
            }
            members.push((what.into(), Node::Text(own.to_string().into())));
        }
    }
    Ok(())
}
