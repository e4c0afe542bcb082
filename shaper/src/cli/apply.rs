//! `shaper apply`: gives a link a shape.

mod asked;

use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;
use shaper_common::abi::{self, Engine};

use self::asked::Asked;
use super::args::ApplyArgs;
use super::exit::{Code, Failure};
use super::{failure, output, policy};
use crate::attachment::Survey;
use crate::engine::{self, Outcome, Request, Session};
use crate::measure::clock;
use crate::netlink::link::Link;
use crate::plan::set::Wish;
use crate::plan::{Needs, capable};
use crate::probe::{self, Cap, Picked};
use crate::report;
use crate::shape::{Chance, Direction, EngineChoice, Named as _, Shape};
use crate::target::link::choose;
use crate::units::Probability;

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

pub(super) fn run(args: ApplyArgs) -> Result<(), Failure> {
    let Some(target) = args.target.target() else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("say which namespace: --ns, --pid or --self")));
    };
    if policy::is_alone(&args)? {
        return policy::run(&args, &target);
    }
    let asked = asked::of(&args)?;
    if let Some(engine) = asked.engine.engine() {
        capable::check(engine, &asked.needs()).map_err(|error| failure::probe(error.into()))?;
    }
    probe::require(&Cap::ALL).map_err(failure::probe)?;
    let session = Session::open(target.open().map_err(failure::netns)?).map_err(failure::engine)?;
    let mut session = if args.dry_run { session.dry() } else { session };

    let survey = session.survey().map_err(failure::netlink)?;
    let link = choose(&survey.links, asked.dev.as_deref())
        .map_err(|error| Failure::new(Code::Usage, error).context(format!("namespace `{target}`")))?
        .clone();
    let policy = policy::plan(&mut session, &args, &target, &link)?;
    let mut requests = requests(&asked, &survey, &link, target.tether());
    let picked = pick(&asked, &survey, &mut requests)?;
    let last = |session: &mut Session| policy.as_ref().map_or(Ok(()), |policy| policy.make(session));
    let outcomes = engine::apply_and(&mut session, &requests, last).map_err(|error| {
        if matches!(error, engine::Error::Policy(_)) {
            return policy::cannot(error, &target);
        }
        let what = format!("cannot shape {} of `{}` in `{target}`", asked.direction().name(), link.name);
        failure::engine(error).context(what)
    })?;
    let note = note(&mut session, &requests)?;
    let applied = Applied {
        namespace: target.to_string(),
        link: &link.name,
        direction: asked.direction().name(),
        engine: EngineChoice::from(picked.engine).name(),
        why: picked.why,
        asked: &asked,
        outcome: if args.dry_run { "dry-run" } else { word(&outcomes) },
        note,
        policy: policy.map(|policy| policy::applied(&policy, args.dry_run)),
        commands: session.noted().to_vec(),
    };
    if args.json { output::print_json(&applied) } else { output::print(text(&applied)) }
}

/// What is asked of the engine, for each direction; who it is comes later.
fn requests(asked: &Asked, survey: &Survey, link: &Link, tether: Option<PathBuf>) -> Vec<Request> {
    let now_ns = clock::now_ns();
    let seed = asked.seed.unwrap_or_else(engine::draw_seed);
    let request = |(direction, wish): &(abi::Direction, Wish)| Request {
        link: link.clone(),
        direction: *direction,
        engine: Engine::Relay,
        engine_asked: asked.engine != EngineChoice::Auto,
        wish: wish.clone(),
        flags: asked.flags(survey.attachment_of(link.ifindex, *direction)),
        mtu: asked.mtu(survey.attachment_of(link.ifindex, *direction)),
        now_ns,
        seed,
        tether: tether.clone(),
    };
    asked.wishes.iter().map(request).collect()
}

/// Gives the requests the engine asked for, the one that is there already if it can do what the rules then ask for, or the best
/// that can and that this kernel can run.
fn pick(asked: &Asked, survey: &Survey, requests: &mut [Request]) -> Result<Picked, Failure> {
    let mut needs = Needs::default();
    let mut there = None;
    for request in requests.iter() {
        let found = survey.attachment_of(request.link.ifindex, request.direction);
        needs = needs.and(request.needs_beside(found));
        there = there.or_else(|| engine::engine_of(found?));
    }
    let picked = pick_engine(asked, &needs, there)?;
    for request in requests {
        request.engine = picked.engine;
    }
    Ok(picked)
}

fn pick_engine(asked: &Asked, needs: &Needs, there: Option<Engine>) -> Result<Picked, Failure> {
    let mut left = None;
    if let (EngineChoice::Auto, Some(engine)) = (asked.engine, there) {
        match goes_on(engine, asked.direction(), needs) {
            Ok(()) => return Ok(Picked { engine, why: "it shapes this link already".to_owned() }),
            Err(reason) => left = Some(reason),
        }
    }
    let mut picked = probe::choose(asked.engine, asked.direction(), needs).map_err(failure::probe)?;
    if let Some(reason) = left {
        picked.why = format!("{reason}, which shaped this link before; {}", picked.why);
    }
    Ok(picked)
}

/// Whether the engine that shapes the link now can do other rules too, or why not.
fn goes_on(engine: Engine, direction: Direction, needs: &Needs) -> Result<(), String> {
    capable::check(engine, needs).map_err(|incapable| incapable.what())?;
    // It works here, as is seen; what a shape needs beyond that is asked of the kernel, which takes milliseconds, only then.
    let nothing = Needs::default();
    if probe::requirements(engine, direction, needs).eq(probe::requirements(engine, direction, &nothing)) {
        return Ok(());
    }
    let choice = EngineChoice::from(engine);
    probe::choose(choice, direction, needs).map(drop).map_err(|error| error.to_string())
}

/// What has to be said of what was made.
fn note(session: &mut Session, requests: &[Request]) -> Result<Option<&'static str>, Failure> {
    let comes_in = |request: &Request| request.direction == abi::Direction::Ingress;
    // A dry run has it among its commands.
    let Some(request) = requests.iter().find(|request| comes_in(request)).filter(|_| !session.is_dry())
    else {
        return Ok(None);
    };
    let survey = session.survey().map_err(failure::netlink)?;
    let found = survey.attachment_of(request.link.ifindex, request.direction);
    Ok(found.and_then(|found| report::of_attachment(&survey, found, request.now_ns).note))
}

fn word(outcomes: &[Outcome]) -> &'static str {
    let any = |outcome| outcomes.contains(&outcome);
    if any(Outcome::Added) {
        "added"
    } else if any(Outcome::Changed) {
        "changed"
    } else if any(Outcome::Restarted) {
        "restarted"
    } else if any(Outcome::Cleared) {
        "cleared"
    } else {
        "unchanged"
    }
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
