//! Why a text is no file of rules.

use super::{Format, TEXT_MAX};
use crate::rules::error::everyone;
use crate::rules::{self, To};

/// A text that is no file of rules; says where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is longer than [`TEXT_MAX`].
    #[error("the file has {length} bytes: at most {} MiB are read", TEXT_MAX >> 20)]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
    /// The text is not of its format.
    #[error("line {line}, column {column}: {message} (the file is read as {format})")]
    Syntax {
        /// What it was read as.
        format: Format,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// What the format's parser says.
        message: String,
    },
    /// There is no such key there.
    #[error("{path}: unknown key; {advice}")]
    UnknownKey {
        /// Where it is, such as `rules[3].latancy`.
        path: String,
        /// The key that may be meant, or all there are.
        advice: String,
    },
    /// The value of a key is not what it should be.
    #[error("{path}: {message}")]
    Value {
        /// Where it is, such as `rules[3].latency`.
        path: String,
        /// What is wrong with it, and what to write.
        message: String,
    },
    /// The text is no document with keys.
    #[error(
        "this is no file of rules: write keys and values, such as `rules = []` (TOML) or `rules: []` (YAML)"
    )]
    NotATable,
    /// No link has such a name.
    #[error(
        "dev: `{name}` cannot be the name of a link: write one that `ip link` lists (such as `eth0`), of at most 15 bytes and \
         without `/`, `:` or spaces"
    )]
    Link {
        /// The name, shortened.
        name: String,
    },
    /// There are no rules, not even an empty list of them.
    #[error(
        "rules: there are none; write at least one, or an empty list (`rules = []` in TOML) to take them all away"
    )]
    NoRules,
    /// There are more rules than [`rules::RULES_MAX`].
    #[error("rules: {}", rules::Error::TooMany)]
    TooMany,
    /// A rule cannot be.
    #[error("rules[{index}]: {error}")]
    Rule {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: Box<rules::Error>,
    },
    /// Two rules of one direction are for the same destination.
    #[error(
        "rules[{index}]: rules[{first}] is for {} already, in the same direction; give one rule for each destination",
        everyone(.to)
    )]
    Twice {
        /// The second one, from 0.
        index: usize,
        /// The first one.
        first: usize,
        /// The destination; `None` for all peers.
        to: Option<To>,
    },
}
