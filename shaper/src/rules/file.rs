//! Rules as people keep them: one document, in TOML, YAML or JSON.

mod distribution;
mod document;
mod error;
mod fault;
mod format;
mod json;
mod node;
mod read;
pub(crate) mod suggest;
mod toml;
mod write;
mod yaml;

use std::collections::HashMap;

use shaper_common::abi;

pub use document::{Document, Entry};
pub use error::Error;
pub use format::Format;

use super::{Mtu, RULES_MAX, Rule, RuleSet};
use crate::shape::{Direction, EngineChoice, Measured};
use crate::target::link::is_link_name;

/// The longest text, in bytes: 64 MiB.
pub const TEXT_MAX: usize = 64 << 20;
/// The most keys and values of a document: room for every rule to say everything.
const VALUES_MAX: usize = RULES_MAX * 32;
/// The deepest nesting of lists and tables, the document itself included; three are in use.
const DEPTH_MAX: u32 = 8;

/// Tells what the file of a distribution says, by its name.
pub type Files<'f> = dyn FnMut(&str) -> Result<Measured, String> + 'f;

/// What `shaper apply -f FILE` takes: rules, and what holds for all of them.
///
/// The keys are those of [`Document`]; at the top `dev`, `direction`, `engine`, `seed`, `shape_neighbours`, `fail_closed`, `down`,
/// `mtu` and `rules`, a list in which each rule has the keys of [`super::RuleParts`] and perhaps a `direction` of its own. `rules = []` says
/// that there are to be none; to leave `rules` out is refused, so that an empty file takes nothing away, unless the link is
/// to be `down`.
///
/// ```
/// use shaper::rules::file::{File, Format};
///
/// let text = r#"
///     dev = "eth0"
///
///     [[rules]]
///     latency = "10ms"
///
///     [[rules]]
///     to = "10.0.0.5:80/tcp"
///     filter = "drop"
/// "#;
/// let file = File::parse(text, Format::Toml).unwrap();
/// assert_eq!(file.rules(shaper_common::abi::Direction::Egress).len(), 2);
/// assert_eq!(File::parse(&file.to_text(Format::Yaml), Format::Yaml).unwrap(), file);
/// let error = File::parse("[[rules]]\nlatancy = '1ms'", Format::Toml).unwrap_err().to_string();
/// assert_eq!(error, "rules[0].latancy: unknown key; did you mean `latency`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    dev: Option<String>,
    direction: Direction,
    engine: EngineChoice,
    seed: Option<u64>,
    shape_neighbours: bool,
    fail_closed: bool,
    down: bool,
    mtu: Option<Mtu>,
    rules: Vec<(Direction, Rule)>,
}

impl File {
    /// Reads and checks a text.
    ///
    /// # Errors
    ///
    /// When the text is longer than [`TEXT_MAX`], is not `format`, or is not such a document; with the line and column, or the path
    /// of the key.
    pub fn parse(text: &str, format: Format) -> Result<Self, Error> {
        Self::new(Document::parse(text, format)?)
    }

    /// The same, where a rule's `distribution` may be the name of a file, of which `measured` tells what it says or why not; `measured`
    /// is asked for each rule anew.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse`], and what `measured` says of a file.
    pub fn parse_with(text: &str, format: Format, measured: &mut Files<'_>) -> Result<Self, Error> {
        Self::new(read::document(text, format, measured)?)
    }

    /// Checks what a document says.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its path.
    pub fn new(document: Document) -> Result<Self, Error> {
        let Document { dev, direction, engine, seed, shape_neighbours, fail_closed, down, mtu, rules } =
            document;
        if let Some(dev) = dev.as_deref().filter(|dev| !is_link_name(dev)) {
            return Err(Error::Link { name: crate::units::quote(dev) });
        }
        let direction = direction.unwrap_or_default();
        let entries = match rules {
            Some(entries) => entries,
            None if down => Vec::new(),
            None => return Err(Error::NoRules),
        };
        if entries.len() > RULES_MAX {
            return Err(Error::TooMany);
        }
        let mut rules = Vec::with_capacity(entries.len());
        let mut seen: HashMap<_, usize> = HashMap::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let rule =
                Rule::new(entry.rule).map_err(|error| Error::Rule { index, error: Box::new(error) })?;
            let direction = entry.direction.unwrap_or(direction);
            for each in direction.each() {
                if let Some(first) = seen.insert((*each as u32, rule.to()), index) {
                    return Err(Error::Twice { index, first, to: rule.to() });
                }
            }
            rules.push((direction, rule));
        }
        let engine = engine.unwrap_or_default();
        Ok(Self { dev, direction, engine, seed, shape_neighbours, fail_closed, down, mtu, rules })
    }

    /// The document as a text that [`Self::parse`] reads to the same.
    ///
    /// What is as it would be without being said is left out; rules keep their order.
    #[must_use]
    pub fn to_text(&self, format: Format) -> String {
        write::text(&Document::from(self), format)
    }

    /// The link; `None` for the only one there is.
    #[must_use]
    pub fn dev(&self) -> Option<&str> {
        self.dev.as_deref()
    }

    /// The direction of the rules that have none of their own.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Who is to hold packets.
    #[must_use]
    pub fn engine(&self) -> EngineChoice {
        self.engine
    }

    /// Seed of the random draws of the shapes that have none of their own.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Says whether neighbour discovery is shaped too.
    #[must_use]
    pub fn shape_neighbours(&self) -> bool {
        self.shape_neighbours
    }

    /// Says whether packets are dropped, rather than let pass, while their shape cannot be had.
    #[must_use]
    pub fn fail_closed(&self) -> bool {
        self.fail_closed
    }

    /// Says whether the link is to be down.
    #[must_use]
    pub fn down(&self) -> bool {
        self.down
    }

    /// The link's MTU; `None` for what it is without us.
    #[must_use]
    pub fn mtu(&self) -> Option<Mtu> {
        self.mtu
    }

    /// The rules of one direction.
    #[must_use]
    pub fn rules(&self, direction: abi::Direction) -> RuleSet {
        let here = self.rules.iter().filter(|(rule, _)| rule.each().contains(&direction));
        // Destinations were found to be unique, and few enough, when the file was made.
        RuleSet::new(here.map(|(_, rule)| *rule)).unwrap_or_default()
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
