//! From the rules that are in force and a wish to the rules that are to be in force, each in its slot.
//!
//! A slot is where a rule's state and counters are, and with `netem` the number of its class. A rule keeps its slot as long as
//! it is in the set, whatever becomes of it there; a new one takes a slot that no rule has, neither of the old set nor of the
//! new one, so that nobody writes into it while it is wiped.

use std::collections::{BTreeMap, BTreeSet};

use shaper_common::abi::{self, Counters, Direction, Entry, asked};
use shaper_common::filter::Filter;
use shaper_common::lookup::Search;

use super::table::{self, Row, Table};
use super::{Needs, rule};
use crate::rules::{Change, RULES_MAX, Rule, RuleSet, To};
use crate::shape::{self, Shape};

/// Slots of the smallest attachment: slot 0, and room for a few rules without a new set of maps.
const SLOTS_LEAST: u32 = 16;

/// Tables of delays that the rules of one direction may have: 2 MiB of the kernel's memory.
const TABLES_MAX: usize = 256;

/// What is to become of the rules of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// These, and no others.
    Whole(RuleSet),
    /// These, beside those for other peers.
    Put(RuleSet),
    /// All but the one for these peers.
    Remove(Option<To>),
    /// Those that are there.
    Keep,
}

/// Circumstances of a wish.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The direction.
    pub direction: Direction,
    /// Now, `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// The seed of rules that have none and are new.
    pub seed: u64,
}

/// A rule in its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slotted {
    /// The slot, above zero.
    pub slot: u32,
    /// What goes into the kernel; of a rule that stays as it is, what is there.
    pub entry: Entry,
    /// Its shape, if it has one.
    pub shape: Option<Shape>,
    /// What it was before in the same slot; `None` for a new rule.
    pub before: Option<Entry>,
}

impl Slotted {
    /// Whether the rule is there as it is to be.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.before == Some(self.entry)
    }
}

/// The rules of one direction, and the tables by which they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The rules by slot.
    pub rules: Vec<Slotted>,
    /// The tables.
    pub table: Table,
    /// Whether the tables are those that are there.
    pub has_same_table: bool,
    /// Rules that are no longer in the set.
    pub removed: Vec<(u32, Entry)>,
}

/// Why rules cannot be a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are too many.
    #[error("{rules} rules are too many: an instance has room for {RULES_MAX}; write shorter prefixes")]
    TooMany {
        /// How many.
        rules: usize,
    },
    /// They do not fit into tables.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// They have too many tables of delays.
    #[error(
        "{tables} different tables of delays are too many: the rules of a link have at most {TABLES_MAX}"
    )]
    TooManyTables {
        /// How many.
        tables: usize,
    },
}

/// Where an entry of a set comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    New(&'a Rule),
    Kept(&'a Entry),
}

impl Source<'_> {
    /// Whether the time of a rule that was there is over.
    fn is_over(self, now_ns: u64) -> bool {
        match self {
            Self::New(_) => false,
            Self::Kept(entry) => entry.rule.expires_ns != 0 && entry.rule.expires_ns <= now_ns,
        }
    }

    /// The entry; that of `before` where it says the same.
    fn entry(self, before: Option<&Entry>, circumstances: &Circumstances) -> Entry {
        let rule = match self {
            Self::Kept(entry) => return *entry,
            Self::New(rule) => rule,
        };
        let seed = before.map_or(circumstances.seed, |before| before.rule.seed);
        let entry = rule::of_rule(rule, circumstances.direction, seed, circumstances.now_ns);
        match before {
            Some(before) if rule::is_same(before, &entry) => *before,
            _ => entry,
        }
    }
}

impl Set {
    /// One rule for all peers, in slot 1.
    #[must_use]
    pub fn for_all_peers(rule: abi::Rule) -> Self {
        let mut search = Box::new(Search::default());
        for any in &mut search.any {
            any.rules[0] = 1;
        }
        let entry = Entry { rule, ..Entry::default() };
        Self {
            rules: vec![Slotted { slot: 1, entry, shape: None, before: None }],
            table: Table { search, prefixes: Vec::new(), ports: Vec::new() },
            has_same_table: false,
            removed: Vec::new(),
        }
    }

