//! What a prefix's rules become with those around it, and which prefixes share their part of the ports' hash.

use std::collections::HashMap;
use std::rc::Rc;

use shaper_common::lookup::{Candidates, Match, PortKey};

use super::own::{Chain, Own, named};
use super::{Error, PORT_ENTRIES_MAX};

/// A protocol and port (zero: all that are not named), and the rules for it.
type Entry = ((u8, u16), Candidates);

/// The classes so far: lists of entries, sorted, none of which says what would be found without it.
#[derive(Debug)]
pub(super) struct Classes<'a> {
    /// By class; that of zero is empty.
    lists: Vec<Rc<[Entry]>>,
    by_list: HashMap<Rc<[Entry]>, u32>,
    /// What the same rules became in the same surroundings.
    known: HashMap<(u32, Candidates, &'a [Own]), Match>,
    /// Entries of all lists made so far, shared or not: what bounds the work.
    made: usize,
}

impl Default for Classes<'_> {
    fn default() -> Self {
        let none: Rc<[Entry]> = Rc::from([]);
        let by_list = HashMap::from([(Rc::clone(&none), 0)]);
        Self { lists: vec![none], by_list, known: HashMap::new(), made: 0 }
    }
}

impl<'a> Classes<'a> {
    /// What is known of the peers of a prefix with rules of its own, sorted, of whom `around` is known without them.
    pub(super) fn over(&mut self, around: Match, own: &'a [Own]) -> Result<Match, Error> {
        let chain = Chain::of_all(own);
        let rules = chain.before(around.rules)?;
        let named_none = own.iter().all(|rule| rule.what() == (0, None));
        if named_none && (chain.ends || around.class == 0) {
            return Ok(Match { class: 0, rules });
        }
        let key = (around.class, around.rules, own);
        if let Some(found) = self.known.get(&key) {
            return Ok(*found);
        }
        let list = self.list(around, own, rules)?;
        self.made += list.len();
        if self.made > PORT_ENTRIES_MAX {
            return Err(Error::Ports);
        }
        let found = Match { class: self.class(list), rules };
        self.known.insert(key, found);
        Ok(found)
    }

    /// The entries of a prefix in which `rules` are for what has none. The work is in proportion to the entries, the prefix's own
    /// rules and the protocols around.
    fn list(&self, around: Match, own: &[Own], rules: Candidates) -> Result<Vec<Entry>, Error> {
        let named = named(own);
        let list = &self.lists[around.class as usize];
        let mut entries = Vec::new();
        for (protocol, port) in &named {
            let behind = found(list, *protocol, *port).unwrap_or(around.rules);
            entries.push(((*protocol, *port), Chain::of(own, *protocol, *port).before(behind)?));
        }
        let mut rest = &list[..];
        while let Some(((protocol, _), _)) = rest.first() {
            let (of_protocol, behind) =
                rest.split_at(rest.partition_point(|((other, _), _)| other <= protocol));
            rest = behind;
            let chain = Chain::of(own, *protocol, 0);
            if chain.ends {
                continue;
            }
            for (what, rules) in of_protocol {
                if named.binary_search(what).is_err() {
                    entries.push((*what, chain.before(*rules)?));
                }
            }
        }
        entries.sort_unstable();
        let (mut protocol, mut of_protocol) = (None, rules);
        entries.retain(|((other, port), found)| {
            if protocol.replace(*other) != Some(*other) {
                of_protocol = rules;
            }
            let says_more = *found != of_protocol;
            if *port == 0 {
                of_protocol = *found;
            }
            says_more
        });
        Ok(entries)
    }

    fn class(&mut self, list: Vec<Entry>) -> u32 {
        if let Some(class) = self.by_list.get(&list[..]) {
            return *class;
        }
        // At most one for each row.
        let class = self.lists.len() as u32;
        let list: Rc<[Entry]> = list.into();
        self.lists.push(Rc::clone(&list));
        self.by_list.insert(list, class);
        class
    }

    /// The ports' hash, sorted.
    pub(super) fn into_ports(self) -> Vec<(PortKey, Candidates)> {
        let mut ports = Vec::with_capacity(self.lists.iter().map(|list| list.len()).sum());
        for (class, list) in (0..).zip(&self.lists) {
            let start = ports.len();
            ports.extend(list.iter().map(|((protocol, port), rules)| {
                (PortKey { class, port: *port, protocol: *protocol, reserved: 0 }, *rules)
            }));
            ports[start..].sort_unstable();
        }
        ports
    }
}

/// The rules of a class for a protocol and a port, if it has any.
fn found(list: &[Entry], protocol: u8, port: u16) -> Option<Candidates> {
    let at = |port| list.binary_search_by_key(&(protocol, port), |(what, _)| *what).ok();
    at(port).or_else(|| at(0)).map(|at| list[at].1)
}
