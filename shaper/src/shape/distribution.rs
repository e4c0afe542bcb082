//! The names of the jitter distributions, as netem spells them.

use shaper_common::jitter::Distribution;

use super::named::Named;

impl Named for Distribution {
    const WHAT: &'static str = "a distribution";
    const ALL: &'static [Self] = &[Self::Uniform, Self::Normal, Self::Pareto, Self::ParetoNormal];

    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
        }
    }
}

/// serde's `with` for an optional distribution: its name.
pub(super) mod name {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::{Distribution, Named};

    pub(in crate::shape) fn serialize<S: Serializer>(
        distribution: &Option<Distribution>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        distribution.map(Named::name).serialize(serializer)
    }

    pub(in crate::shape) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Distribution>, D::Error> {
        let word = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        word.map(|word| Named::from_name(&word)).transpose().map_err(de::Error::custom)
    }
}
