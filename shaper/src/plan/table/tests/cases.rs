//! What goes before what, one case each, and who shares a class.

use super::*;

#[test]
fn no_rules_are_an_empty_table() {
    let table = build(&[]).unwrap();
    assert_eq!((&*table.search, table.prefixes.len(), table.ports.len()), (&Search::default(), 0, 0));
    assert!(Hashes::from(table).ask("10.0.0.1", TCP, 80).is_empty());
}

#[test]
fn port_and_protocol_go_before_the_port_then_the_protocol_then_neither() {
    let rules = [
        timed("10.0.0.5/32", 80, Some(TCP), 1),
        timed("10.0.0.5/32", 80, None, 2),
        timed("10.0.0.5/32", 0, Some(TCP), 3),
        timed("10.0.0.5/32", 0, None, 4),
    ];
    let hashes = Hashes::of(&rules);
    for (protocol, port, expected) in [
        (TCP, 80, &[1, 2, 3, 4][..]),
        (TCP, 443, &[3, 4]),
        (UDP, 80, &[2, 4]),
        (SCTP, 80, &[2, 4]),
        (UDP, 443, &[4]),
        (ICMP, 0, &[4]),
    ] {
        assert_eq!(hashes.ask("10.0.0.5", protocol, port), expected, "{protocol} {port}");
    }
    for permanent in 0..rules.len() {
        let mut rules = rules;
        rules[permanent].is_timed = false;
        let expected: Vec<u32> = (1..=permanent as u32 + 1).collect();
        assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), expected, "nothing is behind {permanent}");
    }
}

#[test]
fn what_a_longer_prefix_says_nothing_of_is_for_the_shorter_ones() {
    let hashes = Hashes::of(&[
        row("10.0.0.5/32", 80, None, 1),
        row("10.0.0.0/24", 0, Some(TCP), 2),
        row("10.0.0.0/8", 443, Some(UDP), 3),
        row("any", 0, None, 4),
    ]);
    for (address, protocol, port, expected) in [
        ("10.0.0.5", TCP, 80, 1),
        ("10.0.0.5", UDP, 80, 1),
        ("10.0.0.5", TCP, 443, 2),
        ("10.0.0.5", UDP, 443, 3),
        ("10.0.0.5", UDP, 53, 4),
        ("10.0.0.6", TCP, 80, 2),
        ("10.0.0.6", UDP, 443, 3),
        ("10.1.0.5", TCP, 443, 4),
        ("10.1.0.5", UDP, 443, 3),
        ("11.0.0.5", UDP, 443, 4),
        ("fd00::1", TCP, 80, 4),
    ] {
        assert_eq!(hashes.ask(address, protocol, port), [expected], "{address} {protocol} {port}");
    }
}

#[test]
fn a_longer_prefix_goes_before_a_shorter_one_with_port_and_protocol() {
    let rules = [row("10.0.0.0/24", 0, None, 1), row("10.0.0.0/23", 80, Some(TCP), 2)];
    assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), [1]);
    let rules = [timed("10.0.0.0/24", 0, None, 1), rules[1]];
    assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), [1, 2]);
}

#[test]
fn rules_take_over_up_to_the_first_without_a_time_limit() {
    let hashes = Hashes::of(&[
        timed("fd00::1/128", 0, None, 1),
        timed("fd00::/64", 0, Some(UDP), 2),
        timed("fd00::/16", 0, None, 3),
        row("any", 53, None, 4),
        row("any", 0, None, 5),
    ]);
    assert_eq!(hashes.ask("fd00::1", UDP, 53), [1, 2, 3, 4]);
    assert_eq!(hashes.ask("fd00::1", UDP, 54), [1, 2, 3, 5]);
    assert_eq!(hashes.ask("fd00::1", TCP, 53), [1, 3, 4]);
    assert_eq!(hashes.ask("fd00::2", UDP, 53), [2, 3, 4]);
    assert_eq!(hashes.ask("fe00::1", UDP, 53), [4]);
}

#[test]
fn all_of_a_family_go_before_every_peer() {
    let hashes = Hashes::of(&[
        timed("0.0.0.0/0", 0, Some(TCP), 1),
        row("::/0", 0, None, 2),
        row("any", 80, Some(TCP), 3),
        row("any", 0, None, 4),
    ]);
    assert_eq!(hashes.ask("10.0.0.1", TCP, 80), [1, 3]);
    assert_eq!(hashes.ask("10.0.0.1", TCP, 81), [1, 4]);
    assert_eq!(hashes.ask("10.0.0.1", UDP, 80), [4]);
    assert_eq!(hashes.ask("fd00::1", TCP, 80), [2]);
    assert_eq!((hashes.prefixes.len(), hashes.steps.get()), (0, 0), "no prefix is looked for");
}

