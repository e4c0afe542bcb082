use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;

use shaper_common::lookup::{Tables, by_address, by_port};

use super::*;

mod cases;
mod errors;
mod oracle;
mod scale;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;
const SCTP: u8 = 132;

/// A peer as the tables have it.
fn peer(text: &str) -> (Family, [u64; 2]) {
    match text.parse().unwrap() {
        IpAddr::V4(address) => (Family::Ipv4, [u64::from(address.to_bits()) << 32, 0]),
        IpAddr::V6(address) => (Family::Ipv6, words(address.to_bits())),
    }
}

fn words(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

fn key(family: Family, address: [u64; 2], length: u32) -> PrefixKey {
    PrefixKey { address, tag: PrefixKey::tag(family as u32, length), reserved: 0 }
}

/// A permanent rule; "any" is every peer of both families.
fn row(prefix: &str, port: u16, protocol: Option<u8>, slot: u32) -> Row {
    let prefix = prefix.split_once('/').map(|(address, length)| {
        let (family, address) = peer(address);
        key(family, address, length.parse().unwrap())
    });
    Row { prefix, port, protocol, slot, is_timed: false }
}

fn timed(prefix: &str, port: u16, protocol: Option<u8>, slot: u32) -> Row {
    Row { is_timed: true, ..row(prefix, port, protocol, slot) }
}

/// A table as the program has it, with a count of its lookups.
struct Hashes {
    search: Box<Search>,
    prefixes: HashMap<PrefixKey, Match>,
    ports: HashMap<PortKey, Candidates>,
    steps: Cell<usize>,
}

impl Hashes {
    fn of(rows: &[Row]) -> Self {
        build(rows).unwrap().into()
    }

    fn class(&self, address: &str) -> u32 {
        let (family, address) = peer(address);
        by_address(self, &self.search, family, address).class
    }

    /// The rules that a packet to a peer may meet.
    fn ask(&self, address: &str, protocol: u8, port: u16) -> Vec<u32> {
        self.ask_peer(peer(address), protocol, port)
    }

    fn ask_peer(&self, (family, address): (Family, [u64; 2]), protocol: u8, port: u16) -> Vec<u32> {
        let found = by_address(self, &self.search, family, address);
        let rules = by_port(self, &found, protocol, port);
        let used = rules.iter().take_while(|slot| **slot != 0).count();
        assert!(rules[used..].iter().all(|slot| *slot == 0), "a gap: {rules:?}");
        rules[..used].to_vec()
    }
}

impl From<Table> for Hashes {
    fn from(table: Table) -> Self {
        let Table { search, prefixes, ports } = table;
        assert!(prefixes.is_sorted_by(|(a, _), (b, _)| a < b) && ports.is_sorted_by(|(a, _), (b, _)| a < b));
        let (prefixes, ports) = (prefixes.into_iter().collect(), ports.into_iter().collect());
        Self { search, prefixes, ports, steps: Cell::new(0) }
    }
}

impl Tables for Hashes {
    fn prefix(&self, key: &PrefixKey) -> Option<Match> {
        self.steps.set(self.steps.get() + 1);
        self.prefixes.get(key).copied()
    }

    fn port(&self, key: &PortKey) -> Option<Candidates> {
        self.ports.get(key).copied()
    }
}
