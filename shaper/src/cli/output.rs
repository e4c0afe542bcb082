//! What commands print: the only module that writes to stdout and stderr.
//!
//! stdout is the result, stderr the narration. A reader that has gone away (`shaper show | head -1`) is not a
//! failure: the command goes on, since it may have something to clean up, and what it prints is lost.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::exit::{Code, Failure};
use crate::json;

/// Prints `body`, a struct or a map, as one JSON object with [`json::VERSION`] as its first field `version`.
///
/// # Errors
///
/// When stdout cannot be written to, other than by a reader that has gone away.
pub fn print_json<T: Serialize>(body: &T) -> Result<(), Failure> {
    print(json::pretty(body).map_err(untold)?)
}

/// `body`, a struct or a map, as [`print_json`] prints it, but on one line.
///
/// # Errors
///
/// When it cannot be told in JSON.
pub fn json_line<T: Serialize>(body: &T) -> Result<String, Failure> {
    json::line(body).map_err(untold)
}

fn untold(error: serde_json::Error) -> Failure {
    Failure::new(Code::Failed, error).context("cannot print the result as JSON")
}

/// Prints `bytes`, a part of a result that has no end, and says whether anybody still reads.
///
/// # Errors
///
/// As [`print_json`].
pub fn stream(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => written(result).map(|()| true),
    }
}

/// Prints `text` as it is; it brings its own line ends.
///
/// # Errors
///
/// As [`print_json`].
pub fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(write!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Says on stderr what is being done; never fails.
pub fn narrate(line: impl fmt::Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says on stderr why the command failed.
pub(super) fn report(failure: &Failure) {
    narrate(format_args!("shaper: {failure}"));
}

/// What clap has to say instead of a command: help and version on stdout, a mistake on stderr.
pub(super) fn report_parse(error: &clap::Error) -> Code {
    if !error.use_stderr() {
        return written(error.print()).map_or_else(
            |failure| {
                report(&failure);
                failure.code()
            },
            |()| Code::Done,
        );
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return Code::Usage;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    narrate(format_args!("shaper: {}\nhint: `--help` shows every flag, with examples", text.trim_end()));
    Code::Usage
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Failed, e).context("cannot write the result to stdout"))
        }
        _ => Ok(()),
    }
}

/// Columns of text under a line of headings, each as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column headings and no rows.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// Adds a row; cells beyond the headings are columns without one.
    pub fn row<const N: usize>(&mut self, cells: [&dyn fmt::Display; N]) -> &mut Self {
        self.rows.push(cells.iter().map(ToString::to_string).collect());
        self
    }
}

/// One line for the headings and for each row, two spaces between columns and none at the end.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns() {
        let mut table = Table::new(["LINK", "LATENCY", "NOTE"]);
        table.row([&"eth0", &100, &"µs"]).row([&"a-long-name", &"5ms", &""]);
        let expected = "\
LINK         LATENCY  NOTE
eth0         100      µs
a-long-name  5ms
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(written(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert_eq!(written(Err(ErrorKind::StorageFull.into())).unwrap_err().code(), Code::Failed);
    }
}
