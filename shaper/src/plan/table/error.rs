//! Why there is no table of some rules.

use shaper_common::lookup::CANDIDATES;

use super::{PORT_ENTRIES_MAX, RULES_MAX};

/// Rules of which there is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many rows.
    #[error("{count} rules are too many; {RULES_MAX} is the most")]
    Rules {
        /// How many there are.
        count: usize,
    },
    /// A row that cannot be: a mistake of the caller.
    #[error("the rule in slot {slot} cannot be: {what}")]
    Row {
        /// Its slot.
        slot: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two rows of one prefix, port and protocol: a mistake of the caller.
    #[error("the rules in slots {} and {} are for the same packets", .slots[0], .slots[1])]
    Duplicate {
        /// Their slots.
        slots: [u32; 2],
    },
    /// One packet may meet more rules than [`CANDIDATES`], because all but the last have a time limit.
    #[error(
        "a packet may meet the rules in slots {slots:?}, one after another as their time ends; {CANDIDATES} is the most"
    )]
    Timed {
        /// Their slots, in the order in which they are asked.
        slots: Vec<u32>,
    },
    /// More than [`PORT_ENTRIES_MAX`] entries for ports and protocols.
    #[error(
        "there are too many rules for ports or protocols under too many prefixes: each prefix whose own rules let other rules \
         take over repeats those around it, together more than {PORT_ENTRIES_MAX} times; name fewer ports, or give each prefix \
         a rule for all ports and protocols without a time limit"
    )]
    Ports,
}