    /// What `wish` makes of the entries that are there.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn of(wish: &Wish, old: &[(u32, Entry)], circumstances: &Circumstances) -> Result<Self, Error> {
        let old_by_key: BTreeMap<_, _> =
            old.iter().map(|(slot, entry)| (rule::key(&entry.asked), (*slot, entry))).collect();
        let mut wanted: BTreeMap<_, Source<'_>> = BTreeMap::new();
        let key_of = |rule: &Rule| rule::key(&rule::asked_of(rule.to()));
        let kept = old_by_key.iter().map(|(key, (_, entry))| (*key, Source::Kept(entry)));
        match wish {
            Wish::Whole(rules) => wanted.extend(rules.iter().map(|rule| (key_of(rule), Source::New(rule)))),
            Wish::Put(rules) => {
                let now_ns = circumstances.now_ns;
                wanted.extend(kept.filter(|(_, source)| !source.is_over(now_ns)));
                wanted.extend(rules.iter().map(|rule| (key_of(rule), Source::New(rule))));
            }
            Wish::Keep => wanted.extend(kept),
            Wish::Remove(to) => {
                let key = rule::key(&rule::asked_of(*to));
                wanted.extend(kept.filter(|(other, _)| *other != key));
            }
        }
        if wanted.len() > RULES_MAX {
            return Err(Error::TooMany { rules: wanted.len() });
        }
        let mut taken: BTreeSet<u32> = old.iter().map(|(slot, _)| *slot).collect();
        let mut next = 1;
        let mut rules: Vec<Slotted> = Vec::with_capacity(wanted.len());
        for (key, source) in &wanted {
            let before = old_by_key.get(key).map(|(slot, before)| (*slot, **before));
            let entry = source.entry(before.as_ref().map(|(_, before)| before), circumstances);
            let slot = before.map_or_else(
                || {
                    while !taken.insert(next) {
                        next += 1;
                    }
                    next
                },
                |(slot, _)| slot,
            );
            let shape = rule::shape_of(&entry);
            rules.push(Slotted { slot, entry, shape, before: before.map(|(_, before)| before) });
        }
        rules.sort_by_key(|rule| rule.slot);
        let rows: Vec<Row> = rules.iter().map(|rule| row(rule.slot, &rule.entry)).collect();
        let mut old_rows: Vec<Row> = old.iter().map(|(slot, entry)| row(*slot, entry)).collect();
        old_rows.sort_by_key(|row| row.slot);
        let has_same_table = rows == old_rows;
        let table = table::build(&rows)?;
        let removed = old_by_key.into_iter().filter(|(key, _)| !wanted.contains_key(key));
        let removed = removed.map(|(_, (slot, entry))| (slot, *entry)).collect();
        let set = Self { rules, table, has_same_table, removed };
        match set.tables().len() {
            tables if tables > TABLES_MAX => Err(Error::TooManyTables { tables }),
            _ => Ok(set),
        }
    }

    /// The different tables of delays that the rules have.
    #[must_use]
    pub fn tables(&self) -> Vec<&'static shape::Table> {
        let numbers: BTreeSet<u32> =
            self.rules.iter().filter_map(|rule| rule::table_of(&rule.entry.rule)).collect();
        numbers.into_iter().filter_map(shape::Table::numbered).collect()
    }

    /// Whether everything is there as it is to be.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.removed.is_empty() && self.rules.iter().all(Slotted::is_unchanged)
    }

    /// Lets counts and packets' numbers begin at zero, as they do in maps that are new.
    pub fn begin_at_zero(&mut self) {
        for Slotted { entry, .. } in &mut self.rules {
            entry.rule.first_index = 0;
            entry.asked.before = Counters::default();
        }
    }

    /// The rule that alone has to be written where everything else stays: one map write, which is seen as a whole. A rule with a table
    /// of delays is none, for the maps that are there may not have it.
    #[must_use]
    pub fn only_change(&self) -> Option<&Slotted> {
        let mut changed = self.rules.iter().filter(|rule| !rule.is_unchanged());
        let first = changed.next()?;
        let has_table = rule::table_of(&first.entry.rule).is_some();
        (self.has_same_table && !has_table && changed.next().is_none()).then_some(first)
    }

    /// What makes this set of the one that is there, with the times that are left at `now_ns`.
    #[must_use]
    pub fn changes(&self, now_ns: u64) -> Vec<Change> {
        let told = |entry: &Entry| rule::to_rule(entry, now_ns);
        let removed = self.removed.iter().filter_map(|(_, entry)| told(entry).map(Change::Removed));
        let others = self.rules.iter().filter(|rule| !rule.is_unchanged()).filter_map(|rule| {
            let to = told(&rule.entry)?;
            Some(match rule.before.as_ref().and_then(told) {
                Some(from) => Change::Changed { from, to },
                None => Change::Added(to),
            })
        });
        let mut changes: Vec<Change> = removed.chain(others).collect();
        changes.sort_by_key(Change::destination);
        changes
    }

    /// What the rules ask for, taken together.
    #[must_use]
    pub fn needs(&self, shape_neighbours: bool) -> Needs {
        let shapes = self.rules.iter().filter_map(|rule| rule.shape).collect();
        Needs { shapes, rules: self.rules.len(), shape_neighbours }
    }

    /// Whether some packets are answered instead of shaped.
    #[must_use]
    pub fn answers(&self) -> bool {
        let answers = [Filter::Reject as u32, Filter::Reset as u32];
        self.rules.iter().any(|rule| answers.contains(&rule.entry.rule.filter))
    }

    /// Slots that there have to be, slot 0 included; some more, so that a rule more does not take new maps.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let last = self.rules.iter().map(|rule| rule.slot).max().unwrap_or(0);
        (last + 1).next_power_of_two().max(SLOTS_LEAST)
    }
}

fn row(slot: u32, entry: &Entry) -> Row {
    let asked = &entry.asked;
    Row {
        prefix: (asked.flags & asked::PREFIX != 0).then_some(asked.prefix),
        port: asked.port,
        protocol: (asked.flags & asked::PROTOCOL != 0).then_some(asked.protocol),
        slot,
        is_timed: entry.rule.expires_ns != 0,
    }
}
