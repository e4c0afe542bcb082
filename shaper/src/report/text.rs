//! What `show` prints for people.

use std::fmt::Write as _;

use shaper_common::filter::Filter;

use super::shown::{PolicyRow, Row, Shown};
use super::{Attached, Counted, Holder, Late, RuleReport, State};
use crate::achieved::{Achieved, Quantity};
use crate::shape::{Named as _, Shape};
use crate::units::{Delay, Rate};

/// All of it.
pub(super) fn text(shown: &Shown) -> String {
    let mut text = String::new();
    if shown.attachments.is_empty() {
        text.push_str("nothing is shaped\n");
    }
    for Row { namespace, attached: Attached { report, why } } in &shown.attachments {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{} of `{}` in `{namespace}`: {}",
            report.direction,
            report.link,
            state(&report.state)
        );
        if let [only] = report.each_rule().collect::<Vec<_>>().as_slice() {
            text.push_str(&time_left(only));
        }
        let flags = [
            (report.down, ", down: nothing passes"),
            (report.shape_neighbours, ", neighbour discovery shaped, too"),
            (report.fail_closed, ", what nobody can hold is dropped"),
        ];
        flags.iter().filter(|(is_set, _)| *is_set).for_each(|(_, words)| text.push_str(words));
        if let Some(mtu) = report.mtu {
            let _ = write!(text, ", mtu {mtu}");
        }
        text.push('\n');
        if let Some(rule) = &report.all_peers {
            let _ = writeln!(text, "  asked    {}", asked(rule));
        }
        if let Some(engine) = report.engine {
            let _ = writeln!(text, "  engine   {engine}: {why}");
        }
        let shape = report.all_peers.as_ref().and_then(|rule| rule.shape.as_ref());
        if let Some(counted) = &report.counters {
            let _ = writeln!(text, "  packets  {}", packets(counted, shape));
        }
        if let Some(rule) = report.all_peers.as_ref().filter(|rule| !rule.achieved.is_empty()) {
            let _ = writeln!(text, "  got      {}", got(&rule.achieved));
        }
        if let Some(note) = report.note {
            let _ = writeln!(text, "  note     {note}");
        }
        if let Some(holder) = &report.holder {
            let _ = writeln!(text, "  holder   {}", held(holder, shape));
        }
        for rule in &report.rules {
            write_rule(&mut text, rule);
        }
    }
    for PolicyRow { namespace, report } in &shown.policies {
        let _ = write!(text, "policy of `{namespace}`: {}", report.words());
    }
    text
}

/// A rule for some peers, on lines of its own.
fn write_rule(text: &mut String, rule: &RuleReport) {
    let to = rule.to.map(|to| to.to_string()).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  to {to}: {}{}", asked(rule), time_left(rule));
    if let Some(counted) = &rule.counters {
        let _ = writeln!(text, "    packets  {}", packets(counted, rule.shape.as_ref()));
    }
    if !rule.achieved.is_empty() {
        let _ = writeln!(text, "    got      {}", got(&rule.achieved));
    }
}

fn asked(rule: &RuleReport) -> String {
    let mut words = Vec::new();
    if rule.filter != Filter::Accept {
        let after = rule.after.map(|after| format!(" in {}", in_ms(after))).unwrap_or_default();
        words.push(format!("{}{after}", rule.filter.name()));
    }
    if let Some(shape) = &rule.shape {
        let seed = match shape.seed() {
            Some(seed) => format!(", seed {seed}"),
            None if rule.seed_ignored => ", no seed: netem takes one from Linux 6.6 on".to_owned(),
            None => String::new(),
        };
        words.push(format!("{}{seed}", shape.words()));
    }
    if words.is_empty() { "let alone".to_owned() } else { words.join(", ") }
}

fn time_left(rule: &RuleReport) -> String {
    match rule.time_left {
        Some(left) if left.is_zero() => ", time is over".to_owned(),
        Some(left) => format!(" for {} more", in_ms(left)),
        None => String::new(),
    }
}

fn in_ms(time: Delay) -> Delay {
    Delay::from_ms(time.as_ns() / 1_000_000)
}