#[test]
fn the_families_do_not_meet() {
    let hashes = Hashes::of(&[row("0.0.0.0/8", 0, None, 1), row("::/8", 0, None, 2)]);
    assert_eq!((hashes.ask("0.0.0.1", TCP, 1), hashes.ask("::1", TCP, 1)), (vec![1], vec![2]));
    assert_eq!((hashes.ask("1.0.0.1", TCP, 1), hashes.ask("100::1", TCP, 1)), (vec![], vec![]));
}

#[test]
fn a_later_fragment_meets_no_rule_for_a_port() {
    let hashes = Hashes::of(&[
        row("10.0.0.5/32", 80, Some(TCP), 1),
        timed("10.0.0.5/32", 0, Some(TCP), 2),
        row("any", 0, None, 3),
    ]);
    assert_eq!(hashes.ask("10.0.0.5", TCP, 0), [2, 3]);
    assert_eq!(hashes.ask("10.0.0.5", UDP, 0), [3]);
}

#[test]
fn a_port_is_one_of_a_protocol_that_has_ports() {
    let hashes = Hashes::of(&[row("any", 80, None, 1), row("any", 0, Some(GRE), 2)]);
    for protocol in PORTED {
        assert_eq!(hashes.ask("10.0.0.5", protocol, 80), [1], "{protocol}");
    }
    assert_eq!(hashes.ask("10.0.0.5", GRE, 80), [2], "whatever stands there is no port");
    assert!(hashes.ask("10.0.0.5", ICMP, 80).is_empty());
}

#[test]
fn without_rules_for_ports_there_is_one_class() {
    let hashes = Hashes::of(&[
        timed("10.0.0.5/32", 0, None, 1),
        timed("10.0.0.0/24", 0, None, 2),
        row("any", 0, None, 3),
    ]);
    assert_eq!((hashes.class("10.0.0.5"), hashes.class("1.1.1.1"), hashes.ports.len()), (0, 0, 0));
}

#[test]
fn a_permanent_rule_for_all_needs_no_class_whatever_is_around_it() {
    let hashes = Hashes::of(&[row("10.0.0.5/32", 0, None, 1), row("10.0.0.0/24", 80, None, 2)]);
    assert_eq!(hashes.class("10.0.0.5"), 0);
    assert_ne!(hashes.class("10.0.0.6"), 0);
    assert_eq!(hashes.ports.len(), PORTED.len());
}

#[test]
fn equal_results_share_a_class() {
    let rules: Vec<_> = (0..100)
        .flat_map(|n| {
            let around = row(&format!("10.0.{n}.0/24"), 0, None, 100 + n);
            // One rule for a host in each, as one asked for by a name with many addresses.
            [around, row(&format!("10.0.{n}.7/32"), 22, Some(TCP), 1)]
        })
        .chain([row("any", 80, Some(TCP), 2)])
        .collect();
    let hashes = Hashes::of(&rules);
    assert_eq!(hashes.ports.len(), 2, "that of every peer and that of all hosts");
    assert_eq!((hashes.ask("10.0.4.7", TCP, 22), hashes.ask("10.0.4.7", TCP, 80)), (vec![1], vec![104]));
}

#[test]
fn what_would_be_found_anyway_is_not_said_again() {
    let hashes = Hashes::of(&[
        row("10.0.0.5/32", 0, Some(TCP), 1),
        row("10.0.0.0/24", 80, Some(TCP), 2),
        row("10.0.0.0/24", 80, Some(UDP), 3),
    ]);
    let class = hashes.class("10.0.0.5");
    let mut ports: Vec<_> = hashes.ports.iter().filter(|(key, _)| key.class == class).collect();
    ports.sort();
    let key = |port, protocol| PortKey { class, port, protocol, reserved: 0 };
    assert_eq!(ports, [(&key(0, TCP), &[1, 0, 0, 0]), (&key(80, UDP), &[3, 0, 0, 0])]);
}

#[test]
fn a_rule_that_is_for_the_rest_too_needs_no_class() {
    let hashes = Hashes::of(&[
        row("10.0.0.5/32", 80, None, 1),
        row("10.0.0.5/32", 0, Some(GRE), 1),
        row("any", 0, None, 1),
        row("10.0.0.6/32", 0, Some(TCP), 2),
        row("10.0.0.6/32", 22, Some(TCP), 2),
    ]);
    assert_eq!((hashes.class("10.0.0.5"), hashes.ports.len()), (0, 1));
    assert_eq!((hashes.ask("10.0.0.5", TCP, 80), hashes.ask("10.0.0.6", TCP, 22)), (vec![1], vec![2]));
}
