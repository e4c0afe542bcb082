//! `shaper apply`: gives a link a shape.

use serde::Serialize;
use shaper_common::abi;

use super::args::ApplyArgs;
use super::exit::{Code, Failure};
use super::{failure, output};
use crate::engine::{self, Outcome, Request, Session};
use crate::measure::clock;
use crate::netlink::link::{self, Link};
use crate::probe::{self, Cap, Picked};
use crate::shape::{EngineChoice, Named as _, Shape};
use crate::target::link::choose;
use crate::units::Delay;

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
}

pub(super) fn run(args: ApplyArgs) -> Result<(), Failure> {
    let shape = args.shape.shape()?;
    let Some(target) = args.target.target() else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("say which namespace: --ns, --pid or --self")));
    };
    probe::require(&Cap::ALL).map_err(failure::probe)?;
    let session = Session::open(target.open().map_err(failure::netns)?).map_err(failure::engine)?;
    let mut session = if args.dry_run { session.dry() } else { session };

    let links = link::dump(session.socket()).map_err(failure::netlink)?;
    let link = choose(&links, args.dev.as_deref())
        .map_err(|error| Failure::new(Code::Usage, error).context(format!("namespace `{target}`")))?
        .clone();
    let picked = pick(&mut session, &args, &link)?;
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
    let outcomes = engine::apply(&mut session, &requests).map_err(|error| {
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
        commands: session.noted().to_vec(),
    };
    if args.json { output::print_json(&applied) } else { output::print(text(&applied)) }
}

/// The engine asked for, the one that is there already, or the best that this kernel can run.
fn pick(session: &mut Session, args: &ApplyArgs, link: &Link) -> Result<Picked, Failure> {
    if args.engine == EngineChoice::Auto {
        let survey = session.survey().map_err(failure::netlink)?;
        let there = args
            .direction
            .each()
            .iter()
            .find_map(|direction| engine::engine_of(survey.attachment_of(link.ifindex, *direction)?));
        if let Some(engine) = there {
            return Ok(Picked { engine, why: "it shapes this link already".to_owned() });
        }
    }
    probe::choose(args.engine, args.direction).map_err(failure::probe)
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
        words.push(format!("jitter {} {}", shape.jitter(), shape.distribution().name()));
    }
    if let (Some(bandwidth), Some(queue)) = (shape.bandwidth(), shape.queue()) {
        words.push(format!("bandwidth {bandwidth} queue {queue}"));
    }
    words.join(", ")
}
