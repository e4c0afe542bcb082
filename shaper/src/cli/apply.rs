//! `shaper apply`: gives a link a shape.

use std::fmt::Display;

use serde::Serialize;
use shaper_common::abi::{self, Engine};

use super::args::ApplyArgs;
use super::exit::{Code, Failure};
use super::{failure, output, policy};
use crate::engine::{self, Outcome, Request, Session};
use crate::measure::clock;
use crate::netlink::link::{self, Link};
use crate::plan::capable;
use crate::probe::{self, Cap, Picked};
use crate::shape::{Chance, Direction, EngineChoice, Named as _, Shape};
use crate::target::link::choose;
use crate::units::{Delay, Probability};

/// What `apply --json` prints.
#[derive(Serialize)]
struct Applied<'a> {
    namespace: String,
    link: &'a str,
    direction: &'static str,
    engine: &'static str,
    why: String,
    shape: &'a Shape,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_limit: Option<Delay>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<policy::Applied>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
}

pub(super) fn run(args: ApplyArgs) -> Result<(), Failure> {
    let Some(target) = args.target.target() else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("say which namespace: --ns, --pid or --self")));
    };
    if policy::is_alone(&args)? {
        return policy::run(&args, &target);
    }
    let shape = args.shape.shape()?;
    if let Some(engine) = args.engine.engine() {
        capable::check(engine, &shape).map_err(|error| failure::probe(error.into()))?;
    }
    probe::require(&Cap::ALL).map_err(failure::probe)?;
    let session = Session::open(target.open().map_err(failure::netns)?).map_err(failure::engine)?;
    let mut session = if args.dry_run { session.dry() } else { session };

    let links = link::dump(session.socket()).map_err(failure::netlink)?;
    let link = choose(&links, args.dev.as_deref())
        .map_err(|error| Failure::new(Code::Usage, error).context(format!("namespace `{target}`")))?
        .clone();
    let policy = policy::plan(&mut session, &args, &target, &link)?;
    let picked = pick(&mut session, &args, &link, &shape)?;
    let expires_ns = args.time_limit.map_or(0, |limit| clock::now_ns().saturating_add(limit.as_ns()));

    let request = |direction: &abi::Direction| Request {
        link: link.clone(),
        direction: *direction,
        engine: picked.engine,
        engine_asked: args.engine != EngineChoice::Auto,
        shape,
        expires_ns,
        tether: target.tether(),
    };
    let requests: Vec<Request> = args.direction.each().iter().map(request).collect();
    let last = |session: &mut Session| policy.as_ref().map_or(Ok(()), |policy| policy.make(session));
    let outcomes = engine::apply_and(&mut session, &requests, last).map_err(|error| {
        if matches!(error, engine::Error::Policy(_)) {
            return policy::cannot(error, &target);
        }
        let what = format!("cannot shape {} of `{}` in `{target}`", args.direction.name(), link.name);
        failure::engine(error).context(what)
    })?;
    let applied = Applied {
        namespace: target.to_string(),
        link: &link.name,
        direction: args.direction.name(),
        engine: EngineChoice::from(picked.engine).name(),
        why: picked.why,
        shape: &shape,
        time_limit: args.time_limit,
        outcome: if args.dry_run { "dry-run" } else { word(&outcomes) },
        policy: policy.map(|policy| policy::applied(&policy, args.dry_run)),
        commands: session.noted().to_vec(),
    };
    if args.json { output::print_json(&applied) } else { output::print(text(&applied)) }
}

/// The engine asked for, the one that is there already if it can do the shape, or the best that can and that this kernel
/// can run.
fn pick(session: &mut Session, args: &ApplyArgs, link: &Link, shape: &Shape) -> Result<Picked, Failure> {
    let mut left = None;
    if args.engine == EngineChoice::Auto {
        let survey = session.survey().map_err(failure::netlink)?;
        let there = args
            .direction
            .each()
            .iter()
            .find_map(|direction| engine::engine_of(survey.attachment_of(link.ifindex, *direction)?));
        if let Some(engine) = there {
            match goes_on(engine, args.direction, shape) {
                Ok(()) => return Ok(Picked { engine, why: "it shapes this link already".to_owned() }),
                Err(reason) => left = Some(reason),
            }
        }
    }
    let mut picked = probe::choose(args.engine, args.direction, Some(shape)).map_err(failure::probe)?;
    if let Some(reason) = left {
        picked.why = format!("{reason}, which shaped this link before; {}", picked.why);
    }
    Ok(picked)
}

/// Whether the engine that shapes the link now can do another shape too, or why not.
fn goes_on(engine: Engine, direction: Direction, shape: &Shape) -> Result<(), String> {
    capable::check(engine, shape).map_err(|incapable| incapable.what())?;
    // It works here, as is seen; what a shape needs beyond that is asked of the kernel, which takes milliseconds, only then.
    if probe::requirements(engine, direction, Some(shape)).eq(probe::requirements(engine, direction, None)) {
        return Ok(());
    }
    let choice = EngineChoice::from(engine);
    probe::choose(choice, direction, Some(shape)).map(drop).map_err(|error| error.to_string())
}

fn word(outcomes: &[Outcome]) -> &'static str {
    let any = |outcome| outcomes.contains(&outcome);
    if any(Outcome::Added) {
        "added"
    } else if any(Outcome::Changed) {
        "changed"
    } else if any(Outcome::Restarted) {
        "restarted"
    } else {
        "unchanged"
    }
}

fn text(applied: &Applied<'_>) -> String {
    let Applied { namespace, link, direction, engine, outcome, shape, .. } = applied;
    let mut text = format!(
        "{outcome}: {direction} of `{link}` in `{namespace}`: {} (engine {engine})\n",
        describe(shape)
    );
    if let Some(limit) = applied.time_limit {
        text.push_str(&format!("for {limit}\n"));
    }
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
        words.push(format!("jitter {} {}{correlation}{order}", shape.jitter(), shape.distribution().name()));
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
