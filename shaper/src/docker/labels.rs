//! What a container's labels ask for: `shaper.` and a key of a rules file, with the value that stands there; or such a file, whole.
//!
//! Pure: a label that cannot be had is an error that names it, and then nothing of the container's labels counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Which;
use crate::policy::{Keep, Policy};
use crate::rules::file::{self, Document, Format, suggest};
use crate::rules::{self, File};
use crate::shape::Named as _;
use crate::target::link::is_link_name;
use crate::units::quote;
use crate::wanted::{Routing, Wanted};

/// How our labels begin.
pub const PREFIX: &str = "shaper.";

/// Keys of a rule.
const OF_RULE: [&str; 26] = [
    "latency",
    "jitter",
    "distribution",
    "jitter_correlation",
    "keep_order",
    "reorder",
    "reorder_correlation",
    "reorder_gap",
    "bandwidth",
    "queue",
    "burst",
    "overhead",
    "ecn",
    "loss",
    "loss_correlation",
    "loss_gemodel",
    "loss_state",
    "loss_pattern",
    "duplicate",
    "duplicate_correlation",
    "corrupt",
    "corrupt_correlation",
    "to",
    "filter",
    "after",
    "for",
];
/// Keys that stand above the rules.
const OF_LINK: [&str; 7] = ["direction", "engine", "seed", "shape_neighbours", "fail_closed", "down", "mtu"];
/// Keys that no file has, and those that say which link, or say all of it.
const OWN: [&str; 5] = ["dev", "network", "rules", "policy", "keep"];
/// Keys whose values are numbers or truths in a file.
const LITERALS: [&str; 7] =
    ["keep_order", "reorder_gap", "seed", "shape_neighbours", "fail_closed", "down", "mtu"];

/// Labels that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such label.
    #[error("label `{PREFIX}{key}`: there is no such label; {advice}")]
    Unknown {
        /// What follows the prefix, shortened.
        key: String,
        /// The label that may be meant, or all there are.
        advice: String,
    },
    /// A label says what cannot be.
    #[error("label `{PREFIX}{key}`: {why}")]
    Value {
        /// What follows the prefix.
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The labels say what cannot be together.
    #[error("the labels do not fit together: {0}")]
    Together(String),
}

impl Error {
    fn value(key: &str, why: impl ToString) -> Self {
        Self::Value { key: key.to_owned(), why: why.to_string() }
    }

    fn together(why: impl Into<String>) -> Self {
        Self::Together(why.into())
    }
}

/// What labels ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Of which link.
    pub which: Which,
    /// The rules; as they are where nothing is said.
    pub file: Option<File>,
    /// The routing policy; as it is where nothing is said.
    pub policy: Option<Routing>,
}

/// Our labels, without their prefix.
fn ours(labels: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    labels.iter().filter_map(|(label, value)| Some((label.strip_prefix(PREFIX)?, value.as_str()))).collect()
}

impl Asked {
    /// Reads the labels of a container; `None` where none is ours.
    ///
    /// # Errors
    ///
    /// The first label that cannot be had.
    pub fn read(labels: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        let labels = ours(labels);
        if labels.is_empty() {
            return Ok(None);
        }
        for key in labels.keys() {
            known(key, &[&OF_RULE, &OF_LINK, &OWN])?;
        }
        let file = file(&labels)?;
        let asked = Self { which: which(&labels, file.as_ref())?, policy: policy(&labels)?, file };
        if asked.file.is_none() && asked.policy.is_none() {
            return Err(Error::together(
                "they ask for nothing: write a shape, such as `shaper.latency: 100ms`, or `shaper.policy`",
            ));
        }
        Ok(Some(asked))
    }

    /// What that is of the link `dev`; of the only one there is without.
    ///
    /// # Errors
    ///
    /// None of labels that were read.
    pub fn wanted(&self, dev: Option<String>) -> Result<Wanted, rules::Error> {
        let wanted = self.file.as_ref().map(Wanted::of_file).transpose()?.unwrap_or_default();
        Ok(Wanted { dev, policy: self.policy.clone(), ..wanted })
    }
}

/// The hosts and networks that the labels of an instance of Testground's keep in reach, which is all that labels can say of one.
///
/// # Errors
///
/// Another label, or what names no host.
pub fn keep_alone(labels: &BTreeMap<String, String>) -> Result<Vec<Keep>, Error> {
    let labels = ours(labels);
    for key in labels.keys() {
        known(key, &[&["keep"]])?;
    }
    keep(&labels)
}

