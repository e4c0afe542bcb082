//! What is answered has the keys that the document names, each of them, and no others.
//!
//! The values are written with every field, so that a new one has to be added here, and is then looked for in the document.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use shaper_common::abi;

use super::document;
use crate::achieved::{Achieved, Quantity};
use crate::agent::{Done, Row, Signalled};
use crate::api::Place;
use crate::api::commands::{Apply, Clear};
use crate::plan::set::Wish;
use crate::policy;
use crate::report::{Attached, Counted, Holder, Late, Report, RuleReport, State};
use crate::rules::file::{Document, Entry};
use crate::rules::{Filter, Mtu, RuleParts, RuleSet};
use crate::shape::{Direction, EngineChoice, FourState, GilbertElliott, Parts};
use crate::units::Delay;
use crate::wanted::{Routing, Wanted};

/// The keys that the document names for a schema, which is an object that has no others.
fn keys_of(document: &Value, schema: &str) -> BTreeSet<String> {
    let schema = schema.split('.').fold(&document["components"]["schemas"], |at, name| match name {
        name if at.get("properties").is_some() => &at["properties"][name],
        name => &at[name],
    });
    assert_eq!(schema["additionalProperties"], false, "{schema}");
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[track_caller]
fn is_told(schema: &str, value: impl Serialize) {
    let value = serde_json::to_value(value).unwrap();
    let keys: BTreeSet<String> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, keys_of(&document(), schema), "{schema}: {value}");
}

fn of<T: FromStr>(text: &str) -> Option<T> {
    Some(text.parse().unwrap_or_else(|_| panic!("{text}")))
}

fn parts() -> Parts {
    Parts {
        latency: of("10ms"),
        jitter: of("1ms"),
        distribution: of("normal"),
        jitter_correlation: of("1%"),
        keep_order: true,
        reorder: of("1%"),
        reorder_correlation: of("1%"),
        reorder_gap: Some(5),
        bandwidth: of("1mbit"),
        queue: of("100ms"),
        burst: of("64kb"),
        overhead: of("10b"),
        ecn: of("10ms"),
        loss: of("1%"),
        loss_correlation: of("1%"),
        loss_gemodel: of::<GilbertElliott>("1%,10%,100%,0%"),
        loss_state: of::<FourState>("1%,10%"),
        loss_pattern: of("0010"),
        duplicate: of("1%"),
        duplicate_correlation: of("1%"),
        corrupt: of("1%"),
        corrupt_correlation: of("1%"),
        seed: Some(7),
    }
}

fn counted() -> Counted {
    Counted {
        packets: 1,
        bytes: 1,
        shaped_packets: 1,
        shaped_bytes: 1,
        queue_drops: 1,
        lost: Some(1),
        duplicated: Some(1),
        corrupted: Some(1),
        reordered: Some(1),
        marked: Some(1),
        filtered: 1,
        passed_unmatched: 1,
        passed_not_ip: 1,
        passed_expired: 1,
        passed_unheld: 1,
        dropped_unheld: 1,
        delay_given_mean: of("1ms"),
    }
}

fn late() -> Late {
    let some = of::<Delay>("1us");
    Late { frames: Some(1), mean: some, p50: some, p99: some, max: some }
}

fn holder() -> Holder {
    Holder {
        kind: "relay",
        pid: Some(1),
        held_frames: 1,
        held_bytes: 1,
        sent_frames: 1,
        held_frames_max: Some(1),
        drops: 1,
        send_errors: Some(1),
        late: Some(late()),
    }
}

fn achieved() -> Achieved {
    Achieved {
        what: "loss",
        asked: Quantity::Share(0.5),
        achieved: Quantity::Share(0.5),
        packets: 1,
        is_chance: Some(true),
        busy: Some(0.5),
    }
}

