//! rustfmt and clippy.

use std::time::Instant;

use anyhow::Result;

use super::Context;
use super::report::Row;
use crate::command;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let cargo =
        |args: &[&str]| command::run(command::cargo().args(args).current_dir(&context.workspace.root));
    let fmt = cargo(&["fmt", "--all", "--check"]);
    let clippy = cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    Ok(vec![Row::new("lint", "-").checked("rustfmt", fmt).checked("clippy", clippy).took(begin.elapsed())])
}
