//! `cargo xtask example`: a Testground plan on an unmodified SDK, whose network `shaper agent` shapes.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::cargo_build::{self, MESSAGES};
use crate::command::{cargo, status};
use crate::plans;
use crate::workspace::Workspace;

/// Builds a Testground plan and runs it in namespaces of its own, with `shaper agent` in the place of Testground's sidecar.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The plan.
    #[arg(value_enum)]
    plan: Plan,
    /// Another case of the plan: `traffic-allowed`, `traffic-blocked`, `accept`, `reject`, `drop`, `uses-data-network`.
    #[arg(long, value_name = "CASE", default_value = "ping-pong")]
    case: String,
    /// Run it so often, and say how many of its measures were as wanted.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Plan {
    /// On the crate `testground`.
    PingPong,
    /// On the package `@testground/sdk`: `ping-pong` is all its cases.
    PingPongJs,
}

/// Builds and runs; the exit code is the plan's.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root: it makes namespaces");
    let (sdk, variable, plan) = match options.plan {
        Plan::PingPong => ("rust", "SHAPER_PLAN_RUST", plans::rust(workspace)?),
        Plan::PingPongJs => ("js", "SHAPER_PLAN_JS", plans::javascript(workspace)?),
    };
    let (shaper, example) = build(workspace)?;
    let mut command = Command::new(example);
    command
        .args([sdk, &options.case, &options.times.to_string()])
        .env("SHAPER_BIN", shaper)
        .env(variable, plan);
    let ended = status(&mut command)?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let mut command = cargo();
    command
        .args(["build", "--locked", "--release", MESSAGES])
        .args(["--package=shaper", "--bin=shaper", "--package=shaper-netns-tests", "--bin=example"])
        .current_dir(&workspace.root);
    let built = cargo_build::run(&mut command)?;
    Ok((built.find("bin", "shaper")?, built.find("bin", "example")?))
}
