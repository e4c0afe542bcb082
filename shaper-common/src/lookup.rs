//! From a peer to its rules: the longest prefix first, then port and protocol.
//!
//! A prefix is found by a binary search over the lengths that are in use (Waldvogel et al., "Scalable High Speed IP Routing
//! Lookups", SIGCOMM 1997): a hash lookup for each step, at most six for IPv4 and eight for IPv6, however many rules there
//! are, and one where all prefixes are of one length. Shorter prefixes of a search path have markers, and each entry holds
//! what is best for it, so that a search never turns back. `plan::table` in user space fills the tables.

use crate::abi::Plain;

/// Rules that one packet may meet: the first of them that is in force shapes it. All but the last have a time limit.
pub const CANDIDATES: usize = 4;
/// Room for the prefix lengths of IPv4 (1 to 32) and IPv6 (1 to 128), and node 0, where a search ends; a power of two, so that
/// a mask is all the bound that an index needs: verifiers before Linux 6.2 lose that of a comparison in 32 bits.
pub const NODES: usize = 256;
/// Steps of the longest search: a balanced tree of 128 lengths has eight levels.
pub const STEPS: usize = 8;

/// `IPPROTO_*` whose headers begin with two ports.
pub const PORTED: [u8; 3] = [6, 17, 132];

/// The version of IP that a packet has; also the index of its part in [`Search`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ipv4 = 0,
    /// IPv6.
    Ipv6 = 1,
}

/// Numbers of the rules that a packet may meet, in the order in which they are asked; zeros behind the last.
pub type Candidates = [u32; CANDIDATES];

/// Key of the prefixes' hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixKey {
    /// The peer's address (destination on egress, source on ingress) as a number, its first byte the most significant, an IPv4
    /// address in the upper half of the first word; zero behind the prefix.
    pub address: [u64; 2],
    /// [`PrefixKey::tag`].
    pub tag: u32,
    /// Zero.
    pub reserved: u32,
}

impl PrefixKey {
    /// Family and length of a prefix as one number.
    #[inline(always)]
    #[must_use]
    pub const fn tag(family: u32, length: u32) -> u32 {
        family << 8 | length
    }
}

/// Key of the ports' hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// [`Match::class`].
    pub class: u32,
    /// The peer's port; zero: any.
    pub port: u16,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
}

/// What is known of a peer by its address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Its part of the ports' hash; zero: its port and protocol do not matter.
    pub class: u32,
    /// The rules for packets of which the ports' hash says nothing.
    pub rules: Candidates,
}

/// One step of a search: is there a prefix of this length?
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The address's bits that belong to the prefix.
    pub mask: [u64; 2],
    /// [`PrefixKey::tag`] of the length.
    pub tag: u32,
    /// The next node where there is one: a longer length. Zero: the search is over.
    pub hit: u32,
    /// The next node where there is none: a shorter length. Zero: the search is over.
    pub miss: u32,
    /// Zero.
    pub reserved: u32,
}

/// Where searches begin and how they go on, by [`Family`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// What is known of every peer.
    pub any: [Match; 2],
    /// First nodes; zero: there are no prefixes.
    pub first: [u32; 2],
    /// The nodes; the first is not used.
    pub nodes: [Node; NODES],
}

impl Default for Search {
    fn default() -> Self {
        Self { any: [Match::default(); 2], first: [0; 2], nodes: [Node::default(); NODES] }
    }
}

/// The hashes of one rule set.
pub trait Tables {
    /// What is known of a prefix.
    fn prefix(&self, key: &PrefixKey) -> Option<Match>;
    /// The rules of a class for a protocol and a port.
    fn port(&self, key: &PortKey) -> Option<Candidates>;
}

/// What is known of a peer by its address.
#[inline(always)]
#[must_use]
pub fn by_address<T: Tables>(tables: &T, search: &Search, family: Family, address: [u64; 2]) -> Match {
    let mut best = search.any[family as usize];
    let mut next = search.first[family as usize];
    for _ in 0..STEPS {
        if next == 0 {
            break;
        }
        let node = &search.nodes[next as usize & (NODES - 1)];
        let address = [address[0] & node.mask[0], address[1] & node.mask[1]];
        next = match tables.prefix(&PrefixKey { address, tag: node.tag, reserved: 0 }) {
            Some(found) => {
                best = found;
                node.hit
            }
            None => node.miss,
        };
    }
    best
}

/// The rules for a peer of whom `found` is known by the address.
///
/// `port` is zero where the protocol has none, and in all fragments but the first; `protocol` is `IPPROTO_*`, with IPv6 the
/// number behind the fixed header.
#[inline(always)]
#[must_use]
pub fn by_port<T: Tables>(tables: &T, found: &Match, protocol: u8, port: u16) -> Candidates {
    if found.class == 0 {
        return found.rules;
    }
    let key = PortKey { class: found.class, port, protocol, reserved: 0 };
    let rules = tables.port(&key).or_else(|| tables.port(&PortKey { port: 0, ..key }));
    rules.unwrap_or(found.rules)
}

const _: () = {
    assert!(size_of::<PrefixKey>() == 24);
    assert!(size_of::<PortKey>() == 8);
    assert!(size_of::<Match>() == 20);
    assert!(size_of::<Node>() == 32);
    assert!(size_of::<Search>() == 48 + NODES * size_of::<Node>());
};

// SAFETY: `repr(C)`, integers only, and the size assertions above leave no room for padding.
unsafe impl Plain for PrefixKey {}
// SAFETY: as above.
unsafe impl Plain for PortKey {}
// SAFETY: as above.
unsafe impl Plain for Match {}
// SAFETY: as above.
unsafe impl Plain for Search {}
// SAFETY: an array of integers.
unsafe impl Plain for Candidates {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const TCP: u8 = 6;
    const V4: u32 = Family::Ipv4 as u32;
    const V6: u32 = Family::Ipv6 as u32;

