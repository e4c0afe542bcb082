//! `shaper apply`: gives a link a shape.

mod asked;

use std::fmt::Display;

use serde::Serialize;

use self::asked::Asked;
use super::args::ApplyArgs;
use super::exit::{Code, Failure};
use super::{failure, output, policy, target};
use crate::engine::Outcome;
use crate::shape::{Chance, EngineChoice, Named as _, Shape};
use crate::units::Probability;
use crate::wanted::{self, Made, Shaped};

/// What `apply --json` prints.
#[derive(Serialize)]
struct Applied<'a> {
    namespace: String,
    link: &'a str,
    direction: &'static str,
    engine: &'static str,
    why: String,
    #[serde(flatten)]
    asked: &'a Asked,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<policy::Applied>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
}

pub(super) fn run(args: &ApplyArgs) -> Result<(), Failure> {
    let Some(target) = target::of(&args.target)? else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!(target::WHICH)));
    };
    if policy::is_alone(args)? {
        return policy::run(args, &target);
    }
    let asked = asked::of(args)?;
    let wanted = &asked.wanted;
    let session = wanted::open(&target, wanted).map_err(failure::wanted)?;
    let mut session = if args.dry_run { session.dry() } else { session };
    let Made { shaped: Some(Shaped { link, picked, outcomes, note }), policy, .. } =
        wanted::make(&mut session, &target, wanted).map_err(failure::wanted)?
    else {
        return Ok(());
    };
    let applied = Applied {
        namespace: target.to_string(),
        link: &link,
        direction: wanted.direction().name(),
        engine: EngineChoice::from(picked.engine).name(),
        why: picked.why,
        asked: &asked,
        outcome: if args.dry_run { "dry-run" } else { Outcome::of_all(&outcomes).word() },
        note,
        policy: policy.map(|policy| policy::applied(&policy, args.dry_run)),
        commands: session.noted().to_vec(),
    };
    if args.json { output::print_json(&applied) } else { output::print(text(&applied)) }
}

fn text(applied: &Applied<'_>) -> String {
    let Applied { namespace, link, direction, engine, outcome, asked, .. } = applied;
    let words = asked.words();
    let mut text =
        format!("{outcome}: {direction} of `{link}` in `{namespace}`: {words} (engine {engine})\n");
    text.extend(applied.note.map(|note| format!("note: {note}\n")));
    text.extend(applied.policy.iter().map(|policy| policy::text(policy, namespace)));
    for command in &applied.commands {
        text.push_str(command);
        text.push('\n');
    }
    text
}

/// A shape in words, as its flags would say it.
pub(super) fn describe(shape: &Shape) -> String {
    let mut words = Vec::new();
    if !shape.latency().is_zero() {
        words.push(format!("latency {}", shape.latency()));
    }
    if !shape.jitter().is_zero() {
        let order = if shape.keep_order() { " keep-order" } else { "" };
        let correlation = correlation(shape.jitter_correlation());
        words.push(format!("jitter {} {}{correlation}{order}", shape.jitter(), shape.distribution().words()));
    }
    if let Some(reorder) = shape.reorder() {
        let gap = Some(shape.reorder_gap()).filter(|gap| *gap > 1);
        words.push(format!("reorder {}{}", chance(reorder), optional("gap", gap)));
    }
    if let (Some(bandwidth), Some(queue)) = (shape.bandwidth(), shape.queue()) {
        let (burst, overhead, ecn) = (
            optional("burst", shape.burst()),
            optional("overhead", shape.overhead()),
            optional("ecn", shape.ecn()),
        );
        words.push(format!("bandwidth {bandwidth} queue {queue}{burst}{overhead}{ecn}"));
    }
    words.extend(shape.loss().map(|loss| loss.to_string()));
    words.extend(shape.duplicate().map(|duplicate| format!("duplicate {}", chance(duplicate))));
    words.extend(shape.corrupt().map(|corrupt| format!("corrupt {}", chance(corrupt))));
    words.join(", ")
}

fn chance(chance: Chance) -> String {
    format!("{}{}", chance.probability, correlation(chance.correlation))
}

fn correlation(correlation: Probability) -> String {
    optional("correlation", Some(correlation).filter(|correlation| !correlation.is_never()))
}

fn optional<T: Display>(word: &str, value: Option<T>) -> String {
    value.map(|value| format!(" {word} {value}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::shape_of;

    #[test]
    fn a_shape_is_told_in_the_words_of_its_flags() {
        for (shape, words) in [
            ("latency=100ms", "latency 100ms"),
            (
                "latency=40ms jitter=5ms distribution=normal jitter_correlation=25% keep_order=true",
                "latency 40ms, jitter 5ms normal correlation 25% keep-order",
            ),
            (
                "latency=40ms reorder=25% reorder_correlation=50% reorder_gap=5",
                "latency 40ms, reorder 25% correlation 50% gap 5",
            ),
            (
                "bandwidth=10mbit burst=32kb overhead=10b,48b,5b ecn=5ms",
                "bandwidth 10Mbit queue 100ms burst 32Kb overhead 10b,48b,5b ecn 5ms",
            ),
            ("loss=1% loss_correlation=25%", "loss 1% correlation 25%"),
            ("loss_gemodel=1%,10%", "loss-gemodel 1%,10%,100%,0%"),
            ("loss_pattern=0010 duplicate=1% corrupt=0.1%", "loss-pattern 0010, duplicate 1%, corrupt 0.1%"),
        ] {
            assert_eq!(describe(&shape_of(shape)), words);
        }
    }
}
