//! `cargo test` of everything that needs no privileges.

use std::time::Duration;

use anyhow::Result;

use super::libtest;
use super::report::Row;
use super::{Context, native_kernel};
use crate::command;

/// What is tested; the tests in namespaces are not: they need root and a kernel with the engines.
pub(super) const PACKAGES: [&str; 2] = ["--workspace", "--exclude=shaper-netns-tests"];

/// For compiling and running; the tests themselves take seconds.
const TIMEOUT: Duration = Duration::from_secs(1200);

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let mut cargo = command::cargo();
    cargo
        .args(["test", "--locked", "--no-fail-fast"])
        .args(PACKAGES)
        .arg("--")
        .args(libtest::ARGS)
        .args(context.filter)
        .current_dir(&context.workspace.root);
    Ok(vec![libtest::run(&mut cargo, Row::new("unit", native_kernel()), TIMEOUT)?])
}