fn rule() -> RuleReport {
    RuleReport {
        to: of("10.0.0.5"),
        shape: Some(crate::shape::shape_of("latency=1ms")),
        seed_ignored: true,
        filter: Filter::Drop,
        after: of("1ms"),
        time_left: of("1s"),
        counters: Some(counted()),
        achieved: vec![achieved()],
    }
}

fn report() -> Report {
    Report {
        link: "eth0".into(),
        direction: "egress",
        state: State::Unreadable("words".into()),
        engine: Some("relay"),
        engine_asked: true,
        shape_neighbours: true,
        fail_closed: true,
        down: true,
        mtu: Some(1_400),
        note: Some("words"),
        all_peers: Some(rule()),
        rules: vec![rule()],
        counters: Some(counted()),
        holder: Some(holder()),
    }
}

fn kept() -> policy::Kept {
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    policy::Kept { to: "default".into(), via: address, dev: Some("eth0".into()), src: address }
}

fn policy() -> policy::Report {
    policy::Report { policy: policy::State::DenyAll, link: Some("eth0".into()), kept: vec![kept()] }
}

#[test]
fn what_is_told_of_a_namespace_is_what_the_document_says() {
    is_told("Attachment", Attached { report: report(), why: "asked for".into() });
    is_told("Attachment.state", State::Unreadable("words".into()));
    is_told("RuleReport", rule());
    is_told("Shape", parts());
    is_told("Counted", counted());
    is_told("Holder", holder());
    is_told("Late", late());
    is_told("Achieved", achieved());
    is_told("PolicyReport", policy());
    is_told("Kept", kept());
}

#[test]
fn what_is_told_of_an_order_is_what_the_document_says() {
    let signalled = Signalled { state: "s".into(), seq: 1, target: Some(1) };
    is_told("Done.callback", &signalled);
    let done = Done {
        outcome: "added".into(),
        link: Some("eth0".into()),
        direction: Some(Direction::Egress),
        engine: Some(EngineChoice::Relay),
        why: Some("asked for".into()),
        note: Some("words".into()),
        policy: Some(policy::Applied { report: policy(), outcome: "added".into() }),
        commands: vec!["ip".into()],
        clearance: Default::default(),
        callback: Some(signalled),
    };
    is_told("PolicyApplied", &done.policy);
    is_told("Done", done);
}

#[test]
fn what_commands_say_and_are_told_is_what_the_document_says() {
    let text = |text: &str| Some(text.to_owned());
    let place = Place {
        ns: text("a"),
        pid: Some(1),
        container: text("c"),
        seen: text("4:1"),
        seen_from: text("4:1"),
    };
    is_told("Place", &place);
    let wanted = Wanted {
        wishes: vec![(abi::Direction::Egress, Wish::Put(RuleSet::default()))],
        is_beside: true,
        addresses: vec!["10.0.0.7/24".parse().unwrap()],
        policy: Some(Routing::AllowAll),
        ..Wanted::default()
    };
    is_told("Apply", Apply { namespace: place.clone(), wanted, dry_run: true });
    is_told("Clear", Clear { namespace: Some(place), all: true, to: of("10.0.0.5") });
    let row = Row { namespace: "a".into(), link: "eth0".into(), direction: Direction::Egress };
    is_told("ClearedLink", row);
}

#[test]
fn what_is_told_of_a_link_is_what_the_document_says() {
    let rule = RuleParts {
        to: of("10.0.0.5"),
        filter: Some(Filter::Drop),
        after: of("1s"),
        time_limit: of("1s"),
        shape: parts(),
    };
    let entry = Entry { direction: Some(Direction::Both), rule };
    is_told("Rule", entry);
    let document = Document {
        dev: Some("eth0".into()),
        direction: Some(Direction::Both),
        engine: Some(EngineChoice::Auto),
        seed: Some(7),
        shape_neighbours: true,
        fail_closed: true,
        down: true,
        mtu: Mtu::try_from(1_400).ok(),
        rules: Some(vec![entry]),
    };
    is_told("Rules", document);
}
