//! What can become of a packet, in words.

use serde::{Serialize, Serializer};

use crate::shape::Named;

/// What became of a packet; one can have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is lost, as asked.
    Lost,
    /// The bottleneck's queue was full.
    QueueFull,
    /// It is sent twice.
    Duplicated,
    /// One bit of it is flipped.
    Corrupted,
    /// It goes ahead of others.
    Reordered,
    /// It is marked congestion experienced.
    Marked,
    /// It was given a departure time.
    Delayed,
    /// Dropped or answered: by the rule's filter, or because nobody could hold it and it must not pass.
    Filtered,
    /// It is not shaped.
    Passed,
    /// `netem` decides what becomes of it.
    GivenToNetem,
}

impl Named for Fate {
    const WHAT: &'static str = "a fate";
    const ALL: &'static [Self] = &[
        Self::Lost,
        Self::QueueFull,
        Self::Duplicated,
        Self::Corrupted,
        Self::Reordered,
        Self::Marked,
        Self::Delayed,
        Self::Filtered,
        Self::Passed,
        Self::GivenToNetem,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::QueueFull => "queue-full",
            Self::Duplicated => "duplicated",
            Self::Corrupted => "corrupted",
            Self::Reordered => "reordered",
            Self::Marked => "marked",
            Self::Delayed => "delayed",
            Self::Filtered => "filtered",
            Self::Passed => "passed",
            Self::GivenToNetem => "given-to-netem",
        }
    }
}

impl Serialize for Fate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
