//! The names of the filters.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shaper_common::filter::Filter;

use crate::shape::Named;

impl Named for Filter {
    const WHAT: &'static str = "a filter";
    const ALL: &'static [Self] = &Self::ALL;

    fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Reset => "reset",
        }
    }
}

/// A filter as serde reads it: its name.
pub(super) struct Name(pub(super) Filter);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        Named::from_name(&word).map(Self).map_err(serde::de::Error::custom)
    }
}

/// serde's `serialize_with` for an optional filter: its name.
pub(super) fn serialize<S: Serializer>(filter: &Option<Filter>, serializer: S) -> Result<S::Ok, S::Error> {
    filter.map(Named::name).serialize(serializer)
}
