//! What a file says, before it is checked.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::rule;
use super::super::split::{Own, Split, fill};
use super::{Error, File, Format, RULES_MAX, read};
use crate::rules::{self, Mtu, RuleParts};
use crate::shape::{Direction, EngineChoice};

/// What a file says, each key or nothing; [`File::new`] checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// The link; the only one there is when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// The direction of the rules that have none of their own; egress when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Who is to hold packets; the best engine there is when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// Seed of the random draws of the shapes that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Neighbour discovery is shaped too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shape_neighbours: bool,
    /// Packets are dropped, rather than let pass, while their shape cannot be had.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fail_closed: bool,
    /// The link is to be down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// The link's MTU; what it is without us when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// The rules, at most [`RULES_MAX`]; an empty list for none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "entries")]
    pub rules: Option<Vec<Entry>>,
}

/// One rule of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its direction; that of the file when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleParts,
}

impl Entry {
    /// The keys that an entry has beside those of its shape.
    pub(super) fn keys() -> impl Iterator<Item = &'static str> {
        ["direction"].into_iter().chain(RuleParts::KEYS)
    }
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// When it is too long, is not `format`, or has keys or values that a document does not.
    pub fn parse(text: &str, format: Format) -> Result<Self, Error> {
        read::document(text, format, &mut read::no_files)
    }
}

impl From<&File> for Document {
    fn from(file: &File) -> Self {
        let entry = |(direction, rule): &(Direction, rules::Rule)| Entry {
            direction: (*direction != file.direction).then_some(*direction),
            rule: RuleParts::from(*rule),
        };
        Self {
            dev: file.dev.clone(),
            direction: (file.direction != Direction::default()).then_some(file.direction),
            engine: (file.engine != EngineChoice::default()).then_some(file.engine),
            seed: file.seed,
            shape_neighbours: file.shape_neighbours,
            fail_closed: file.fail_closed,
            down: file.down,
            mtu: file.mtu,
            rules: Some(file.rules.iter().map(entry).collect()),
        }
    }
}

/// What is not in [`RuleParts`], as far as it was read.
#[derive(Default)]
struct Beside {
    direction: Option<Option<Direction>>,
}

impl Own for Beside {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "direction" => fill(&mut self.direction, "direction", map),
            _ => Ok(false),
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule (keys and values)")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                let mut own = Beside::default();
                let rule = rule::read(Split::new(map, &mut own))?;
                Ok(Entry { direction: own.direction.flatten(), rule })
            }
        }

        deserializer.deserialize_map(Map)
    }
}

/// Reads the rules, and not more than there can be.
fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Entry>>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of rules, which may be empty")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Entry>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == RULES_MAX {
                    return Err(A::Error::custom(rules::Error::TooMany));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(List).map(Some)
}
