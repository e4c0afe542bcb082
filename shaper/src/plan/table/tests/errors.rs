//! Rules of which there is no table.

use super::*;

fn timed_error(rows: &[Row]) -> Vec<u32> {
    match build(rows) {
        Err(Error::Timed { slots }) => slots,
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_timed_rules_than_candidates_are_named() {
    let mut rules = vec![
        timed("10.0.0.5/32", 80, Some(TCP), 11),
        timed("10.0.0.5/32", 0, None, 12),
        timed("10.0.0.0/24", 80, None, 13),
        row("any", 0, None, 15),
    ];
    assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), [11, 12, 13, 15]);
    rules.push(timed("10.0.0.0/8", 0, Some(TCP), 14));
    assert_eq!(timed_error(&rules), [11, 12, 13, 14, 15]);
    rules[3].is_timed = true;
    assert_eq!(timed_error(&rules), [11, 12, 13, 14, 15]);
    rules.remove(3);
    assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), [11, 12, 13, 14], "four may be timed");
}

#[test]
fn an_inherited_port_counts_as_one_of_its_own() {
    let mut rules = vec![
        timed("10.0.0.5/32", 0, None, 1),
        timed("10.0.0.0/24", 0, None, 2),
        timed("10.0.0.0/16", 0, None, 3),
        timed("10.0.0.0/8", 80, None, 4),
        row("any", 0, None, 5),
    ];
    assert_eq!(timed_error(&rules), [1, 2, 3, 4, 5]);
    rules[1].is_timed = false;
    assert_eq!(Hashes::of(&rules).ask("10.0.0.5", TCP, 80), [1, 2]);
}

#[test]
fn a_row_that_cannot_be_is_refused() {
    let odd = |address, tag, reserved| {
        let prefix = Some(PrefixKey { address, tag, reserved });
        Row { prefix, ..row("any", 0, None, 7) }
    };
    let v4 = |length| PrefixKey::tag(Family::Ipv4 as u32, length);
    for (wrong, what) in [
        (row("any", 0, None, 0), "slot"),
        (row("any", 80, Some(ICMP), 7), "no ports"),
        (row("10.0.0.5/24", 0, None, 7), "bits behind"),
        (row("fd00::1/64", 0, None, 7), "bits behind"),
        (row("0.0.0.1/0", 0, None, 7), "bits behind"),
        (odd([0, 1], v4(32), 0), "bits behind"),
        (odd([0; 2], v4(33), 0), "too long"),
        (odd([0; 2], PrefixKey::tag(Family::Ipv6 as u32, 129), 0), "too long"),
        (odd([0; 2], PrefixKey::tag(2, 0), 0), "no known family"),
        (odd([0; 2], v4(8), 1), "no known family"),
    ] {
        let error = build(&[row("any", 0, Some(TCP), 1), wrong]).unwrap_err();
        assert!(matches!(error, Error::Row { slot, .. } if slot == wrong.slot), "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    }
    for port in PORTED.map(|protocol| row("any", 80, Some(protocol), 1)) {
        assert!(build(&[port]).is_ok());
    }
}

#[test]
fn two_rules_for_the_same_packets_are_refused() {
    for (prefix, port, protocol) in
        [("any", 0, None), ("10.0.0.0/24", 80, None), ("::/0", 0, Some(TCP)), ("fd00::1/128", 1, Some(UDP))]
    {
        let rules = [
            timed(prefix, port, protocol, 4),
            row("10.0.0.0/8", port, protocol, 2),
            row(prefix, port, protocol, 3),
        ];
        assert_eq!(build(&rules), Err(Error::Duplicate { slots: [3, 4] }), "{prefix}");
    }
}

#[test]
fn there_are_so_many_rules_and_no_more() {
    let rule = |n: u32| Row {
        prefix: Some(key(Family::Ipv4, [u64::from(n) << 32, 0], 32)),
        ..row("any", 0, None, n + 1)
    };
    let mut rules: Vec<_> = (0..65_536).map(rule).collect();
    assert_eq!(build(&rules).unwrap().prefixes.len(), RULES_MAX);
    rules.push(rule(65_536));
    assert_eq!(build(&rules), Err(Error::Rules { count: RULES_MAX + 1 }));
}

#[test]
fn ports_under_too_many_prefixes_are_refused_and_permanent_rules_help() {
    let every_peer = (1..=100).map(|port| row("any", port, Some(TCP), u32::from(port)));
    let hosts = (0..10_000u32).map(|n| Row {
        prefix: Some(key(Family::Ipv4, [u64::from(n) << 32, 0], 32)),
        ..timed("any", 0, None, 1_000 + n)
    });
    let mut rules: Vec<_> = every_peer.chain(hosts).collect();
    let error = build(&rules).unwrap_err();
    assert_eq!(error, Error::Ports);
    assert!(error.to_string().contains("262144 times; name fewer ports, or"), "{error}");
    rules[100..].iter_mut().for_each(|rule| rule.is_timed = false);
    assert_eq!(build(&rules).unwrap().ports.len(), 100);
}
