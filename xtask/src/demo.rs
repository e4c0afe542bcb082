//! `cargo xtask demo`: the main job, from a fresh clone to numbers on the screen.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::command::{announce, cargo, run};
use crate::workspace::Workspace;

/// Builds `shaper` and runs `shaper demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Passed on to `shaper demo`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Becomes the demo, so that its exit code is ours and a Ctrl-C reaches it and nobody else.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    run(cargo().args(["build", "--locked", "--release", "--package=shaper"]).current_dir(&workspace.root))?;
    let mut demo = Command::new(workspace.target.join("release/shaper"));
    demo.arg("demo").args(&options.args);
    announce(&demo);
    Err(demo.exec()).with_context(|| format!("cannot run {}", demo.get_program().display()))
}
