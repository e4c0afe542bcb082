//! Choices that users name by a word.

/// A closed set of values, each with the word that names it in flags and in JSON.
pub trait Named: Copy + Sized + 'static {
    /// What a value is, with its article: "a direction".
    const WHAT: &'static str;
    /// Every value, in the order to list them in.
    const ALL: &'static [Self];

    /// The word for this value, in lower case.
    fn name(self) -> &'static str;

    /// The value that `word` names, in either case.
    ///
    /// # Errors
    ///
    /// When `word` names none; the error lists those there are.
    fn from_name(word: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().find(|value| value.name().eq_ignore_ascii_case(word));
        found.copied().ok_or_else(|| UnknownName {
            word: word.to_owned(),
            what: Self::WHAT,
            names: Self::ALL.iter().map(|value| format!("`{}`", value.name())).collect::<Vec<_>>().join(", "),
        })
    }
}

/// A word that names no value of the set; lists the words that do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not {what}: write one of {names}")]
pub struct UnknownName {
    word: String,
    what: &'static str,
    names: String,
}

/// Implements `Display`, `FromStr` and serde's traits by [`Named`].
macro_rules! text_by_name {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(crate::shape::Named::name(*self))
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::shape::UnknownName;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                crate::shape::Named::from_name(word)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(crate::shape::Named::name(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                crate::shape::Named::from_name(&word).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use text_by_name;
