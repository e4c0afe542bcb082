//! What libtest prints, with `--show-output`: counts, names of failed tests, and what tests say of what they skipped.

use super::report::Row;

/// Makes libtest print what passing tests wrote, which is where they say that they skipped something.
pub(super) const SHOW_OUTPUT: &str = "--show-output";

/// What a test prints, followed by the reason, in place of what it cannot do here.
const SKIP: &str = "SKIP";

/// Counts results line by line.
#[derive(Debug)]
pub(super) struct Reader {
    row: Row,
    section: Section,
}

/// Which part of the output the lines belong to.
#[derive(Debug, PartialEq, Eq)]
enum Section {
    /// One line per test, and whatever is not a test's output.
    Results,
    /// What passing tests wrote; whether the one being read has said that it skips.
    Successes { skips: bool },
}

impl Reader {
    /// A reader that adds to `row`.
    pub(super) fn new(row: Row) -> Self {
        Self { row, section: Section::Results }
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(counts) = Counts::parse(line) {
            self.row.passed += counts.passed;
            self.row.failed += counts.failed;
            self.row.skipped += counts.ignored;
            if counts.ignored > 0 {
                *self.row.skip_reasons.entry("#[ignore]".into()).or_default() += counts.ignored;
            }
            self.section = Section::Results;
        } else if let Some(name) = failed_test(line) {
            self.row.failures.push(name.to_owned());
        } else if line == "successes:" || is_test_heading(line) && self.section != Section::Results {
            self.section = Section::Successes { skips: false };
        } else if line == "failures:" {
            self.section = Section::Results;
        } else if let (Section::Successes { skips: false }, Some(reason)) = (&self.section, skip_reason(line)) {
            self.section = Section::Successes { skips: true };
            // libtest counts it as passed further down.
            self.row.passed = self.row.passed.wrapping_sub(1);
            self.row = std::mem::replace(&mut self.row, Row::new("", "")).skipped(reason);
        }
    }

    /// The row with all that was counted.
    pub(super) fn finish(self) -> Row {
        self.row
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}