fn known(key: &str, lists: &[&[&'static str]]) -> Result<(), Error> {
    let known = lists.concat();
    if known.contains(&key) {
        return Ok(());
    }
    let label = |key: &str| format!("`{PREFIX}{key}`");
    let advice = match suggest::nearest(key, &known) {
        Some(nearest) => format!("did you mean {}?", label(nearest)),
        None => format!("there are {}", crate::prose::list(known.iter().map(|key| label(key)))),
    };
    Err(Error::Unknown { key: quote(key), advice })
}

/// The rules, which one label says or many.
fn file(labels: &BTreeMap<&str, &str>) -> Result<Option<File>, Error> {
    let members = |keys: &[&str]| -> Map<String, Value> {
        let member = |key: &&str| Some(((*key).to_owned(), value(key, labels.get(*key)?)));
        keys.iter().filter_map(member).collect()
    };
    let (rule, mut document) = (members(&OF_RULE), members(&OF_LINK));
    if let Some(text) = labels.get("rules") {
        if let Some(key) = rule.keys().chain(document.keys()).next() {
            let why = format!("`{PREFIX}rules` says all that `{PREFIX}{key}` could: write it there");
            return Err(Error::Together(why));
        }
        let file = File::parse(text, Format::guess(text));
        return file.map(Some).map_err(|error| Error::value("rules", error));
    }
    if rule.is_empty() && document.is_empty() {
        return Ok(None);
    }
    if rule.is_empty() && !document.contains_key("mtu") && !document.contains_key("down") {
        return Err(Error::together("there is no shape: write one, such as `shaper.latency: 100ms`"));
    }
    let rules = if rule.is_empty() { Vec::new() } else { vec![Value::Object(rule)] };
    document.insert("rules".to_owned(), Value::Array(rules));
    let document = Document::parse(&Value::Object(document).to_string(), Format::Json);
    document.and_then(File::new).map(Some).map_err(|error| match error {
        file::Error::Value { path, message } => {
            Error::Value { key: path.trim_start_matches("rules[0].").to_owned(), why: message }
        }
        file::Error::Rule { error, .. } => Error::together(error.to_string()),
        other => Error::together(other.to_string()),
    })
}

/// A label's text as a value of JSON; what should be a number and is none is told by whoever reads the document.
fn value(key: &str, text: &str) -> Value {
    let literal = || match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        number => number.parse::<u64>().ok().filter(|_| !number.starts_with('+')).map(Value::from),
    };
    LITERALS.contains(&key).then(literal).flatten().unwrap_or_else(|| Value::from(text))
}

fn which(labels: &BTreeMap<&str, &str>, file: Option<&File>) -> Result<Which, Error> {
    let said = file.and_then(File::dev);
    match (labels.get("dev"), labels.get("network"), said) {
        (Some(dev), None, None) if is_link_name(dev) => Ok(Which::Dev((*dev).to_owned())),
        (Some(dev), None, None) => {
            Err(Error::value("dev", format!("`{}` cannot be the name of a link, such as `eth0`", quote(dev))))
        }
        (None, Some(network), None) => Ok(Which::Network((*network).to_owned())),
        (None, None, Some(dev)) => Ok(Which::Dev(dev.to_owned())),
        (None, None, None) => Ok(Which::Only),
        _ => Err(Error::together(
            "say which link once: with `shaper.dev`, `shaper.network`, or `dev` in `shaper.rules`",
        )),
    }
}

fn policy(labels: &BTreeMap<&str, &str>) -> Result<Option<Routing>, Error> {
    let keep = keep(labels)?;
    let policy = labels.get("policy").map(|text| Policy::from_name(text)).transpose();
    match policy.map_err(|error| Error::value("policy", error))? {
        Some(Policy::DenyAll) => Ok(Some(Routing::DenyAll { keep })),
        _ if labels.contains_key("keep") => {
            Err(Error::together("`shaper.keep` says what `shaper.policy: deny-all` leaves in reach"))
        }
        Some(Policy::AllowAll) => Ok(Some(Routing::AllowAll)),
        None => Ok(None),
    }
}

/// Hosts and networks, with commas or spaces between.
fn keep(labels: &BTreeMap<&str, &str>) -> Result<Vec<Keep>, Error> {
    let text = labels.get("keep").copied().unwrap_or_default();
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|error| Error::value("keep", error))).collect()
}

#[cfg(test)]
mod tests;
