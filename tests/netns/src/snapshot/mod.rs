//! The visible state of namespaces, for comparing before with after.

mod netlink;

use std::fmt::Write;

use serde_json::Value;

use crate::node::Node;

pub(crate) use netlink::{filters, is_delivered, is_operational};

/// Keys whose value changes by itself: traffic, time.
const VOLATILE_KEYS: [&str; 4] = ["stats", "stats64", "valid_life_time", "preferred_life_time"];

/// What a person could see of some namespaces: links with every setting, addresses, routes, rules, qdiscs, classes and filters,
/// without their counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    lines: Vec<String>,
}

impl Snapshot {
    /// Reads the state of `nodes` over netlink.
    ///
    /// # Panics
    /// When a namespace cannot be read.
    #[track_caller]
    pub fn of(nodes: &[&Node]) -> Self {
        Self::read(nodes, netlink::state)
    }

    /// Reads the state of `nodes` with `ip` and `tc`, as far as those are installed: a second pair of eyes, for whatever our own
    /// dump does not ask.
    ///
    /// # Panics
    /// When a program fails.
    #[track_caller]
    pub fn by_iproute2(nodes: &[&Node]) -> Self {
        Self::read(nodes, tools)
    }

    #[track_caller]
    fn read(nodes: &[&Node], state: fn(&Node) -> Vec<String>) -> Self {
        let lines_of = |node: &&Node| {
            state(node).into_iter().map(|line| format!("{}: {line}", node.name())).collect::<Vec<_>>()
        };
        Self { lines: nodes.iter().flat_map(lines_of).collect() }
    }

    /// Checks that `after` says the same.
    ///
    /// # Panics
    /// With the lines that differ.
    #[track_caller]
    pub fn expect_same(&self, after: &Self) {
        let mut difference = String::new();
        for line in self.lines.iter().filter(|line| !after.lines.contains(line)) {
            let _infallible = writeln!(difference, "- {line}");
        }
        for line in after.lines.iter().filter(|line| !self.lines.contains(line)) {
            let _infallible = writeln!(difference, "+ {line}");
        }
        assert!(difference.is_empty(), "the state differs (- before, + after):\n{difference}");
        assert_eq!(self.lines, after.lines, "the state has another order");
    }
}

impl Snapshot {
    /// Checks that the addresses and routes that are here are there `after`, whatever came beside them.
    ///
    /// # Panics
    /// With the lines that are gone.
    #[track_caller]
    pub fn expect_addresses_and_routes_in(&self, after: &Self) {
        let is_one = |line: &&String| [": address ", ": route "].iter().any(|what| line.contains(what));
        let gone: Vec<_> =
            self.lines.iter().filter(is_one).filter(|line| !after.lines.contains(line)).collect();
        assert!(gone.is_empty(), "these are gone: {gone:#?}");
    }
}

#[track_caller]
fn tools(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for command in [
        "ip -d -j link show",
        "ip -j address show",
        "ip -j route show table all",
        "ip -6 -j route show table all",
        "ip -j rule show",
        "ip -6 -j rule show",
        "tc -d -j qdisc show",
    ] {
        let mut words = command.split(' ');
        let program = words.next().expect("a command has a program");
        let Some(output) = node.output(program, &words.collect::<Vec<_>>()) else {
            continue;
        };
        assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        let mut json: Value = match output.stdout.trim_ascii() {
            [] => Value::Null,
            text => serde_json::from_slice(text).unwrap_or_else(|error| panic!("`{command}`: {error}")),
        };
        strip(&mut json);
        for object in json.as_array().into_iter().flatten() {
            lines.push(format!("{command}: {object}"));
        }
    }
    lines
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !VOLATILE_KEYS.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
