//! The rules of one prefix, without those around it.

use shaper_common::lookup::{CANDIDATES, Candidates, PORTED};

use super::{Error, Row};

/// A rule of a known prefix; ordered so that a prefix's rules can be searched by port and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Own {
    port: u16,
    protocol: Option<u8>,
    pub(super) slot: u32,
    is_timed: bool,
}

impl From<&Row> for Own {
    fn from(row: &Row) -> Self {
        Self { port: row.port, protocol: row.protocol, slot: row.slot, is_timed: row.is_timed }
    }
}

impl Own {
    /// The packets that it is for.
    pub(super) fn what(&self) -> (u16, Option<u8>) {
        (self.port, self.protocol)
    }
}

/// The rules of one prefix that a packet may meet, in the order in which they are asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    rules: Candidates,
    len: usize,
    /// The last has no time limit: nothing takes over.
    pub(super) ends: bool,
}

impl Chain {
    /// Rules for what has no rules for its port and protocol.
    pub(super) fn of_all(own: &[Own]) -> Self {
        Self::default().then(own, (0, None))
    }

    /// Rules for a protocol and a port; zero: an unknown one, or none.
    pub(super) fn of(own: &[Own], protocol: u8, port: u16) -> Self {
        let chain = match port {
            0 => Self::default(),
            _ => Self::default().then(own, (port, Some(protocol))).then(own, (port, None)),
        };
        chain.then(own, (0, Some(protocol))).then(own, (0, None))
    }

    fn then(mut self, own: &[Own], what: (u16, Option<u8>)) -> Self {
        if self.ends {
            return self;
        }
        if let Ok(at) = own.binary_search_by_key(&what, Own::what) {
            // There are four ways to ask, and as many candidates.
            self.rules[self.len] = own[at].slot;
            self.len += 1;
            self.ends = !own[at].is_timed;
        }
        self
    }

    /// These rules, and behind them those of the prefixes around.
    pub(super) fn before(self, around: Candidates) -> Result<Candidates, Error> {
        if self.ends {
            return Ok(self.rules);
        }
        let mut rules = self.rules;
        let behind = around.iter().take_while(|slot| **slot != 0);
        let len = self.len + behind.clone().count();
        if len > CANDIDATES {
            let slots = self.rules[..self.len].iter().chain(behind).copied().collect();
            return Err(Error::Timed { slots });
        }
        rules[self.len..].iter_mut().zip(behind).for_each(|(rule, slot)| *rule = *slot);
        Ok(rules)
    }
}

/// The protocols and ports, sorted, of which the rules of one prefix say something; port zero: all of the protocol.
pub(super) fn named(own: &[Own]) -> Vec<(u8, u16)> {
    let mut named = Vec::with_capacity(own.len());
    for rule in own {
        match rule.what() {
            (0, None) => {}
            (port, Some(protocol)) => named.push((protocol, port)),
            (port, None) => named.extend(PORTED.map(|protocol| (protocol, port))),
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}
