//! Steps of the longest searches, and the time that the largest tables take.

use std::time::Instant;

use shaper_common::lookup::STEPS;
use shaper_common::random::{Purpose, draw};

use super::*;

/// A rule for the first bits of an address.
fn host(family: Family, address: u128, length: u32, slot: u32) -> Row {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Row { prefix: Some(key(family, words(address & mask), length)), ..row("any", 0, None, slot) }
}

fn random(index: u32) -> u128 {
    let half = |half| draw(1, half, u64::from(index), Purpose::Jitter);
    u128::from(half(0)) << 64 | u128::from(half(1))
}

/// Rules for random addresses, in no order of theirs.
fn hosts(count: u32, family: Family, length: impl Fn(u32) -> u32) -> Vec<Row> {
    let mut rows: Vec<_> = (1..=count).map(|n| host(family, random(n), length(n), n)).collect();
    rows.sort_unstable_by_key(|row| row.prefix);
    rows.dedup_by_key(|row| row.prefix);
    rows.sort_unstable_by_key(|row| row.slot);
    rows
}

fn time(what: &str, rows: &[Row]) -> Result<Table, Error> {
    let start = Instant::now();
    let table = build(rows);
    let elapsed = start.elapsed();
    let (prefixes, ports) = table.as_ref().map_or((0, 0), |table| (table.prefixes.len(), table.ports.len()));
    println!("{what}: {} rows, {prefixes} prefixes, {ports} ports: {elapsed:?}", rows.len());
    table
}

#[test]
fn with_all_lengths_in_use_a_search_takes_its_few_steps() {
    let address = random(0);
    for (family, lengths, most) in [(Family::Ipv4, 32, 6), (Family::Ipv6, 128, STEPS)] {
        let rows: Vec<_> = (1..=lengths).map(|length| host(family, address, length, length)).collect();
        let hashes = Hashes::of(&rows);
        for length in 0..=lengths {
            // The first bit behind this length differs.
            let peer = if length == lengths { address } else { address ^ (1 << (127 - length)) };
            hashes.steps.set(0);
            let expected: &[u32] = if length == 0 { &[] } else { &[length] };
            assert_eq!(hashes.ask_peer((family, words(peer)), TCP, 80), expected);
            assert!((1..=most).contains(&hashes.steps.get()), "{family:?} {length}: {}", hashes.steps.get());
        }
    }
}

#[test]
fn one_length_is_one_lookup_and_has_no_markers() {
    let rows = hosts(1_000, Family::Ipv6, |_| 64);
    let hashes = Hashes::of(&rows);
    for index in 1..=2_000 {
        let expected = if index <= 1_000 { vec![index] } else { vec![] };
        assert_eq!(hashes.ask_peer((Family::Ipv6, words(random(index))), TCP, 80), expected);
    }
    assert_eq!((hashes.prefixes.len(), hashes.steps.get()), (1_000, 2_000));
}

#[test]
fn of_two_lengths_the_longer_is_found_at_once() {
    let hashes = Hashes::of(&[row("10.0.0.5/32", 0, None, 1), row("11.0.0.0/24", 0, None, 2)]);
    assert_eq!((hashes.ask("10.0.0.5", TCP, 80), hashes.steps.get()), (vec![1], 1));
    assert_eq!((hashes.ask("11.0.0.5", TCP, 80), hashes.steps.get()), (vec![2], 3));
    assert_eq!(hashes.prefixes.len(), 2);
}

#[test]
fn a_prefix_has_no_more_entries_than_a_search_has_steps() {
    let mixed = time("IPv6, mixed lengths", &hosts(65_536, Family::Ipv6, |n| 17 + n % 112)).unwrap();
    assert!((65_000..=STEPS * RULES_MAX).contains(&mixed.prefixes.len()));
    let mixed = time("IPv4, mixed lengths", &hosts(65_536, Family::Ipv4, |n| 17 + n % 16)).unwrap();
    assert!((60_000..=6 * RULES_MAX).contains(&mixed.prefixes.len()));
    let hosts = time("IPv4, hosts", &hosts(65_536, Family::Ipv4, |_| 32)).unwrap();
    assert!((65_000..=RULES_MAX).contains(&hosts.prefixes.len()));
}

#[test]
fn rules_for_ports_take_time_in_proportion_to_their_entries() {
    let port = |n: u32| row("any", n as u16, Some(TCP), n);
    let ports = || (1..=32_768).map(port);
    let hosts = || hosts(32_768, Family::Ipv4, |_| 32).into_iter();

    let rows: Vec<_> = self::hosts(65_536, Family::Ipv4, |_| 32);
    let rows: Vec<_> = rows.into_iter().map(|host| Row { port: 80, ..host }).collect();
    assert_eq!(time("a port for each host", &rows).unwrap().ports.len(), 3 * rows.len());

    // Of each host the ports around it are cut off.
    let rows: Vec<_> = ports().chain(hosts().map(|host| Row { protocol: Some(TCP), ..host })).collect();
    assert_eq!(time("ports, cut off", &rows).unwrap().ports.len(), rows.len());

    // All hosts are of one rule, behind which each has all ports.
    let rows: Vec<_> =
        ports().chain(hosts().map(|host| Row { slot: 40_000, is_timed: true, ..host })).collect();
    assert_eq!(time("ports, behind one rule", &rows).unwrap().ports.len(), 2 * 32_768);

    let rows: Vec<_> = ports().chain(hosts().map(|host| Row { is_timed: true, ..host })).collect();
    assert_eq!(time("ports, behind each host", &rows), Err(Error::Ports));

    // What each host says is said already, of a port of its own.
    let again = |(n, host): (u32, Row)| Row { prefix: host.prefix, ..port(n) };
    let rows: Vec<_> = ports().chain((1..).zip(hosts()).map(again)).collect();
    assert_eq!(time("ports, said again", &rows), Err(Error::Ports));
}
