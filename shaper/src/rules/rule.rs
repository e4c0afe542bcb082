//! What is to happen to the packets of some peers.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use shaper_common::filter::Filter;

use super::split::{Own, Split, fill};
use super::{Error, TIME_LIMIT_MAX, TIME_LIMIT_MIN, To, filter};
use crate::shape::{self, Named as _, Parts, Shape};
use crate::units::Delay;

/// What a user says of a rule, each part or nothing; [`Rule::new`] checks that they fit together.
///
/// In JSON the parts of the shape stand beside the others: `{"to":"10.0.0.5","for":"30s","latency":"10ms"}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleParts {
    /// The peers; all of them when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<To>,
    /// What becomes of their packets; [`Filter::Accept`] when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "filter::serialize")]
    pub filter: Option<Filter>,
    /// The filter begins so much later than the rule; at once when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Delay>,
    /// The rule ends after this time; never when nothing is said. `for` in JSON.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Delay>,
    /// The shape, which may be nothing at all.
    #[serde(flatten)]
    pub shape: Parts,
}

impl RuleParts {
    /// The keys that a rule has beside those of its shape.
    pub(super) const KEYS: [&str; 4] = ["to", "filter", "after", "for"];
}

/// A shape, a filter, both after each other, or neither for some peers.
///
/// In JSON a rule is its [`RuleParts`].
///
/// ```
/// use shaper::rules::{Filter, Rule};
///
/// let rule: Rule = serde_json::from_str(r#"{"to":"10.0.0.5","filter":"drop","after":"10s","latency":"10ms"}"#).unwrap();
/// assert_eq!((rule.filter(), rule.shape().is_some()), (Filter::Drop, true));
/// assert_eq!(rule.flags().join(" "), "--to 10.0.0.5 --filter drop --after 10s --latency 10ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleParts", into = "RuleParts")]
pub struct Rule {
    to: Option<To>,
    shape: Option<Shape>,
    filter: Filter,
    after: Option<Delay>,
    time_limit: Option<Delay>,
}

impl Rule {
    /// Checks `parts`.
    ///
    /// A rule for some peers that neither shapes nor filters lets them alone, whatever rules with shorter prefixes say; for all
    /// peers it would do nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the shape, and [`shape::Error::Nothing`] or [`shape::Error::OnlyZero`] for a rule that does nothing; a
    /// time that is out of range or acts on nothing; a shape that no packet would reach.
    pub fn new(parts: RuleParts) -> Result<Self, Error> {
        let RuleParts { to, filter, after, time_limit, shape } = parts;
        let filter = filter.unwrap_or_default();
        let shape = match Shape::new(shape) {
            Ok(shape) => Some(shape),
            Err(shape::Error::Nothing | shape::Error::OnlyZero { .. })
                if to.is_some() || filter != Filter::Accept =>
            {
                None
            }
            Err(e) => return Err(e.into()),
        };
        if let Some(after) = after {
            if filter == Filter::Accept {
                return Err(Error::AfterWithoutFilter { after });
            }
            in_range("after", after)?;
        }
        if let Some(limit) = time_limit {
            in_range("for", limit)?;
            if let Some(after) = after
                && after >= limit
            {
                return Err(Error::AfterTheEnd { after, limit });
            }
        }
        if shape.is_some() && after.is_none() && matches!(filter, Filter::Drop | Filter::Reject) {
            return Err(Error::ShapeBehindFilter { filter });
        }
        Ok(Self { to, shape, filter, after, time_limit })
    }

    /// The peers; `None` for all.
    #[must_use]
    pub fn to(&self) -> Option<To> {
        self.to
    }

    /// What shapes their packets; `None` for nothing.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// What becomes of their packets.
    #[must_use]
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// How long after the rule the filter begins; `None` for at once, not zero.
    #[must_use]
    pub fn after(&self) -> Option<Delay> {
        self.after
    }

    /// How long the rule lasts; `None` for ever.
    #[must_use]
    pub fn time_limit(&self) -> Option<Delay> {
        self.time_limit
    }

    /// Says whether the rule lets its peers alone.
    #[must_use]
    pub fn lets_alone(&self) -> bool {
        self.shape.is_none() && self.filter == Filter::Accept
    }

    /// The flags of `shaper apply` that say this rule, each word by itself.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let own = [
            ("--to", self.to.map(|to| to.to_string())),
            ("--filter", (self.filter != Filter::Accept).then(|| self.filter.name().to_owned())),
            ("--after", self.after.map(|after| after.to_string())),
            ("--for", self.time_limit.map(|limit| limit.to_string())),
        ];
        let own = own.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten();
        own.chain(self.shape.map(|shape| Parts::from(shape).flags()).unwrap_or_default()).collect()
    }
}

/// Checks a time of a rule, which `what` names.
fn in_range(what: &'static str, time: Delay) -> Result<(), Error> {
    let legal = (TIME_LIMIT_MIN..=TIME_LIMIT_MAX).contains(&time);
    legal.then_some(()).ok_or(Error::TimeOutOfRange { what, time })
}

impl TryFrom<RuleParts> for Rule {
    type Error = Error;

    fn try_from(parts: RuleParts) -> Result<Self, Error> {
        Self::new(parts)
    }
}

impl From<Rule> for RuleParts {
    fn from(rule: Rule) -> Self {
        Self {
            to: rule.to,
            filter: (rule.filter != Filter::Accept).then_some(rule.filter),
            after: rule.after,
            time_limit: rule.time_limit,
            shape: rule.shape.map(Parts::from).unwrap_or_default(),
        }
    }
}

/// The parts that are not the shape's, as far as they were read.
#[derive(Default)]
struct OwnParts {
    to: Option<Option<To>>,
    filter: Option<Option<filter::Name>>,
    after: Option<Option<Delay>>,
    time_limit: Option<Option<Delay>>,
}

impl Own for OwnParts {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "to" => fill(&mut self.to, "to", map),
            "filter" => fill(&mut self.filter, "filter", map),
            "after" => fill(&mut self.after, "after", map),
            "for" => fill(&mut self.time_limit, "for", map),
            _ => Ok(false),
        }
    }
}

/// Reads a rule's parts from a map.
pub(super) fn read<'de, A: MapAccess<'de>>(map: A) -> Result<RuleParts, A::Error> {
    let mut own = OwnParts::default();
    let shape = Parts::deserialize(MapAccessDeserializer::new(Split::new(map, &mut own)))?;
    Ok(RuleParts {
        to: own.to.flatten(),
        filter: own.filter.flatten().map(|filter::Name(filter)| filter),
        after: own.after.flatten(),
        time_limit: own.time_limit.flatten(),
        shape,
    })
}

impl<'de> Deserialize<'de> for RuleParts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = RuleParts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleParts, A::Error> {
                read(map)
            }
        }

        deserializer.deserialize_map(Map)
    }
}
