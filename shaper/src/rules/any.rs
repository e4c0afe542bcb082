//! Rules for tests: by JSON, and any.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::shape::{Named as _, Parts, any_shape};

/// The destination that `text` says.
pub(crate) fn to_of(text: &str) -> To {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The parts that `json` says.
pub(crate) fn parts_of(json: &str) -> RuleParts {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
}

/// The rule that `json` says.
pub(crate) fn rule_of(json: &str) -> Rule {
    Rule::new(parts_of(json)).unwrap_or_else(|e| panic!("{json}: {e}"))
}

/// Any prefix, of which many are alike.
pub(crate) fn any_prefix() -> impl Strategy<Value = Prefix> {
    let ipv4 =
        (prop_oneof![any::<u32>(), 0x0a00_0000..0x0a00_0100u32], 0..=32u8).prop_map(|(bits, length)| {
            let behind = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            (IpAddr::from(Ipv4Addr::from_bits(bits & !behind)), length)
        });
    let narrow = (0xfd00u128 << 112..(0xfd00 << 112) + 256, Just(0xffffu128 << 32))
        .prop_map(|(bits, mapped)| bits.max(mapped));
    let ipv6 = (prop_oneof![any::<u128>(), narrow, 0..1u128 << 50], 0..=128u8).prop_map(|(bits, length)| {
        let behind = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        (IpAddr::from(Ipv6Addr::from_bits(bits & !behind)), length)
    });
    prop_oneof![ipv4, ipv6].prop_filter_map("mapped", |(address, length)| Prefix::new(address, length).ok())
}

/// Any destination.
pub(crate) fn any_to() -> impl Strategy<Value = To> {
    let port = prop::option::of((1..=u16::MAX).prop_map(|port| NonZeroU16::new(port).expect("not zero")));
    let named = prop::sample::select(vec![6u8, 17, 132, 1, 58]);
    let protocol = prop::option::of(prop_oneof![named, any::<u8>()].prop_map(Protocol::from_number));
    (any_prefix(), port, protocol).prop_map(|(prefix, port, protocol)| {
        To::new(prefix, port, protocol).unwrap_or_else(|_| prefix.into())
    })
}

/// Parts of which many make a rule.
pub(crate) fn any_rule_parts() -> impl Strategy<Value = RuleParts> {
    let time = || {
        let time =
            prop_oneof![1 => 1..100_000u64, 9 => 1_000_000..=31_536_000_000_000_000u64, 1 => any::<u64>()];
        prop::option::of(time.prop_map(Delay::from_ns))
    };
    let filter = prop::option::of(prop::sample::select(<Filter as crate::shape::Named>::ALL));
    let shape = prop::option::of(any_shape()).prop_map(|shape| shape.map(Parts::from).unwrap_or_default());
    (prop::option::of(any_to()), filter, time(), time(), shape.boxed())
        .prop_map(|(to, filter, after, time_limit, shape)| RuleParts { to, filter, after, time_limit, shape })
        .boxed()
}

/// Any rule.
pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    any_rule_parts().prop_map(|parts| {
        // What does not fit together is made to by leaving out: half of the parts at random would be no rule.
        let fitting = [
            parts,
            RuleParts { after: None, ..parts },
            RuleParts { after: None, filter: None, ..parts },
            RuleParts { after: None, time_limit: None, shape: Parts::default(), ..parts },
            RuleParts { time_limit: None, after: None, filter: None, ..parts },
        ];
        fitting.into_iter().find_map(|parts| Rule::new(parts).ok()).unwrap_or_else(|| {
            let filter = Filter::from_name("reset").ok();
            Rule::new(RuleParts { to: parts.to, filter, ..RuleParts::default() }).expect("a filter")
        })
    })
}

/// Any set of a few rules.
pub(crate) fn any_set() -> impl Strategy<Value = RuleSet> {
    prop::collection::vec(any_rule(), 0..8).prop_map(|rules| {
        let mut set = RuleSet::default();
        for rule in rules {
            set.insert(rule).expect("few");
        }
        set
    })
}
