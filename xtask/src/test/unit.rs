//! `cargo test` of everything that needs no privileges.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::report::Row;
use super::{Context, native_kernel};
use crate::command;
use crate::supervise::Group;

/// For compiling and running; the tests themselves take seconds.
const TIMEOUT: Duration = Duration::from_secs(1200);

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let mut cargo = command::cargo();
    cargo
        .args([
            "test",
            "--locked",
            "--workspace",
            "--exclude=shaper-netns-tests",
            "--no-fail-fast",
        ])
        .current_dir(&context.workspace.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Some(filter) = context.filter {
        cargo.args(["--", filter]);
    }
    let mut group = Group::spawn(&mut cargo)?;
    let stdout = group
        .leader
        .stdout
        .take()
        .context("standard output is not a pipe")?;
    let output = thread::spawn(move || read(stdout));
    let status = group.wait(TIMEOUT);
    // Whatever a test left running would hold the pipe open.
    drop(group);
    let mut row = output
        .join()
        .unwrap_or_else(|_| Row::new("unit", "-").failed("the output was not read"));
    let status = status?;
    if row.skipped > 0 {
        row.skip_reasons.insert("#[ignore]".into(), row.skipped);
    }
    if !status.success() && row.failed == 0 {
        row = row.failed(format!("`cargo test`: {status}"));
    }
    Ok(vec![row.took(begin.elapsed())])
}

/// Shows the output and counts the results in it.
fn read(stdout: ChildStdout) -> Row {
    let mut row = Row::new("unit", native_kernel());
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        println!("{line}");
        if let Some(counts) = Counts::parse(&line) {
            row.passed += counts.passed;
            row.failed += counts.failed;
            row.skipped += counts.ignored;
        } else if let Some(name) = failed_test(&line) {
            row.failures.push(name.to_owned());
        }
    }
    row
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    /// Reads libtest's `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            let mut parts = counts.split("; ");
            parts.find_map(|part| part.strip_suffix(what)?.trim_end().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

/// The name in `test units::parses ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let ok =
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(
            Counts::parse(ok),
            Some(Counts {
                passed: 5,
                failed: 0,
                ignored: 1
            })
        );
        let failed = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.52s";
        assert_eq!(
            Counts::parse(failed),
            Some(Counts {
                passed: 12,
                failed: 3,
                ignored: 0
            })
        );
        for line in [
            "running 5 tests",
            "test result: ok.",
            "test a::b ... ok",
            "note: test result: ok. 1 passed",
        ] {
            assert_eq!(Counts::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_failed_test_is_named() {
        assert_eq!(
            failed_test("test units::parses ... FAILED"),
            Some("units::parses")
        );
        assert_eq!(failed_test("test units::parses ... ok"), None);
    }
}
