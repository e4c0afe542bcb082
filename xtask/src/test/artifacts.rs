//! What the tests in namespaces run: the `shaper` command and the tests themselves, built together, and the plans of Testground's SDKs.

use std::path::PathBuf;

use anyhow::Result;

use super::Context;
use crate::cargo_build::{self, MESSAGES};
use crate::command::cargo;
use crate::{plans, redis, schemathesis};

/// Paths of what was built.
#[derive(Debug)]
pub(super) struct Artifacts {
    /// The `shaper` command.
    pub(super) shaper: PathBuf,
    /// The tests in namespaces.
    pub(super) tests: PathBuf,
    /// The plan on Testground's SDK for Rust.
    pub(super) plan_rust: PathBuf,
    /// The plan on that for JavaScript, or why there is none.
    pub(super) plan_js: Result<PathBuf>,
    /// The server of states, or why there is none.
    pub(super) redis: Result<PathBuf>,
    /// What fuzzes the API, or why there is none.
    pub(super) schemathesis: Result<PathBuf>,
}

/// Builds all, optimised, as they measure the times and rates of packets; the command fails where a test wants it to.
pub(super) fn build(context: &Context<'_>) -> Result<Artifacts> {
    let mut command = cargo();
    command
        .args(["build", "--locked", "--release", MESSAGES])
        .args(["--package=shaper", "--bin=shaper", "--package=shaper-netns-tests", "--test=netns"])
        .arg("--features=shaper/fault-injection")
        .current_dir(&context.workspace.root);
    let built = cargo_build::run(&mut command)?;
    Ok(Artifacts {
        shaper: built.find("bin", "shaper")?,
        tests: built.find("test", "netns")?,
        plan_rust: plans::rust(context.workspace)?,
        plan_js: plans::javascript(context.workspace),
        redis: redis::server(),
        schemathesis: schemathesis::program(context.workspace),
    })
}
