//! `cargo test` of everything that needs no privileges.

use std::time::Duration;

use anyhow::Result;

use super::libtest;
use super::report::Row;
use super::{Context, native_kernel};
use crate::command;

/// What is tested; of the tests in namespaces only their harness is: they need root and a kernel with the engines.
pub(super) const PACKAGES: [&str; 2] = ["--workspace", "--exclude=shaper-netns-tests"];

/// For compiling and running; the tests themselves take seconds.
const TIMEOUT: Duration = Duration::from_secs(1200);

const HARNESS: [&str; 2] = ["--package=shaper-netns-tests", "--lib"];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let mut row = Row::new("unit", native_kernel());
    for what in [PACKAGES, HARNESS] {
        let mut cargo = command::cargo();
        cargo
            .args(["test", "--locked", "--no-fail-fast"])
            .args(what)
            .arg("--")
            .args(libtest::ARGS)
            .args(context.filter)
            .current_dir(&context.workspace.root);
        row = libtest::run(&mut cargo, row, TIMEOUT)?;
    }
    Ok(vec![row])
}
