use proptest::prelude::*;

use super::any::{any_prefix, any_rule, any_rule_parts, any_set, any_to, parts_of, rule_of, to_of};
use super::*;
use shaper_common::lookup;

#[test]
fn reads_every_spelling_of_a_destination() {
    for (text, canonical) in [
        ("10.0.0.5", "10.0.0.5"),
        ("10.0.0.5/32", "10.0.0.5"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.5:80", "10.0.0.5:80"),
        ("10.0.0.0/8:80/tcp", "10.0.0.0/8:80/tcp"),
        ("10.0.0.0/8:080/TCP", "10.0.0.0/8:80/tcp"),
        ("10.0.0.5:*/icmp", "10.0.0.5:*/icmp"),
        ("10.0.0.5:*", "10.0.0.5"),
        ("10.0.0.5:53/17", "10.0.0.5:53/udp"),
        ("10.0.0.5:9/132", "10.0.0.5:9/sctp"),
        ("10.0.0.5:*/0", "10.0.0.5:*/0"),
        ("10.0.0.5:*/255", "10.0.0.5:*/255"),
        ("fd00::/64", "fd00::/64"),
        ("FD00:0:0::0/64", "fd00::/64"),
        ("::/0", "::/0"),
        ("::1", "::1"),
        ("[fd00::/64]", "fd00::/64"),
        ("[fd00::5]", "fd00::5"),
        ("[fd00::5]:80/tcp", "[fd00::5]:80/tcp"),
        ("[fd00::/64]:*/udp", "[fd00::/64]:*/udp"),
        ("[fd00::5]:*/ipv6-icmp", "[fd00::5]:*/icmpv6"),
        ("[fd00::5]:65535", "[fd00::5]:65535"),
    ] {
        let to = to_of(text);
        assert_eq!(to.to_string(), canonical, "{text}");
        assert_eq!(to_of(canonical), to, "{text}");
    }
}

#[test]
fn refuses_what_is_no_destination_and_says_what_would_be() {
    for (text, expected) in [
        ("", "cannot be empty: write an address or a network"),
        (":80", "cannot be empty"),
        ("web", "`web` is not a destination: `web` is no IP address; write an address"),
        ("10.0.0", "`10.0.0` is no IP address"),
        ("010.0.0.1", "`010.0.0.1` is no IP address"),
        (" 10.0.0.5", "is no IP address"),
        ("10.0.0.5/24", "has bits set behind the first 24: write `10.0.0.0/24` or `10.0.0.5`"),
        ("fd00::5/64", "write `fd00::/64` or `fd00::5`"),
        ("[fd00::5/64]:80", "write `fd00::/64` or `fd00::5`"),
        ("10.0.0.0/33", "`33` is no length of a prefix of 10.0.0.0; give from 0 to 32"),
        ("10.0.0.0/300", "give from 0 to 32"),
        ("10.0.0.0/+8", "`+8` is no length"),
        ("10.0.0.0/", "`` is no length"),
        ("fd00::/129", "give from 0 to 128"),
        (
            "10.0.0.5/tcp",
            "`tcp` is no length of a prefix of 10.0.0.5; give from 0 to 32, or a protocol behind a port (`:80/tcp`",
        ),
        ("10.0.0.5:0", "`0` is no port; write a whole number from 1 to 65535, or `*`"),
        ("10.0.0.5:65536", "`65536` is no port"),
        ("10.0.0.5:+80", "`+80` is no port"),
        ("10.0.0.5:http", "`http` is no port"),
        ("10.0.0.5:", "`` is no port"),
        ("10.0.0.5:80/http", "`http` is not a protocol: write one of `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`"),
        ("10.0.0.5:80/256", "or a number from 0 to 255"),
        ("10.0.0.5:80/", "`` is not a protocol"),
        ("10.0.0.5:80/icmp", "`icmp` has no ports, so nothing goes to port 80 by it: write `*`"),
        ("10.0.0.5:80/47", "`47` has no ports"),
        ("[fd00::5", "brackets hold an IPv6 address or network"),
        ("[fd00::5]80", "brackets hold"),
        ("[10.0.0.5]:80", "brackets hold"),
        ("[]", "brackets hold"),
        ("fd00::5:80/tcp", "`tcp` is no length"),
        ("fe80::1%eth0", "is no IP address"),
        ("::ffff:10.0.0.5", "is an IPv4 address in the clothes of an IPv6 one: write `10.0.0.5`"),
        ("::ffff:10.0.0.0/104", "write `10.0.0.0/8`"),
        ("::ffff:10.0.0.5/120", "write `10.0.0.0/24`"),
        ("[::ffff:a00:5]:80", "write `10.0.0.5`"),
        ("::ffff:0:0/96", "write `0.0.0.0/0`"),
        ("::ffff:10.0.0.5/90", "write `10.0.0.5`"),
        ("１0.0.0.5", "is no IP address"),
    ] {
        let error = text.parse::<To>().expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = "x".repeat(1 << 20).parse::<To>().unwrap_err().to_string();
    assert!(long.len() < 500 && long.contains('…'), "{}", long.len());
}

#[test]
fn destinations_are_in_order_of_family_address_length_port_and_protocol() {
    let order = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.0.0/24",
        "10.0.0.0",
        "10.0.0.0:*/icmp",
        "10.0.0.0:1",
        "10.0.0.0:1/tcp",
        "10.0.0.0:2",
        "10.0.0.1",
        "::/0",
        "fd00::/8",
        "fd00::",
    ]
    .map(to_of);
    assert!(order.is_sorted());
    let rules =
        order.iter().rev().map(|to| Rule::new(RuleParts { to: Some(*to), ..RuleParts::default() }).unwrap());
    let all = rules.chain([rule_of(r#"{"latency":"1ms"}"#)]);
    let set = RuleSet::new(all).unwrap();
    let iterated: Vec<_> = set.iter().map(Rule::to).collect();
    assert_eq!(iterated, [None].into_iter().chain(order.map(Some)).collect::<Vec<_>>());
}

#[test]
fn keys_are_what_the_kernel_looks_for() {
    let key = to_of("10.1.2.0/24").prefix_key();
    assert_eq!((key.address, key.tag), ([0x0a01_0200_0000_0000, 0], 24));
    let key = to_of("fd00:1::8000:0:0:0/65").prefix_key();
    assert_eq!((key.address, key.tag), ([0xfd00_0001_0000_0000, 0x8000 << 48], 256 + 65));
    for broken in [
        lookup::PrefixKey { tag: 2 << 8 | 24, ..key },
        lookup::PrefixKey { tag: key.tag | 1 << 16, ..key },
        lookup::PrefixKey { tag: 1 << 8 | 64, ..key },
        lookup::PrefixKey { tag: 1 << 8 | 129, ..key },
        lookup::PrefixKey { tag: 32, ..key },
        lookup::PrefixKey { reserved: 1, ..key },
        lookup::PrefixKey { address: [0, 0xffff << 32], tag: 256 + 128, reserved: 0 },
    ] {
        assert_eq!(Prefix::from_key(&broken), None, "{broken:?}");
    }
}

#[test]
fn refuses_parts_that_make_no_rule() {
    for (json, expected) in [
        (r#"{}"#, "nothing to apply: give a latency"),
        (r#"{"latency":"0ms"}"#, "nothing to apply: a latency of zero is none"),
        (r#"{"filter":"accept"}"#, "nothing to apply: give a latency"),
        (r#"{"for":"30s"}"#, "nothing to apply"),
        (r#"{"to":"10.0.0.5","jitter":"1ms"}"#, "no latency to vary around"),
        (
            r#"{"after":"10s","latency":"1ms"}"#,
            "after 10s has no filter to begin: give a filter (such as `drop`)",
        ),
        (r#"{"to":"10.0.0.5","filter":"accept","after":"10s"}"#, "after 10s has no filter"),
        (r#"{"filter":"drop","latency":"1ms"}"#, "filter `drop` leaves the shape nothing to act on"),
        (
            r#"{"filter":"reject","to":"::1","loss":"1%"}"#,
            "filter `reject` leaves the shape nothing to act on",
        ),
        (r#"{"filter":"drop","after":"0ms"}"#, "after 0ns is out of range: give from 1ms to 8760h (a year)"),
        (r#"{"filter":"drop","after":"8761h"}"#, "is out of range"),
        (r#"{"filter":"drop","for":"999us"}"#, "for 999us is out of range: give from 1ms to 8760h"),
        (r#"{"to":"::1","for":"8760.1h"}"#, "is out of range"),
        (
            r#"{"filter":"reset","after":"10s","for":"10s"}"#,
            "after 10s is not before the end of the rule at 10s",
        ),
    ] {
        let error = Rule::new(parts_of(json)).expect_err(json).to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
    assert!(TIME_LIMIT_RANGE.contains(&format!("{TIME_LIMIT_MIN}")));
    assert_eq!(TIME_LIMIT_MAX, "8760h".parse().unwrap());
}

#[test]
fn takes_every_kind_of_rule() {
    for (json, flags) in [
        (r#"{"latency":"10ms"}"#, "--latency 10ms"),
        (r#"{"filter":"drop"}"#, "--filter drop"),
        (r#"{"to":"10.0.0.5"}"#, "--to 10.0.0.5"),
        (r#"{"to":"10.0.0.5","latency":"0ms","for":"1ms"}"#, "--to 10.0.0.5 --for 1ms"),
        (
            r#"{"to":"10.0.0.5","filter":"Reset","latency":"10ms"}"#,
            "--to 10.0.0.5 --filter reset --latency 10ms",
        ),
        (
            r#"{"loss":"1%","for":"8760h","after":"1ms","filter":"drop","to":"[::1]:80/6"}"#,
            "--to [::1]:80/tcp --filter drop --after 1ms --for 31536000s --loss 1%",
        ),
    ] {
        let rule = rule_of(json);
        assert_eq!(rule.flags().join(" "), flags);
        assert_eq!(rule.lets_alone(), flags.starts_with("--to") && !json.contains("filter"), "{json}");
    }
}

#[test]
fn json_of_a_rule_is_its_parts_and_is_checked() {
    let rule = rule_of(
        r#"{"latency":"1ms","filter":"drop","to":"10.0.0.5:80","after":"1s","for":"2s","keep_order":false}"#,
    );
    let json = r#"{"to":"10.0.0.5:80","filter":"drop","after":"1s","for":"2s","latency":"1ms"}"#;
    assert_eq!(serde_json::to_string(&rule).unwrap(), json);
    assert_eq!(serde_json::from_str::<Rule>(json).unwrap(), rule);
    for (json, expected) in [
        (r#"{"to":"10.0.0.5","latancy":"1ms"}"#, "unknown field `latancy`"),
        (r#"{"to":5}"#, "a destination as a string: an address or a network"),
        (r#"{"to":"10.0.0.5/24"}"#, "write `10.0.0.0/24`"),
        (r#"{"to":"::1","to":"::2"}"#, "duplicate field `to`"),
        (r#"{"filter":"deny"}"#, "`deny` is not a filter: write one of `accept`, `drop`, `reject`, `reset`"),
        (r#"{"filter":"drop","latency":"1ms"}"#, "nothing to act on"),
        (r#"{"time_limit":"1s"}"#, "unknown field `time_limit`"),
    ] {
        let error = serde_json::from_str::<Rule>(json).expect_err(json).to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn a_set_has_one_rule_for_each_destination() {
    let [all, one, other] = [
        r#"{"latency":"1ms"}"#,
        r#"{"to":"10.0.0.5","latency":"1ms"}"#,
        r#"{"to":"10.0.0.5/32","latency":"2ms"}"#,
    ]
    .map(rule_of);
    let error = RuleSet::new([one, all, other]).unwrap_err().to_string();
    assert_eq!(error, "there is a rule for `10.0.0.5` already: give one rule for each destination");
    let error = RuleSet::new([all, all]).unwrap_err().to_string();
    assert!(error.contains("all peers (one without `to`)"), "{error}");

    let mut set = RuleSet::new([one, all]).unwrap();
    assert_eq!(set.insert(other), Ok(Some(one)));
    assert_eq!((set.len(), set.get(&one.to())), (2, Some(&other)));
    assert_eq!((set.remove(&None), set.remove(&None)), (Some(all), None));
    assert_eq!(set.remove(&other.to()), Some(other));
    assert!(set.is_empty());
}

#[test]
fn a_set_is_not_more_than_the_kernel_holds() {
    let rule = |n: usize| {
        let address = std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap());
        let to = Some(Prefix::host(address.into()).unwrap().into());
        Rule::new(RuleParts { to, ..RuleParts::default() }).unwrap()
    };
    let mut set = RuleSet::new((0..RULES_MAX).map(rule)).unwrap();
    assert_eq!(set.add(rule(RULES_MAX)), Err(Error::TooMany));
    assert_eq!(set.insert(rule(RULES_MAX)), Err(Error::TooMany));
    assert_eq!(set.insert(rule(7)), Ok(Some(rule(7))));
    set.remove(&rule(7).to());
    assert_eq!(set.add(rule(RULES_MAX)), Ok(()));
}

#[test]
fn a_change_reads_as_flags() {
    let set = |rules: &[&str]| RuleSet::new(rules.iter().map(|json| rule_of(json))).unwrap();
    let old = set(&[r#"{"loss":"1%"}"#, r#"{"to":"10.0.0.5","latency":"10ms"}"#, r#"{"to":"10.0.0.7"}"#]);
    let new = set(&[
        r#"{"to":"10.0.0.5","latency":"20ms"}"#,
        r#"{"to":"10.0.0.7"}"#,
        r#"{"to":"10.0.0.6","filter":"drop"}"#,
    ]);
    let lines: Vec<String> = new.diff(&old).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "- --loss 1%",
            "~ --to 10.0.0.5 --latency 10ms -> --to 10.0.0.5 --latency 20ms",
            "+ --to 10.0.0.6 --filter drop",
        ]
    );
    assert!(new.diff(&new).is_empty());
}

proptest! {
    #[test]
    fn a_destination_survives_its_text(to in any_to()) {
        prop_assert_eq!(to.to_string().parse(), Ok(to));
        prop_assert_eq!(serde_json::from_str::<To>(&serde_json::to_string(&to).unwrap()).unwrap(), to);
        prop_assert!(to.port().is_none() || to.protocol().is_none_or(Protocol::has_ports));
    }

    #[test]
    fn a_prefix_survives_its_key(prefix in any_prefix(), other in any_prefix()) {
        let key = prefix.prefix_key();
        prop_assert_eq!(Prefix::from_key(&key), Some(prefix));
        prop_assert_eq!(key == other.prefix_key(), prefix == other);
        prop_assert!(prefix.contains(prefix.address()));
        prop_assert!(!prefix.contains(other.address()) || prefix.family() == other.family());
    }

    #[test]
    fn any_key_is_that_of_its_prefix_or_of_none(address: [u64; 2], ipv4: bool, bits in 0..140u32, tag: u32, odd in 0..8u8) {
        let address = if ipv4 { [address[0] & !0xffff_ffff, 0] } else { address };
        let tag = if odd == 0 { tag } else { lookup::PrefixKey::tag(u32::from(!ipv4), bits) };
        let key = lookup::PrefixKey { address, tag, reserved: 0 };
        if let Some(prefix) = Prefix::from_key(&key) {
            prop_assert_eq!(prefix.prefix_key(), key);
        }
    }

    #[test]
    fn reading_a_destination_never_panics(text in any::<String>(), like in r"\[?[0-9a-f.:]{0,20}(/[0-9]{0,4})?\]?(:[0-9*]{0,6})?(/[a-z0-9-]{0,6})?") {
        for text in [text, like] {
            if let Ok(to) = text.parse::<To>() {
                prop_assert_eq!(to.to_string().parse(), Ok(to));
            }
        }
    }

    #[test]
    fn every_rule_keeps_its_promises_and_survives_json(parts in any_rule_parts()) {
        if let Ok(rule) = Rule::new(parts) {
            prop_assert!(rule.after().is_none() || rule.filter() != Filter::Accept);
            prop_assert!(rule.to().is_some() || !rule.lets_alone());
            let range = TIME_LIMIT_MIN..=TIME_LIMIT_MAX;
            prop_assert!(rule.after().into_iter().chain(rule.time_limit()).all(|time| range.contains(&time)));
            prop_assert!(rule.after().zip(rule.time_limit()).is_none_or(|(after, limit)| after < limit));
            let hidden = matches!(rule.filter(), Filter::Drop | Filter::Reject) && rule.after().is_none();
            prop_assert!(!hidden || rule.shape().is_none());
            prop_assert_eq!(Rule::new(RuleParts::from(rule)), Ok(rule));
            let json = serde_json::to_string(&rule).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
        }
    }

    #[test]
    fn any_rule_makes_of_the_same_parts_the_same(rule in any_rule()) {
        prop_assert_eq!(Rule::new(rule.into()), Ok(rule));
    }

    #[test]
    fn a_difference_makes_of_one_set_the_other(old in any_set(), new in any_set(), drop in any::<prop::sample::Index>()) {
        // Half of the new set is the old one, or nothing would ever be the same.
        let mut new = new;
        for rule in old.iter().skip(drop.index(old.len() + 1)) {
            new.insert(*rule).unwrap();
        }
        let mut made = old.clone();
        let changes = new.diff(&old);
        prop_assert!(changes.is_sorted_by_key(Change::destination));
        for change in changes {
            match change {
                Change::Added(rule) => prop_assert_eq!(made.add(rule), Ok(())),
                Change::Changed { from, to } => {
                    prop_assert!(from != to);
                    prop_assert_eq!(made.insert(to), Ok(Some(from)));
                }
                Change::Removed(rule) => prop_assert_eq!(made.remove(&rule.to()), Some(rule)),
            }
        }
        prop_assert_eq!(made, new);
    }
}
