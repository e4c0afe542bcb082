//! Distributions from files that users name.

use std::fs::File;
use std::io::Read as _;

use crate::shape::distribution::file::TEXT_MAX;
use crate::shape::{Distribution, Measured, distribution};
use crate::units::quote;

/// What `--distribution` says: a name, a table, or a file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// A distribution.
    Said(Distribution),
    /// What a file says.
    Read(Measured),
}

/// Reads the value of `--distribution`.
pub(super) fn spread(text: &str) -> Result<Spread, String> {
    if distribution::is_file_name(text) {
        return measured(text).map(Spread::Read);
    }
    let error =
        |error: distribution::Error| format!("{error}, or the name of a file, which has a `/` or a `.`");
    text.parse().map(Spread::Said).map_err(error)
}

/// Reads a file, of which not more is taken in than may be there.
pub(super) fn measured(name: &str) -> Result<Measured, String> {
    let shown = quote(name);
    let mut text = Vec::new();
    File::open(name)
        .and_then(|file| file.take(TEXT_MAX as u64 + 1).read_to_end(&mut text))
        .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    // Before its characters are looked at: a text that is cut off may end within one.
    if text.len() > TEXT_MAX {
        return Err(format!("`{shown}`: {}", distribution::FileError::TooLong));
    }
    let text = String::from_utf8(text).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("`{shown}`: line {line}: this is no text: write one delay on each line, such as `12.3ms`")
    })?;
    Measured::parse(&text).map_err(|error| format!("`{shown}`: {error}"))
}
