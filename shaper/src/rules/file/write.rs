//! From a document to a text.

use std::fmt::Write as _;

use super::node::Node;
use super::{Document, Format, json};

/// Writes a document.
pub(super) fn text(document: &Document, format: Format) -> String {
    // A document is texts, numbers and booleans under keys that are texts: serialising that cannot fail.
    let json = match format {
        Format::Json => serde_json::to_string_pretty(document),
        Format::Toml | Format::Yaml => serde_json::to_string(document),
    };
    let json = json.unwrap_or_default();
    match (format, json::read(&json)) {
        (Format::Toml, Ok(Node::Table(members))) => toml(&members),
        (Format::Yaml, Ok(Node::Table(members))) => yaml(&members),
        _ => json + "\n",
    }
}

type Members<'t> = [(std::borrow::Cow<'t, str>, Node<'t>)];

/// Rules are tables of their own, each behind an empty line.
fn toml(members: &Members<'_>) -> String {
    let mut text = String::new();
    for (key, value) in members {
        match value {
            Node::List(tables) if !tables.is_empty() => {
                for table in tables {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    let _ = writeln!(text, "[[{key}]]");
                    for (key, value) in table.members() {
                        let _ = writeln!(text, "{key} = {}", scalar(value));
                    }
                }
            }
            value => {
                let _ = writeln!(text, "{key} = {}", scalar(value));
            }
        }
    }
    text
}

/// Rules are a list, each member on a line of its own.
fn yaml(members: &Members<'_>) -> String {
    let mut text = String::new();
    for (key, value) in members {
        match value {
            Node::List(tables) if !tables.is_empty() => {
                let _ = writeln!(text, "{key}:");
                for table in tables {
                    let mut lead = '-';
                    for (key, value) in table.members() {
                        let _ = writeln!(text, "{lead} {key}: {}", scalar(value));
                        lead = ' ';
                    }
                    if lead == '-' {
                        text.push_str("- {}\n");
                    }
                }
            }
            value => {
                let _ = writeln!(text, "{key}: {}", scalar(value));
            }
        }
    }
    text
}

impl<'t> Node<'t> {
    fn members(&self) -> &Members<'t> {
        match self {
            Node::Table(members) => members,
            _ => &[],
        }
    }
}

/// A value that TOML and YAML write in the same way.
fn scalar(value: &Node<'_>) -> String {
    match value {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Unsigned(value) => value.to_string(),
        Node::Signed(value) => value.to_string(),
        Node::Float(value) => value.to_string(),
        Node::Text(text) => quoted(text),
        Node::List(_) => "[]".to_owned(),
        Node::Table(_) => "{}".to_owned(),
    }
}

/// A text in double quotes, which are the same in TOML and YAML as far as they are used here.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
