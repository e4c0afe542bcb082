//! The kernel programs by themselves (BPF_PROG_TEST_RUN): `shaper/tests/programs.rs`, on the committed object and on a
//! rebuilt one, natively and in User-mode Linux.
//!
//! The binary reads `SHAPER_BPF_OBJECT` (another object than the committed one). Without the right to load programs its
//! tests pass and say that they skipped; here that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::libtest::{self, Reader};
use super::report::Row;
use super::unit::PACKAGES;
use super::{Context, native_kernel};
use crate::cargo_build::{self, MESSAGES};
use crate::command::cargo;
use crate::uml::{Job, Machine, inherited_env};

const OBJECT: &str = "SHAPER_BPF_OBJECT";

/// Some tests run a program for every length of a frame, on an interpreter: seconds.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Builds the test binary, the same one that the unit tests run.
pub(super) fn build(context: &Context<'_>) -> Result<PathBuf> {
    let mut command = cargo();
    // Of other packages than the unit tests, the dependencies would have other features and be built again.
    command
        .args(["test", "--locked", "--no-run", "--test=programs", MESSAGES])
        .args(PACKAGES)
        .current_dir(&context.workspace.root);
    cargo_build::run(&mut command)?.find("test", "programs")
}

/// Runs them on the kernel that is here.
pub(super) fn native(context: &Context<'_>, tests: &Path, object: Option<&Path>) -> Result<Row> {
    let mut command = Command::new(tests);
    command.args(libtest::ARGS).args(context.filter);
    if let Some(object) = object {
        command.env(OBJECT, object);
    }
    let row = libtest::run(&mut command, row(&native_kernel(), object), TIMEOUT)?;
    Ok(strict(row, context))
}

/// Runs them on the verifier and the interpreter of User-mode Linux.
pub(super) fn uml(context: &Context<'_>, tests: &Path, object: Option<&Path>) -> Result<Row> {
    let begin = Instant::now();
    let machine = Machine::new(context.workspace)?;
    let mut command = vec![tests.display().to_string()];
    command.extend(libtest::ARGS.into_iter().chain(context.filter).map(str::to_owned));
    let mut env = inherited_env();
    env.extend(object.map(|object| (OBJECT.to_owned(), object.display().to_string())));
    let ended = machine.run(&Job { command, env, dir: context.workspace.root.clone(), timeout: TIMEOUT })?;
    let mut reader = Reader::new(row(&machine.kernel_release(), object));
    ended.output.lines().for_each(|line| reader.line(line));
    let row = strict(reader.finish().took(begin.elapsed()), context);
    Ok(if ended.code != 0 && row.failed == 0 {
        row.failed(format!("the program tests ended with exit code {}", ended.code))
    } else {
        row
    })
}

fn row(kernel: &str, object: Option<&Path>) -> Row {
    Row::new(if object.is_some() { "programs, rebuilt" } else { "programs" }, kernel)
}

/// Nothing may be skipped where this runs, and something must have run.
fn strict(row: Row, context: &Context<'_>) -> Row {
    let reason = row.skip_reasons.keys().next().cloned().unwrap_or_default();
    match (row.skipped, row.passed + row.failed) {
        (0, 0) if context.filter.is_none() => row.failed("no test ran"),
        (0, _) => row,
        (skipped, _) => {
            row.failed(format!("{skipped} tests were skipped, which must not happen here: {reason}"))
        }
    }
}
