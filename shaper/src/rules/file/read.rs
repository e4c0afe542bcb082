//! From a text to a document.

use serde::Deserialize as _;

use super::fault::{Fault, Problem};
use super::node::Node;
use super::{Document, Entry, Error, Files, Format, TEXT_MAX, json, suggest, toml, yaml};
use crate::shape::{Measured, distribution};
use crate::units::quote;

/// Reads a document.
pub(super) fn document(text: &str, format: Format, files: &mut Files<'_>) -> Result<Document, Error> {
    let mut node = node(text, format)?;
    // serde takes a list for a struct whose fields have no names.
    if !matches!(node, Node::Table(_)) {
        return Err(Error::NotATable);
    }
    super::distribution::resolve(&mut node, files).map_err(error)?;
    Document::deserialize(node).map_err(error)
}

/// For those who read a text alone: no name is that of a file.
pub(super) fn no_files(name: &str) -> Result<Measured, String> {
    Err(distribution::Error::File { name: quote(name) }.to_string())
}

/// Says whether `text` is keys and values in `format`.
pub(super) fn is_table(text: &str, format: Format) -> bool {
    matches!(node(text, format), Ok(Node::Table(_)))
}

fn node(text: &str, format: Format) -> Result<Node<'_>, Error> {
    if text.len() > TEXT_MAX {
        return Err(Error::TooLong { length: text.len() });
    }
    // Editors put the mark of the byte order in front; it is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Toml => toml::read(text),
        Format::Yaml => yaml::read(text),
        Format::Json => json::read(text),
    }
}

fn error(fault: Fault) -> Error {
    match &fault.problem {
        Problem::UnknownKey { key, known } => {
            let mut keys = known.to_vec();
            if fault.in_list() {
                keys.splice(0..0, Entry::keys());
            }
            Error::UnknownKey { path: fault.path(Some(key)), advice: suggest::advice(key, &keys) }
        }
        Problem::Value(message) => {
            let path = fault.path(None);
            let path = if path.is_empty() { "the file".to_owned() } else { path };
            Error::Value { path, message: message.clone() }
        }
    }
}

/// Line and column of the character at byte `at` of `text`, both from 1.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let begin = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    // Each character has one byte that does not continue another.
    let column = before[begin..].iter().filter(|b| **b & 0xc0 != 0x80).count() + 1;
    (line, column)
}
