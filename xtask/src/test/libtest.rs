//! What libtest prints: counts, names of failed tests, and what passing tests say of work they skipped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::report::Row;
use crate::supervise::Group;

/// Makes libtest print what passing tests wrote, which is where they say that they skipped something, and print it plainly
/// even on a terminal.
pub(super) const ARGS: [&str; 2] = ["--show-output", "--color=never"];

/// Runs tests, shows their output, and counts the results into `row`.
///
/// # Errors
/// When they cannot be run, or do not end in time.
pub(super) fn run(command: &mut Command, row: Row, timeout: Duration) -> Result<Row> {
    let begin = Instant::now();
    let mut group = Group::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = group.leader.stdout.take().context("standard output is not a pipe")?;
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let output = thread::spawn(move || {
        let mut reader = Reader::new(row);
        for line in lines {
            println!("{line}");
            reader.line(&line);
        }
        reader.finish()
    });
    let status = group.wait(timeout);
    // Whatever a test left running would hold the pipe open.
    drop(group);
    let row = output.join().ok().context("the output was not read")?;
    let status = status?;
    let name = command.get_program().display();
    let row =
        if !status.success() && row.failed == 0 { row.failed(format!("`{name}`: {status}")) } else { row };
    Ok(row.took(begin.elapsed()))
}

/// Counts results, line by line, into a row.
#[derive(Debug)]
pub(super) struct Reader {
    row: Row,
    /// The passing test whose output is being read, once the list of such outputs has begun.
    passing: Option<String>,
    /// Reasons by test, until the line that counts these tests as passed.
    skips: BTreeMap<String, String>,
}

impl Reader {
    /// A reader that adds to `row`.
    pub(super) fn new(row: Row) -> Self {
        Self { row, passing: None, skips: BTreeMap::new() }
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(counts) = Counts::parse(line) {
            self.count(&counts);
        } else if let Some(name) = failed_test(line) {
            self.row.failures.push(name.to_owned());
        } else if line == "successes:" {
            self.passing = Some(String::new());
        } else if line == "failures:" {
            self.passing = None;
        } else if let Some(passing) = &mut self.passing {
            if let Some(name) = output_of(line) {
                name.clone_into(passing);
            } else if let Some(reason) = skip_reason(line) {
                self.skips.entry(passing.clone()).or_insert_with(|| reason.to_owned());
            }
        }
    }

    /// The row with all that was counted.
    pub(super) fn finish(self) -> Row {
        self.row
    }

    fn count(&mut self, counts: &Counts) {
        let skips = std::mem::take(&mut self.skips);
        self.row.passed += counts.passed.saturating_sub(skips.len());
        self.row.failed += counts.failed;
        self.row.skipped += counts.ignored + skips.len();
        let ignored = std::iter::repeat_n("#[ignore]".to_owned(), counts.ignored);
        for reason in ignored.chain(skips.into_values()) {
            *self.row.skip_reasons.entry(reason).or_default() += 1;
        }
        self.passing = None;
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    /// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            let mut parts = counts.split("; ");
            parts.find_map(|part| part.strip_suffix(what)?.trim_end().parse().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

/// The name in `test units::parses ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The name in `---- units::parses stdout ----`.
fn output_of(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// The reason in `SKIP: no right to load BPF programs` and in `SKIP some_test: no netem`.
fn skip_reason(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("SKIP")?;
    let reason = match rest.strip_prefix(':') {
        Some(reason) => reason,
        None => rest.strip_prefix(' ')?.split_once(": ").map_or(rest, |(_, reason)| reason),
    };
    Some(reason.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Row {
        let mut reader = Reader::new(Row::new("unit", "-"));
        output.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let failed = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 9 filtered out; finished in 1.52s";
        assert_eq!(Counts::parse(failed), Some(Counts { passed: 12, failed: 3, ignored: 1 }));
        for line in
            ["running 5 tests", "test result: ok.", "test a::b ... ok", "note: test result: ok. 1 passed"]
        {
            assert_eq!(Counts::parse(line), None, "{line}");
        }
    }

    #[test]
    fn several_binaries_add_up_and_failed_tests_are_named() {
        let row = read(
            "\
test units::parses ... ok
test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test shape::is_valid ... FAILED

failures:

---- shape::is_valid stdout ----
SKIP: not what this line says, for the test failed

failures:
    shape::is_valid

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
",
        );
        assert_eq!((row.passed, row.failed, row.skipped), (7, 1, 1));
        assert_eq!(row.failures, ["shape::is_valid"]);
        assert_eq!(row.skip_reasons, BTreeMap::from([("#[ignore]".to_owned(), 1)]));
    }

    #[test]
    fn a_passing_test_that_says_skip_is_skipped_once() {
        let row = read(
            "\
test stamp ... ok
test steer ... ok
test talks ... ok

successes:

---- stamp stdout ----
SKIP: no right to load BPF programs

---- steer stdout ----
SKIP steer: no right to load BPF programs
SKIP steer: again

---- talks stdout ----
measured 5 ms

successes:
    stamp
    steer
    talks

test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
",
        );
        assert_eq!((row.passed, row.failed, row.skipped), (1, 0, 2));
        assert_eq!(row.skip_reasons, BTreeMap::from([("no right to load BPF programs".to_owned(), 2)]));
    }
}
