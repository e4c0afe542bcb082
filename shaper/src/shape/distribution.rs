//! How jitter spreads: netem's names, and tables that a user brings.

mod base64;
pub mod file;
mod table;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use shaper_common::jitter::Distribution as Kind;

use super::named::{Named, UnknownName};
use crate::units::quote;

pub use file::{Error as FileError, Measured};
pub use table::Table;

/// Shape of the delay's spread.
///
/// As text it is one of [`Named::ALL`]'s names, or `table:` and the table in base64 (RFC 4648): 4096 signed numbers of 16 bits, each
/// with its low byte first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Every delay from latency − jitter to latency + jitter is as likely.
    #[default]
    Uniform,
    /// The bell curve; jitter is its standard deviation.
    Normal,
    /// Pareto with index 3; jitter is its standard deviation.
    Pareto,
    /// A quarter normal and three quarters Pareto; jitter is its standard deviation.
    ParetoNormal,
    /// A table that the user brought, in units of the jitter.
    Table(&'static Table),
}

impl Distribution {
    /// What a rule of the kernel says of it: the kind, and the number of its table, zero without one.
    #[must_use]
    pub fn to_kernel(self) -> (Kind, u32) {
        match self {
            Self::Uniform => (Kind::Uniform, 0),
            Self::Normal => (Kind::Normal, 0),
            Self::Pareto => (Kind::Pareto, 0),
            Self::ParetoNormal => (Kind::ParetoNormal, 0),
            Self::Table(table) => (Kind::Table, table.number()),
        }
    }

    /// The distribution of a [`Kind`] discriminant and the number of a table; `None` where there is none.
    #[must_use]
    pub fn from_kernel(kind: u32, table: u32) -> Option<Self> {
        if kind == Kind::Table as u32 {
            return Table::numbered(table).map(Self::Table);
        }
        Self::ALL.iter().copied().find(|known| known.to_kernel().0 as u32 == kind)
    }

    /// In words: its name, or what its table is like.
    #[must_use]
    pub fn words(self) -> Cow<'static, str> {
        match self {
            Self::Table(table) => table.to_string().into(),
            named => named.name().into(),
        }
    }
}

/// `ALL` are those that need no table.
impl Named for Distribution {
    const WHAT: &'static str = "a distribution";
    const ALL: &'static [Self] = &[Self::Uniform, Self::Normal, Self::Pareto, Self::ParetoNormal];

    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
            Self::Table(_) => "table",
        }
    }
}

/// A text that is no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no name.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// It is a file's, which must have been read before.
    #[error(
        "`{name}` is the name of a file, and no file is read here: write one of the names, or `table:` and its values in base64"
    )]
    File {
        /// The text, shortened.
        name: String,
    },
    /// What follows `table:` is no table.
    #[error(
        "`{text}` is no table: write `table:` and the {} characters of base64 that `shaper show --json` prints",
        table::TEXT_LEN
    )]
    Table {
        /// The text, shortened.
        text: String,
    },
}

/// Says whether `text` is the name of a file rather than that of a distribution: it has a slash or a full stop.
#[must_use]
pub fn is_file_name(text: &str) -> bool {
    !text.starts_with(table::PREFIX) && text.contains(['/', '.'])
}

impl FromStr for Distribution {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with(table::PREFIX) {
            let table = Table::from_text(text).ok_or_else(|| Error::Table { text: quote(text) })?;
            return Ok(Self::Table(table));
        }
        if is_file_name(text) {
            return Err(Error::File { name: quote(text) });
        }
        Ok(Self::from_name(text)?)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => f.write_str(table.text()),
            named => f.pad(named.name()),
        }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
