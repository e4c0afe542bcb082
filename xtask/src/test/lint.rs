//! rustfmt and clippy.

use std::time::Instant;

use anyhow::Result;

use super::Context;
use super::report::Row;
use crate::{command, plans};

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let cargo =
        |args: &[&str]| command::run(command::cargo().args(args).current_dir(&context.workspace.root));
    let fmt = cargo(&["fmt", "--all", "--check"]);
    let clippy = cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    // Of the same style and as clean, for it is copied.
    let example = context.workspace.path(plans::RUST).join("Cargo.toml").display().to_string();
    let example_target = plans::target(context.workspace).display().to_string();
    let example_fmt = cargo(&["fmt", "--manifest-path", &example, "--check"]);
    let example_clippy = cargo(&[
        "clippy",
        "--locked",
        "--manifest-path",
        &example,
        "--target-dir",
        &example_target,
        "--",
        "-D",
        "warnings",
    ]);
    let row = Row::new("lint", "-").checked("rustfmt", fmt).checked("clippy", clippy);
    let row = row.checked("rustfmt of the example", example_fmt);
    Ok(vec![row.checked("clippy of the example", example_clippy).took(begin.elapsed())])
}