    /// Tables that count what they are asked.
    #[derive(Default)]
    struct Small {
        prefixes: &'static [(PrefixKey, u32)],
        ports: &'static [(PortKey, Candidates)],
        asked: Cell<usize>,
    }

    impl Tables for Small {
        fn prefix(&self, key: &PrefixKey) -> Option<Match> {
            self.asked.set(self.asked.get() + 1);
            self.prefixes.iter().find(|(known, _)| known == key).map(|(_, slot)| only(*slot))
        }

        fn port(&self, key: &PortKey) -> Option<Candidates> {
            self.asked.set(self.asked.get() + 1);
            self.ports.iter().find(|(known, _)| known == key).map(|(_, rules)| *rules)
        }
    }

    fn only(slot: u32) -> Match {
        Match { class: 0, rules: [slot, 0, 0, 0] }
    }

    const fn prefix(family: u32, first: u64, length: u32) -> PrefixKey {
        PrefixKey { address: [first, 0], tag: PrefixKey::tag(family, length), reserved: 0 }
    }

    fn node(family: u32, length: u32, hit: u32, miss: u32) -> Node {
        let mask = [u64::MAX << (64 - length), 0];
        Node { mask, tag: PrefixKey::tag(family, length), hit, miss, reserved: 0 }
    }

    /// Lengths 8, 16 and 24 of IPv4, the middle one first, and 64 of IPv6.
    fn search() -> Search {
        let mut search = Search { any: [only(1), only(2)], first: [1, 4], ..Search::default() };
        search.nodes[1] = node(V4, 16, 3, 2);
        search.nodes[2] = node(V4, 8, 0, 0);
        search.nodes[3] = node(V4, 24, 0, 0);
        search.nodes[4] = node(V6, 64, 0, 0);
        search
    }

    /// 10/8 is rule 3, 10.1.1/24 is rule 4 with a marker at 10.1/16, 11.1/16 is rule 5.
    const PREFIXES: &[(PrefixKey, u32)] = &[
        (prefix(V4, 0x0a00_0000 << 32, 8), 3),
        (prefix(V4, 0x0a01_0000 << 32, 16), 3),
        (prefix(V4, 0x0a01_0100 << 32, 24), 4),
        (prefix(V4, 0x0b01_0000 << 32, 16), 5),
        (prefix(V6, 0x0a01_0100 << 32, 64), 6),
    ];

    #[test]
    fn the_longest_prefix_is_found_in_few_steps() {
        let search = search();
        for (family, address, slot, steps) in [
            (Family::Ipv4, 0x0a01_0105, 4, 2),
            (Family::Ipv4, 0x0a01_0205, 3, 2),
            (Family::Ipv4, 0x0a02_0105, 3, 2),
            (Family::Ipv4, 0x0b01_0105, 5, 2),
            (Family::Ipv4, 0x0b02_0105, 1, 2),
            (Family::Ipv6, 0x0a01_0100, 6, 1),
            (Family::Ipv6, 0x0a01_0105, 2, 1),
        ] {
            let tables = Small { prefixes: PREFIXES, ..Small::default() };
            let found = by_address(&tables, &search, family, [address << 32, 7 * family as u64]);
            assert_eq!((found, tables.asked.get()), (only(slot), steps), "{family:?} {address:x}");
        }
    }

    #[test]
    fn without_prefixes_nothing_is_asked() {
        let search = Search { first: [0; 2], ..search() };
        let tables = Small { prefixes: PREFIXES, ..Small::default() };
        assert_eq!(by_address(&tables, &search, Family::Ipv4, [0x0a01_0105 << 32, 0]), only(1));
        assert_eq!(by_address(&tables, &search, Family::Ipv6, [0x0a01_0100 << 32, 0]), only(2));
        assert_eq!(tables.asked.get(), 0);
    }

    #[test]
    fn a_search_ends_whatever_the_nodes_say() {
        let tables = Small { prefixes: PREFIXES, ..Small::default() };
        let mut search = search();
        search.nodes[2] = node(V4, 8, 2, 2);
        assert_eq!(by_address(&tables, &search, Family::Ipv4, [0x0a02_0105 << 32, 0]), only(3));
        assert_eq!(tables.asked.get(), STEPS);
        search.first[0] = NODES as u32;
        assert_eq!(by_address(&tables, &search, Family::Ipv4, [0x0a02_0105 << 32, 0]), only(1));
    }

    #[test]
    fn a_port_goes_before_its_protocol_and_both_before_the_rest() {
        const fn key(port: u16) -> PortKey {
            PortKey { class: 9, port, protocol: TCP, reserved: 0 }
        }
        const PORTS: &[(PortKey, Candidates)] = &[(key(80), [1, 2, 0, 0]), (key(0), [2, 0, 0, 0])];
        let found = Match { class: 9, rules: [3, 0, 0, 0] };
        for (class, protocol, port, slot, asked) in [
            (9, TCP, 80, 1, 1),
            (9, TCP, 443, 2, 2),
            (9, TCP, 0, 2, 1),
            (9, 17, 80, 3, 2),
            (8, TCP, 80, 3, 2),
            (0, TCP, 80, 3, 0),
        ] {
            let tables = Small { ports: PORTS, ..Small::default() };
            let rules = by_port(&tables, &Match { class, ..found }, protocol, port);
            assert_eq!((rules[0], tables.asked.get()), (slot, asked), "{class} {protocol} {port}");
        }
    }
}
