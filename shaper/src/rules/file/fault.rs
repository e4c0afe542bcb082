//! From nodes to what serde makes of them, with the path of whatever is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::node::Node;
use crate::units::quote;

/// The longest message, in characters: what a file holds may be repeated in it.
const MESSAGE_CHARS: usize = 800;

/// What is wrong with a document.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where, the innermost step first.
    path: Vec<Step>,
    pub(super) problem: Problem,
}

#[derive(Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
pub(super) enum Problem {
    /// A key that is not among `known`.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// What is wrong with the value, in words.
    Value(String),
}

impl Fault {
    /// The path of the value, such as `rules[3].latency`, and of `key` in it; empty for the document itself.
    pub(super) fn path(&self, key: Option<&str>) -> String {
        let mut path = String::new();
        let inner = key.map(|key| Step::Key(quote(key)));
        for step in self.path.iter().rev().chain(&inner) {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Says whether the fault is in an element of a list.
    pub(super) fn in_list(&self) -> bool {
        self.path.iter().any(|step| matches!(step, Step::Index(_)))
    }

    /// The same, where the value is in another one.
    pub(super) fn within(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    fn value(message: &str) -> Self {
        Self { path: Vec::new(), problem: Problem::Value(tidy(message)) }
    }
}

/// `message` on one line, and not without end.
pub(super) fn tidy(message: &str) -> String {
    let mut tidy = String::new();
    for (nth, c) in message.trim().chars().enumerate() {
        match c {
            _ if nth == MESSAGE_CHARS => {
                tidy.push('…');
                break;
            }
            '\n' => tidy.push_str(", "),
            c if c.is_control() => tidy.extend(c.escape_default()),
            c => tidy.push(c),
        }
    }
    tidy
}

/// `found` in words, and in short.
fn found(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("the text `{}`", quote(text)),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => {
            found.to_string().replacen("integer", "the number", 1).replacen("floating point", "the number", 1)
        }
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// serde's word for what should be there, in ours.
fn wanted(wanted: &dyn Expected) -> String {
    match wanted.to_string().as_str() {
        "u64" => format!("a whole number from 0 to {}", u64::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        other => other.to_owned(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::UnknownKey { key, .. } => write!(f, "{}: unknown key", self.path(Some(key))),
            Problem::Value(message) => write!(f, "{}: {message}", self.path(None)),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::value(&message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::value(&format!("{} is here: write {}", found(unexpected), wanted(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self { path: Vec::new(), problem: Problem::UnknownKey { key: key.to_owned(), known } }
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::value(&format!("`{key}` is given twice: give it once"))
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A member of a table, or an element of a list, whose faults are told with `step`.
struct Within<'de> {
    step: Step,
    node: Node<'de>,
}

impl<'de> IntoDeserializer<'de, Fault> for Within<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Within<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.node.deserialize_any(visitor).map_err(|fault| fault.within(self.step))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.node.deserialize_option(visitor).map_err(|fault| fault.within(self.step))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Self::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Self::List(nodes) => {
                let within = |(index, node)| Within { step: Step::Index(index), node };
                visitor.visit_seq(SeqDeserializer::new(nodes.into_iter().enumerate().map(within)))
            }
            Self::Table(members) => {
                let within = |(key, node): (Cow<'de, str>, _)| {
                    let step = Step::Key(quote(&key));
                    (key, Within { step, node })
                };
                visitor.visit_map(MapDeserializer::new(members.into_iter().map(within)))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_none(),
            node => visitor.visit_some(node),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}
