//! serde's structs of which one continues another: serde's own `flatten` keeps every value until the end, forgets where it was,
//! and cannot refuse unknown keys.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess};

/// The keys of a map that are not those of the struct behind it.
pub(super) trait Own: Default {
    /// Takes the value of `key` from `map`; `false` when the key is not one of them.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// A map without the keys of `O`, which go there as they come.
pub(super) struct Split<'a, A, O> {
    map: A,
    own: &'a mut O,
}

impl<'a, A, O> Split<'a, A, O> {
    /// Whoever reads this map gets what is not for `own`.
    pub(super) fn new(map: A, own: &'a mut O) -> Self {
        Self { map, own }
    }
}

impl<'de, A: MapAccess<'de>, O: Own> MapAccess<'de> for Split<'_, A, O> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<Cow<'de, str>>()? {
            if !self.own.take(&key, &mut self.map)? {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Puts the next value of `map` into `place`, which is that of `key`.
pub(super) fn fill<'de, T, A>(
    place: &mut Option<Option<T>>,
    key: &'static str,
    map: &mut A,
) -> Result<bool, A::Error>
where
    T: serde::Deserialize<'de>,
    A: MapAccess<'de>,
{
    if place.is_some() {
        return Err(A::Error::duplicate_field(key));
    }
    *place = Some(map.next_value()?);
    Ok(true)
}