fn state(state: &State) -> String {
    match state {
        State::Shaping => "shaping".to_owned(),
        State::Expired => "time is over, packets pass".to_owned(),
        State::RelayGone => {
            "the relay does not run, packets pass unshaped; `apply` starts it again".to_owned()
        }
        State::Incomplete => "incomplete, packets pass unshaped; `apply` or `clear` mends it".to_owned(),
        State::Unreadable(why) => format!("unreadable: {why}"),
    }
}

/// Asked against achieved, and whether the packets are enough to tell.
fn got(achieved: &[Achieved]) -> String {
    let words = achieved.iter().map(|row| {
        let Achieved { what, asked, achieved, packets, .. } = row;
        let of = if matches!(asked, Quantity::Share(_)) { "" } else { " packets" };
        format!("{what} {} of {packets}{of}, asked {} ({})", told(*achieved), told(*asked), verdict(row))
    });
    words.collect::<Vec<_>>().join("; ")
}

fn verdict(row: &Achieved) -> String {
    let words = match (row.is_chance, row.asked, row.busy) {
        _ if row.packets == 0 => "no packet yet",
        (Some(true), Quantity::Share(_), _) => "as asked, but for chance",
        (Some(false), Quantity::Share(_), _) => "NOT as asked: chance does that once in a thousand times",
        (Some(true), ..) => "as asked",
        (Some(false), Quantity::Delay(_), _) => {
            "NOT as asked: packets leave late, or chance does that once in a thousand times"
        }
        (Some(false), Quantity::Rate(_), _) => "NOT as asked: packets were dropped behind the bottleneck",
        (None, _, Some(busy)) => {
            return format!("not judged: the demand was below it, busy {:.0}% of the time", busy * 100.0);
        }
        (None, _, None) => "not judged: too few packets, or a model without a formula",
    };
    words.to_owned()
}

/// As precise as anybody reads it; `--json` has all of it.
fn told(quantity: Quantity) -> String {
    match quantity {
        Quantity::Share(share) => format!("{:.3}%", share * 100.0),
        Quantity::Delay(delay) => Delay::from_ns(rounded(delay.as_ns())).to_string(),
        Quantity::Rate(rate) => Rate::from_bytes_per_sec(rounded(rate.bytes_per_sec())).to_string(),
    }
}

/// To five digits.
fn rounded(n: u64) -> u64 {
    let step = 10_u64.pow(n.checked_ilog10().unwrap_or_default().saturating_sub(4));
    n.saturating_add(step / 2) / step * step
}

