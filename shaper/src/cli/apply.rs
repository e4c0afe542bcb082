//! `shaper apply`: gives a link a shape.

mod asked;

use std::borrow::Cow;

use serde::Serialize;

use self::asked::Asked;
use super::args::ApplyArgs;
use super::by::By;
use super::exit::{Code, Failure};
use super::{output, policy, target};
use crate::agent::{Done, Order};
use crate::policy::Applied as Policy;
use crate::shape::{Direction, EngineChoice};
use crate::wanted::Wanted;

/// What `apply --json` prints.
#[derive(Serialize)]
struct Applied<'a> {
    namespace: String,
    link: &'a str,
    direction: Direction,
    engine: EngineChoice,
    why: String,
    #[serde(flatten)]
    asked: &'a Asked,
    outcome: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
}

pub(super) fn run(args: &ApplyArgs) -> Result<(), Failure> {
    if policy::is_alone(args)? {
        return policy::run(args);
    }
    let asked = asked::of(args)?;
    let (namespace, done) = done(args, asked.wanted.clone())?;
    let Done { outcome, link: Some(link), engine: Some(engine), why, note, policy, commands, .. } = done
    else {
        return Ok(());
    };
    let applied = Applied {
        namespace,
        link: &link,
        direction: asked.wanted.direction(),
        engine,
        why: why.unwrap_or_default(),
        asked: &asked,
        outcome,
        note,
        policy,
        commands,
    };
    if args.json { output::print_json(&applied) } else { output::print(text(&applied)) }
}

/// Has it done, or told what would be done, by whoever does it; and what the namespace is called.
pub(super) fn done(args: &ApplyArgs, wanted: Wanted) -> Result<(String, Done), Failure> {
    let unsaid = || Failure::new(Code::Usage, anyhow::anyhow!(target::WHICH));
    if let By::Agent(client) = By::of(&args.by.agent, &args.target)? {
        let place = target::place(&args.target)?.ok_or_else(unsaid)?;
        return Ok((place.to_string(), client.apply(place, wanted, args.dry_run)?));
    }
    let target = target::of(&args.target)?.ok_or_else(unsaid)?;
    let order = if args.dry_run { Order::Try } else { Order::Make };
    Ok((target.to_string(), order(Box::new(wanted)).carry_out(&target)?))
}

fn text(applied: &Applied<'_>) -> String {
    let Applied { namespace, link, direction, engine, outcome, asked, .. } = applied;
    let words = asked.words();
    let mut text =
        format!("{outcome}: {direction} of `{link}` in `{namespace}`: {words} (engine {engine})\n");
    text.extend(applied.note.iter().map(|note| format!("note: {note}\n")));
    text.extend(applied.policy.iter().map(|policy| policy::text(policy, namespace)));
    for command in &applied.commands {
        text.push_str(command);
        text.push('\n');
    }
    text
}
