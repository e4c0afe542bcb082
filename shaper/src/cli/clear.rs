//! `shaper clear`: takes shapes away and puts the links back as they were.

use serde::Serialize;

use super::args::ClearArgs;
use super::exit::Failure;
use super::{failure, output};
use crate::engine::{self, Cleared, Session};
use crate::probe::{self, Cap};
use crate::rules::To;
use crate::shape::{Direction, Named as _};
use crate::target::netns::{self, Netns};

#[derive(Serialize)]
struct Body {
    cleared: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    namespace: String,
    link: String,
    direction: &'static str,
}

pub(super) fn run(args: ClearArgs) -> Result<(), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let mut cleared = Vec::new();
    let mut failed = None;
    for (name, netns) in namespaces(&args)? {
        match clear(netns, args.to) {
            Ok(links) => cleared.extend(links.into_iter().map(|Cleared { link, direction }| Row {
                namespace: name.clone(),
                link,
                direction: Direction::from(direction).name(),
            })),
            // One namespace that cannot be cleared must not keep the others shaped.
            Err(error) => failed = failed.or(Some(error.context(format!("cannot clear `{name}`")))),
        }
    }
    let body = Body { cleared };
    if args.json {
        output::print_json(&body)?;
    } else {
        output::print(text(&body))?;
    }
    failed.map_or(Ok(()), Err)
}

fn namespaces(args: &ClearArgs) -> Result<Vec<(String, Netns)>, Failure> {
    if let Some(target) = args.target.target() {
        return Ok(vec![(target.to_string(), target.open().map_err(failure::netns)?)]);
    }
    // One that vanished since it was listed is clear.
    Ok(netns::list()
        .into_iter()
        .filter_map(|found| Some((found.name.to_string(), found.open().ok()?)))
        .collect())
}

fn clear(netns: Netns, to: Option<To>) -> Result<Vec<Cleared>, Failure> {
    let mut session = Session::open(netns).map_err(failure::engine)?;
    match to {
        Some(to) => engine::remove(&mut session, to).map_err(failure::engine),
        None => engine::clear(&mut session).map_err(failure::engine),
    }
}

fn text(body: &Body) -> String {
    if body.cleared.is_empty() {
        return "nothing to clear\n".to_owned();
    }
    let line = |row: &Row| format!("cleared: {} of `{}` in `{}`\n", row.direction, row.link, row.namespace);
    body.cleared.iter().map(line).collect()
}
