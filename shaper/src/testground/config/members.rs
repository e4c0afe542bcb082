//! The members of a JSON object, as Go's decoder finds and takes them.

use serde_json::{Number, Value};

use super::Error;
use crate::netlink::Family;
use crate::units::quote;
use crate::wanted::Address;

/// Members by key, and where they are.
pub(super) struct Members<'a> {
    /// Those that are not null, in the order of their keys.
    members: Vec<(&'a str, &'a Value)>,
    place: String,
}

impl<'a> Members<'a> {
    /// Those of `value`; none of null.
    pub(super) fn of(value: &'a Value, place: String) -> Result<Self, Error> {
        let mut members = match value {
            Value::Null => Vec::new(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.as_str(), value)).collect(),
            other => return Err(wrong(place, other, "an object, such as {}")),
        };
        members.retain(|(_, value)| !value.is_null());
        // Of keys that differ in case only, the sync service sends the one in small letters last, and the last one counts.
        members.sort_by_key(|(key, _)| *key);
        Ok(Self { members, place })
    }

    /// Where the value of `key` is.
    pub(super) fn path(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// Whether there is such a key, in either case.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<&'a Value> {
        let mut members = self.members.iter().rev();
        members.find(|(found, _)| found.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }

    fn take<T: Default>(
        &self,
        key: &str,
        legal: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, Error> {
        let Some(value) = self.find(key) else { return Ok(T::default()) };
        read(value).ok_or_else(|| wrong(self.path(key), value, legal))
    }

    pub(super) fn text(&self, key: &str) -> Result<String, Error> {
        self.take(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn address(&self, key: &str, family: Family) -> Result<Option<Address>, Error> {
        let legal = match family {
            Family::V4 => {
                "an IPv4 address with the length of its network, such as \"16.0.1.1/16\", or null for the one it has"
            }
            Family::V6 => {
                "an IPv6 address with the length of its network, such as \"fd00::7/64\", or null for the one it has"
            }
        };
        let is_of_family = |address: &Address| Family::of(address.address) == family;
        self.take(key, legal, |value| value.as_str()?.parse().ok().filter(is_of_family).map(Some))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Error> {
        self.take(key, "true or false", Value::as_bool)
    }

    pub(super) fn object(&self, key: &str) -> Result<Self, Error> {
        Members::of(self.find(key).unwrap_or(&Value::Null), self.path(key))
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], Error> {
        self.take(key, "a list, such as []", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn signed(&self, key: &str, legal: &'static str) -> Result<i64, Error> {
        self.take(key, legal, |value| {
            let whole = whole(value.as_number()?)?;
            Some(i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX }))
        })
    }

    pub(super) fn unsigned(&self, key: &str) -> Result<u64, Error> {
        self.take(key, "a whole number of bits per second, such as 1048576, or 0 for no limit", |value| {
            let whole = whole(value.as_number()?)?;
            (whole >= 0).then(|| u64::try_from(whole).unwrap_or(u64::MAX))
        })
    }

    /// Nothing for what is no number of that kind, either.
    pub(super) fn optional_number(&self, key: &str) -> Option<u64> {
        u64::try_from(whole(self.find(key)?.as_number()?)?).ok()
    }

    pub(super) fn percentage(&self, key: &str) -> Result<f64, Error> {
        self.take(key, "a number from 0 to 100, such as 0.1", Value::as_f64)
    }
}

/// The whole number that this is, or the nearest that there is beyond 2^127.
fn whole(number: &Number) -> Option<i128> {
    let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    integer.or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i128))
}

fn wrong(key: String, value: &Value, legal: &'static str) -> Error {
    Error::Value { key, value: quote(&value.to_string()), legal }
}
