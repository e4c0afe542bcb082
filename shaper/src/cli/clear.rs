//! `shaper clear`: takes shapes and policies away and puts the links back as they were.

use serde::Serialize;

use super::args::ClearArgs;
use super::exit::Failure;
use super::{failure, output, target};
use crate::engine::{self, Clearance, Cleared, Session};
use crate::probe::{self, Cap};
use crate::rules::To;
use crate::shape::{Direction, Named as _};
use crate::target::netns::{self, Netns};

#[derive(Serialize)]
struct Body {
    cleared: Vec<Row>,
    /// Namespaces whose routing policy was taken away.
    policies: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    namespace: String,
    link: String,
    direction: &'static str,
}

pub(super) fn run(args: ClearArgs) -> Result<(), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let (mut cleared, mut policies) = (Vec::new(), Vec::new());
    let mut failed = None;
    for (name, netns) in namespaces(&args)? {
        match clear(netns, args.to) {
            Ok(Clearance { shapes, policy }) => {
                cleared.extend(shapes.into_iter().map(|Cleared { link, direction }| Row {
                    namespace: name.clone(),
                    link,
                    direction: Direction::from(direction).name(),
                }));
                policies.extend(policy.then_some(name));
            }
            // One namespace that cannot be cleared must not keep the others shaped.
            Err(error) => failed = failed.or(Some(error.context(format!("cannot clear `{name}`")))),
        }
    }
    let body = Body { cleared, policies };
    if args.json {
        output::print_json(&body)?;
    } else {
        output::print(text(&body))?;
    }
    failed.map_or(Ok(()), Err)
}

fn namespaces(args: &ClearArgs) -> Result<Vec<(String, Netns)>, Failure> {
    if let Some(target) = target::of(&args.target)? {
        return Ok(vec![(target.to_string(), target.open().map_err(failure::netns)?)]);
    }
    // One that vanished since it was listed is clear.
    Ok(netns::list()
        .into_iter()
        .filter_map(|found| Some((found.name.to_string(), found.open().ok()?)))
        .collect())
}

fn clear(netns: Netns, to: Option<To>) -> Result<Clearance, Failure> {
    let mut session = Session::open(netns).map_err(failure::engine)?;
    match to {
        // Of rules alone: a policy is of no peer.
        Some(to) => {
            let shapes = engine::remove(&mut session, to).map_err(failure::engine)?;
            Ok(Clearance { shapes, policy: false })
        }
        None => engine::clear(&mut session).map_err(failure::engine),
    }
}

fn text(body: &Body) -> String {
    if body.cleared.is_empty() && body.policies.is_empty() {
        return "nothing to clear\n".to_owned();
    }
    let line = |row: &Row| format!("cleared: {} of `{}` in `{}`\n", row.direction, row.link, row.namespace);
    let policies = body.policies.iter().map(|namespace| format!("cleared: policy of `{namespace}`\n"));
    body.cleared.iter().map(line).chain(policies).collect()
}
