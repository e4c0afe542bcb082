//! The tables against a search through all rules, one by one.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A few networks, so that prefixes are within each other; an IPv4 address is the upper 32 bits.
const NETWORKS: [u128; 3] = [0x0a00_0005 << 96, 0x0a00_01ff << 96 | 0xffff << 80 | 1, u128::MAX];
const PORTS: [u16; 4] = [0, 80, 443, 22];
const PROTOCOLS: [u8; 6] = [TCP, UDP, SCTP, ICMP, GRE, 0];

fn any_address() -> impl Strategy<Value = (Family, u128)> {
    let family = select(&[Family::Ipv4, Family::Ipv6][..]);
    // One bit turned makes it a sister of the others from there on.
    let turned =
        prop_oneof![Just(0), (0..128u32).prop_map(|bit| 1u128 << bit), (96..101u32).prop_map(|bit| 1 << bit)];
    (family, select(&NETWORKS[..]), turned).prop_map(|(family, network, turned)| {
        let address = network ^ turned;
        (family, if family == Family::Ipv4 { address >> 96 << 96 } else { address })
    })
}

fn any_prefix() -> impl Strategy<Value = Option<PrefixKey>> {
    let length = prop_oneof![select(&[0, 8, 24, 31, 32, 48, 63, 64, 65, 127, 128][..]), 0..=128u32];
    let prefix = (any_address(), length).prop_map(|((family, address), length)| {
        let length = if family == Family::Ipv4 { length.min(32) } else { length };
        Some(key(family, words(address & ones(length)), length))
    });
    prop_oneof![1 => Just(None), 8 => prefix]
}

fn ones(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// Rows, no two for the same packets; some share a slot, as those of one rule for many peers do.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = |timed| {
        let protocol = select(&[None, None, Some(TCP), Some(UDP), Some(ICMP)][..]);
        let is_timed = prop::bool::weighted(timed);
        let row = (any_prefix(), select(&[0, 0, 80, 443][..]), protocol, 1..40u32, is_timed);
        row.prop_map(|(prefix, port, protocol, slot, is_timed)| {
            let port = if protocol == Some(ICMP) { 0 } else { port };
            Row { prefix, port, protocol, slot, is_timed }
        })
    };
    let rows =
        select(&[0.2, 0.5, 0.8][..]).prop_flat_map(move |timed| prop::collection::vec(row(timed), 0..40));
    rows.prop_map(|mut rows| {
        rows.sort_by_key(what);
        rows.dedup_by_key(|row| what(row));
        rows
    })
}

fn what(row: &Row) -> (Option<PrefixKey>, u16, Option<u8>) {
    (row.prefix, row.port, row.protocol)
}

fn applies(row: &Row, family: Family, address: u128, protocol: u8, port: u16) -> bool {
    let is_peer = row.prefix.is_none_or(|prefix| {
        let length = prefix.tag & 0xff;
        prefix.tag >> 8 == family as u32 && words(address & ones(length)) == prefix.address
    });
    let has_port = row.port == 0 || row.port == port && [TCP, UDP, SCTP].contains(&protocol);
    is_peer && has_port && row.protocol.is_none_or(|asked| asked == protocol)
}

/// The rules that a packet may meet, of those whose prefix is no longer than `longest`.
fn resolve(
    rows: &[Row],
    longest: u32,
    (family, address): (Family, u128),
    protocol: u8,
    port: u16,
) -> Vec<u32> {
    let length = |row: &Row| row.prefix.map(|prefix| prefix.tag & 0xff);
    let mut rows: Vec<_> = rows.iter().filter(|row| length(row).unwrap_or(0) <= longest).collect();
    rows.retain(|row| applies(row, family, address, protocol, port));
    rows.sort_by_key(|row| std::cmp::Reverse((length(row), row.port != 0, row.protocol.is_some())));
    let last = rows.iter().position(|row| !row.is_timed).map_or(rows.len(), |last| last + 1);
    rows[..last].iter().map(|row| row.slot).collect()
}

/// Says whether a packet may meet too many rules, in any prefix that has some.
fn is_too_much(rows: &[Row]) -> bool {
    rows.iter().filter_map(|row| row.prefix).any(|prefix| {
        let family = if prefix.tag >> 8 == 0 { Family::Ipv4 } else { Family::Ipv6 };
        let address = u128::from(prefix.address[0]) << 64 | u128::from(prefix.address[1]);
        let packets = PROTOCOLS.iter().flat_map(|protocol| PORTS.map(|port| (*protocol, port)));
        let mut found = packets
            .map(|(protocol, port)| resolve(rows, prefix.tag & 0xff, (family, address), protocol, port));
        found.any(|found| found.len() > 4)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_packet_finds_what_a_search_through_all_rules_finds(
        rows in any_rows(),
        peers in prop::collection::vec(any_address(), 20),
    ) {
        let table = match build(&rows) {
            Err(Error::Timed { slots }) => {
                prop_assert!(is_too_much(&rows), "{slots:?}");
                return Ok(());
            }
            other => other.unwrap(),
        };
        prop_assert!(!is_too_much(&rows));
        let hashes = Hashes::from(table);
        for (family, address) in peers {
            for (protocol, port) in PROTOCOLS.iter().flat_map(|protocol| PORTS.map(|port| (*protocol, port))) {
                let expected = resolve(&rows, 128, (family, address), protocol, port);
                prop_assert_eq!(hashes.ask_peer((family, words(address)), protocol, port), expected);
            }
        }
    }

    #[test]
    fn the_order_of_the_rules_does_not_matter(
        (rows, shuffled) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        prop_assert_eq!(build(&rows), build(&shuffled));
    }
}
