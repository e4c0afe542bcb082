//! The rules of one direction of a link.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Change, Error, RULES_MAX, Rule, To};

/// Rules by their destination, at most one for each and at most [`RULES_MAX`]; in the order of destinations, that for all peers
/// first.
///
/// ```
/// use shaper::rules::{Rule, RuleSet};
///
/// let rule = |text| serde_json::from_str::<Rule>(text).unwrap();
/// let old = RuleSet::new([rule(r#"{"latency":"10ms"}"#)]).unwrap();
/// let new = RuleSet::new([rule(r#"{"to":"10.0.0.5","filter":"drop"}"#)]).unwrap();
/// let lines: Vec<String> = new.diff(&old).iter().map(ToString::to_string).collect();
/// assert_eq!(lines, ["- --latency 10ms", "+ --to 10.0.0.5 --filter drop"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    rules: BTreeMap<Option<To>, Rule>,
}

impl RuleSet {
    /// The set of `rules`.
    ///
    /// # Errors
    ///
    /// When two of them are for the same destination, or there are too many.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, Error> {
        let mut set = Self::default();
        for rule in rules {
            set.add(rule)?;
        }
        Ok(set)
    }

    /// Puts a rule where none is for its destination.
    ///
    /// # Errors
    ///
    /// When there is one, or the set is full; the set is then as before.
    pub fn add(&mut self, rule: Rule) -> Result<(), Error> {
        let full = self.rules.len() >= RULES_MAX;
        match self.rules.entry(rule.to()) {
            Entry::Occupied(_) => Err(Error::Twice { to: rule.to() }),
            Entry::Vacant(_) if full => Err(Error::TooMany),
            Entry::Vacant(place) => {
                place.insert(rule);
                Ok(())
            }
        }
    }

    /// Puts a rule in, in place of the one for its destination, which is returned.
    ///
    /// # Errors
    ///
    /// When the set is full and has none for this destination; the set is then as before.
    pub fn insert(&mut self, rule: Rule) -> Result<Option<Rule>, Error> {
        if self.rules.len() >= RULES_MAX && !self.rules.contains_key(&rule.to()) {
            return Err(Error::TooMany);
        }
        Ok(self.rules.insert(rule.to(), rule))
    }

    /// Takes out the rule for a destination; `None` for all peers.
    pub fn remove(&mut self, to: &Option<To>) -> Option<Rule> {
        self.rules.remove(to)
    }

    /// The rule for a destination; `None` for all peers.
    #[must_use]
    pub fn get(&self, to: &Option<To>) -> Option<&Rule> {
        self.rules.get(to)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules in the order of their destinations, that for all peers first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.values()
    }

    /// What makes `old` this set, in the order of destinations.
    #[must_use]
    pub fn diff(&self, old: &Self) -> Vec<Change> {
        let added = self.iter().filter_map(|rule| match old.get(&rule.to()) {
            None => Some(Change::Added(*rule)),
            Some(from) => (from != rule).then_some(Change::Changed { from: *from, to: *rule }),
        });
        let removed = old.iter().filter(|rule| self.get(&rule.to()).is_none()).copied().map(Change::Removed);
        let mut changes: Vec<Change> = added.chain(removed).collect();
        changes.sort_by_key(Change::destination);
        changes
    }
}

impl IntoIterator for RuleSet {
    type Item = Rule;
    type IntoIter = std::collections::btree_map::IntoValues<Option<To>, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.rules.into_values()
    }
}
