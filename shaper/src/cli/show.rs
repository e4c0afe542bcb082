//! `shaper show`: what is shaped, by which engine, and how well.

use std::fmt::Write as _;

use serde::Serialize;

use super::apply::describe;
use super::args::ShowArgs;
use super::exit::Failure;
use super::{failure, output};
use crate::attachment::Survey;
use crate::measure::clock;
use crate::netlink::Socket;
use crate::probe::{self, Cap};
use crate::report::{self, Counted, Holder, Late, Report, State};
use crate::shape::{Direction, EngineChoice, Named as _};
use crate::target::netns::{self, Netns};

#[derive(Serialize)]
struct Body {
    attachments: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    namespace: String,
    #[serde(flatten)]
    report: Report,
    why: String,
}

pub(super) fn run(args: ShowArgs) -> Result<(), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let mut attachments = Vec::new();
    match args.target.target() {
        Some(target) => {
            let netns = target.open().map_err(failure::netns)?;
            attachments.extend(look(&target.to_string(), &netns)?);
        }
        None => {
            for found in netns::list() {
                // One that vanished since it was listed has nothing to show.
                let Ok(netns) = found.open() else { continue };
                attachments.extend(look(&found.name.to_string(), &netns)?);
            }
        }
    }
    let body = Body { attachments };
    if args.json { output::print_json(&body) } else { output::print(text(&body)) }
}

fn look(name: &str, netns: &Netns) -> Result<Vec<Row>, Failure> {
    let mut socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
    let survey = Survey::take(&mut socket).map_err(failure::netlink)?;
    let now_ns = clock::now_ns();
    let row = |found| {
        let report = report::of_attachment(&survey, found, now_ns);
        Row { namespace: name.to_owned(), why: why(&report), report }
    };
    Ok(survey.attachments.iter().map(row).collect())
}

/// Why this engine: the user's word, or what the kernel has and lacks.
fn why(report: &Report) -> String {
    if report.engine_asked {
        return "asked for".to_owned();
    }
    let direction = Direction::from_name(report.direction).unwrap_or_default();
    match probe::choose(EngineChoice::Auto, direction) {
        Ok(picked) => picked.why,
        Err(error) => error.to_string(),
    }
}

fn text(body: &Body) -> String {
    if body.attachments.is_empty() {
        return "nothing is shaped\n".to_owned();
    }
    let mut text = String::new();
    for Row { namespace, report, why } in &body.attachments {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{} of `{}` in `{namespace}`: {}",
            report.direction,
            report.link,
            state(&report.state)
        );
        if let Some(left) = report.time_left.filter(|left| !left.is_zero()) {
            let _ = write!(text, " for {} more", crate::units::Delay::from_ms(left.as_ns() / 1_000_000));
        }
        text.push('\n');
        if let Some(shape) = &report.shape {
            let seed = shape.seed().map(|seed| format!(", seed {seed}")).unwrap_or_default();
            let _ = writeln!(text, "  asked    {}{seed}", describe(shape));
        }
        if let Some(engine) = report.engine {
            let _ = writeln!(text, "  engine   {engine}: {why}");
        }
        if let Some(counted) = &report.counters {
            let _ = writeln!(text, "  packets  {}", packets(counted));
        }
        if let Some(holder) = &report.holder {
            let _ = writeln!(text, "  holder   {}", held(holder));
        }
    }
    text
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

fn packets(counted: &Counted) -> String {
    let mut text =
        format!("{} shaped of {} ({} bytes)", counted.shaped_packets, counted.packets, counted.bytes);
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    };
    add(counted.queue_drops, "dropped by the full queue");
    add(counted.passed_not_ip, "not IP or neighbour discovery");
    add(counted.passed_expired, "after the time limit");
    add(counted.passed_unheld, "passed with nobody to hold them");
    if let Some(mean) = counted.delay_given_mean {
        text.push_str(&format!(", delayed {mean} in the mean"));
    }
    text
}

fn held(holder: &Holder) -> String {
    let mut text =
        format!("{}: {} packets, {} bytes now", holder.kind, holder.held_frames, holder.held_bytes);
    if let Some(pid) = holder.pid {
        text.push_str(&format!(", pid {pid}"));
    }
    if holder.drops > 0 {
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
