//! `shaper apply`: gives a link a shape.

mod asked;

use serde::Serialize;

use self::asked::Asked;
use super::args::ApplyArgs;
use super::exit::{Code, Failure};
use super::{failure, output, policy, target};
use crate::engine::Outcome;
use crate::shape::{EngineChoice, Named as _};
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
