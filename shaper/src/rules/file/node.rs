//! What all three formats are read to: texts, numbers, lists and tables.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_MAX, TEXT_MAX, VALUES_MAX};

/// What is said of a document deeper than [`DEPTH_MAX`].
pub(super) const TOO_DEEP: &str = "lists and tables are nested too deeply for a file of rules";
/// What is said of a document with more than [`VALUES_MAX`].
pub(super) const TOO_MANY: &str = "there are more values than a file of rules can have";

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'t> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Table(Vec<(Cow<'t, str>, Node<'t>)>),
}

impl<'t> Node<'t> {
    /// Reads a value, unless it is too deep or has too many others inside.
    pub(super) fn read<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        Place { depth: 0, values: &Cell::new(VALUES_MAX), bytes: &Cell::new(TEXT_MAX) }
            .deserialize(deserializer)
    }
}

/// Where the next value goes.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Lists and tables around it.
    depth: u32,
    /// How many more values may come.
    values: &'a Cell<usize>,
    /// How many more bytes their texts may have: an alias of YAML repeats texts.
    bytes: &'a Cell<usize>,
}

impl Place<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count<E: Error>(left: &Cell<usize>, more: usize) -> Result<(), E> {
        let rest = left.get().checked_sub(more);
        left.set(rest.ok_or_else(|| E::custom(TOO_MANY))?);
        Ok(())
    }

    fn text<'t, E: Error>(self, text: Cow<'t, str>) -> Result<Node<'t>, E> {
        Self::count(self.bytes, text.len())?;
        Ok(Node::Text(text))
    }
}

impl<'t> DeserializeSeed<'t> for Place<'_> {
    type Value = Node<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        Self::count(self.values, 1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Place<'_> {
    type Value = Node<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number from -2^63 to 2^64 - 1, `true`, `false`, a list or a table")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'t>, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node<'t>, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'t>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'t>, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'t>, E> {
        Ok(u64::try_from(value).map_or(Node::Signed(value), Node::Unsigned))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'t>, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'t>, E> {
        self.text(text.to_owned().into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Node<'t>, E> {
        self.text(text.into())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Node<'t>, E> {
        self.text(text.into())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Node<'t>, A::Error> {
        let inside = self.inside()?;
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(inside)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Node<'t>, A::Error> {
        let inside = self.inside()?;
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            members.push((key, map.next_value_seed(inside)?));
        }
        Ok(Node::Table(members))
    }
}

/// Reads a key; serde's own `Cow` never borrows.
struct Key;

impl<'t> DeserializeSeed<'t> for Key {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Cow<'t, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Key {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'t, str>, E> {
        Ok(key.to_owned().into())
    }

    fn visit_string<E: Error>(self, key: String) -> Result<Cow<'t, str>, E> {
        Ok(key.into())
    }

    fn visit_borrowed_str<E: Error>(self, key: &'t str) -> Result<Cow<'t, str>, E> {
        Ok(key.into())
    }
}
