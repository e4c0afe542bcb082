//! What makes one rule set of another.

use std::fmt;

use super::{Rule, To};

/// One step from a rule set to another; prints as the flags of its rule behind a sign.
#[expect(
    clippy::large_enum_variant,
    reason = "most changes of a set are of one kind, and a box would be one more allocation each"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no rule for this destination.
    Added(Rule),
    /// There was another one.
    Changed {
        /// What it was.
        from: Rule,
        /// What it is, for the same destination.
        to: Rule,
    },
    /// There is none any more.
    Removed(Rule),
}

impl Change {
    /// Whose rule changes; `None` for that of all peers.
    #[must_use]
    pub fn destination(&self) -> Option<To> {
        match self {
            Self::Added(rule) | Self::Removed(rule) | Self::Changed { to: rule, .. } => rule.to(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = |rule: &Rule| rule.flags().join(" ");
        match self {
            Self::Added(rule) => write!(f, "+ {}", flags(rule)),
            Self::Changed { from, to } => write!(f, "~ {} -> {}", flags(from), flags(to)),
            Self::Removed(rule) => write!(f, "- {}", flags(rule)),
        }
    }
}