/// What was counted; what a shape asks for is told even when it was none.
fn packets(counted: &Counted, shape: Option<&Shape>) -> String {
    let mut text =
        format!("{} shaped of {} ({} bytes)", counted.shaped_packets, counted.packets, counted.bytes);
    let asked = |part: fn(&Shape) -> bool| shape.is_some_and(part);
    for (count, is_asked, what) in [
        (counted.lost, asked(|shape| shape.loss().is_some()), "lost"),
        (counted.duplicated, asked(|shape| shape.duplicate().is_some()), "sent twice"),
        (counted.corrupted, asked(|shape| shape.corrupt().is_some()), "corrupted"),
        (counted.reordered, asked(|shape| shape.reorder().is_some()), "sent ahead of others"),
        (counted.marked, asked(|shape| shape.ecn().is_some()), "marked congestion experienced"),
        (Some(counted.queue_drops), false, "dropped by the full queue"),
        (Some(counted.filtered), false, "filtered"),
        (Some(counted.passed_unmatched), false, "under no rule"),
        (Some(counted.passed_not_ip), false, "not IP or neighbour discovery"),
        (Some(counted.passed_expired), false, "after the time limit"),
        (Some(counted.passed_unheld), false, "passed with nobody to hold them"),
        (Some(counted.dropped_unheld), false, "dropped with nobody to hold them"),
    ] {
        if let Some(count) = count.filter(|count| *count > 0 || is_asked) {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(mean) = counted.delay_given_mean {
        text.push_str(&format!(", delayed {mean} in the mean"));
    }
    text
}

fn held(holder: &Holder, shape: Option<&Shape>) -> String {
    let mut text =
        format!("{}: {} packets, {} bytes now", holder.kind, holder.held_frames, holder.held_bytes);
    if let Some(pid) = holder.pid {
        text.push_str(&format!(", pid {pid}"));
    }
    let loses = holder.kind == "netem" && shape.is_some_and(|shape| shape.loss().is_some());
    if loses {
        text.push_str(&format!(
            ", {} lost or dropped by the full queue (netem counts both as one)",
            holder.drops
        ));
    } else if holder.drops > 0 {
        text.push_str(&format!(", {} dropped", holder.drops));
    }
    if let Some(errors) = holder.send_errors.filter(|errors| *errors > 0) {
        text.push_str(&format!(", {errors} refused by the link"));
    }
    match holder.late {
        Some(Late { p50: Some(p50), p99: Some(p99), .. }) => {
            text.push_str(&format!("; sent late by at most {p50} (half), {p99} (99 %)"));
        }
        Some(Late { mean: Some(mean), .. }) => text.push_str(&format!("; sent late by {mean} on average")),
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Parts;

    const COUNTED: Counted = Counted {
        packets: 100,
        bytes: 6_000,
        shaped_packets: 90,
        shaped_bytes: 5_400,
        queue_drops: 0,
        lost: Some(10),
        duplicated: Some(0),
        corrupted: Some(0),
        reordered: Some(0),
        marked: Some(0),
        filtered: 0,
        passed_unmatched: 0,
        passed_not_ip: 0,
        passed_expired: 0,
        passed_unheld: 0,
        dropped_unheld: 0,
        delay_given_mean: None,
    };

    fn shape() -> Shape {
        let (loss, duplicate) = ("10%".parse().ok(), "1%".parse().ok());
        Shape::new(Parts { loss, duplicate, ..Parts::default() }).unwrap()
    }

    #[test]
    fn what_is_asked_for_or_happened_is_told() {
        assert_eq!(packets(&COUNTED, Some(&shape())), "90 shaped of 100 (6000 bytes), 10 lost, 0 sent twice");
        assert_eq!(packets(&COUNTED, None), "90 shaped of 100 (6000 bytes), 10 lost");
        let netem = Counted { lost: None, duplicated: None, ..COUNTED };
        assert_eq!(packets(&netem, Some(&shape())), "90 shaped of 100 (6000 bytes)");
    }

    #[test]
    fn asked_and_achieved_are_told_with_their_verdict() {
        let (ms, mbit) = (Delay::from_ms(100), Rate::from_bytes_per_sec(1_250_000));
        let delay = Achieved {
            what: "delay",
            asked: Quantity::Delay(ms),
            achieved: Quantity::Delay(Delay::from_ns(100_021_345)),
            packets: 1_234,
            is_chance: Some(true),
            busy: None,
        };
        assert_eq!(
            got(std::slice::from_ref(&delay)),
            "delay 100.02ms of 1234 packets, asked 100ms (as asked)"
        );
        let late = Achieved { is_chance: Some(false), ..delay.clone() };
        assert!(got(&[late]).contains("asked 100ms (NOT as asked: packets leave late"));
        let rate = Achieved {
            what: "rate",
            asked: Quantity::Rate(mbit),
            achieved: Quantity::Rate(Rate::from_bytes_per_sec(375_001)),
            is_chance: None,
            busy: Some(0.3),
            ..delay
        };
        assert_eq!(
            got(&[rate]),
            "rate 3Mbit of 1234 packets, asked 10Mbit (not judged: the demand was below it, busy 30% of the time)"
        );
        let loss = Achieved {
            what: "loss",
            asked: Quantity::Share(0.1),
            achieved: Quantity::Share(0.25),
            packets: 1_000,
            is_chance: Some(false),
            busy: None,
        };
        assert_eq!(
            got(&[loss]),
            "loss 25.000% of 1000, asked 10.000% (NOT as asked: chance does that once in a thousand times)"
        );
    }

    #[test]
    fn netem_is_said_to_count_losses_and_drops_as_one() {
        let holder = Holder {
            kind: "netem",
            pid: None,
            held_frames: 1,
            held_bytes: 60,
            sent_frames: 3,
            held_frames_max: None,
            drops: 7,
            send_errors: None,
            late: None,
        };
        assert_eq!(
            held(&holder, Some(&shape())),
            "netem: 1 packets, 60 bytes now, 7 lost or dropped by the full queue (netem counts both as one)"
        );
        assert_eq!(held(&holder, None), "netem: 1 packets, 60 bytes now, 7 dropped");
    }
}
