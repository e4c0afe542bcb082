use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::shape::{BANDWIDTH_MAX, CORRELATION_MAX, DELAY_MAX, Distribution};
use crate::units::{Delay, Probability, Rate};

fn config(value: Value) -> Config {
    let mut value = value;
    let members = value.as_object_mut().expect("an object");
    members.entry("network").or_insert("default".into());
    members.entry("enable").or_insert(true.into());
    Config::parse(&value.to_string()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[track_caller]
fn after(configs: impl IntoIterator<Item = Value>) -> Link {
    configs.into_iter().fold(Link::default(), |link, value| {
        link.configured(&config(value.clone())).unwrap_or_else(|error| panic!("{value}: {error}"))
    })
}

fn wanted(link: &Link) -> Wanted {
    link.wanted("eth1", &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// The rules of both directions, as `apply` would be told.
fn rules(link: &Link) -> [Vec<String>; 2] {
    let wanted = wanted(link);
    let [(Direction::Egress, Wish::Whole(egress)), (Direction::Ingress, Wish::Whole(ingress))] =
        &wanted.wishes[..]
    else {
        panic!("{wanted:?}");
    };
    [egress, ingress].map(|set| set.iter().map(|rule| rule.flags().join(" ")).collect())
}

/// The shape that a `default` comes to.
#[track_caller]
fn shape(default: Value) -> Option<Shape> {
    after([json!({ "default": default })]).shape
}

#[track_caller]
fn refused(value: Value) -> String {
    let refused = Link::default().configured(&config(value.clone()));
    refused.err().unwrap_or_else(|| panic!("{value}")).to_string()
}

#[test]
fn what_is_asked_is_what_is_wanted() {
    let link = after([json!({
        "IPv4": "16.0.1.7/12",
        "default": { "latency": 100_000_001, "jitter": 1_500_000, "bandwidth": 1 << 20, "loss": 0.1, "reorder": 25.0,
                     "reorder_corr": 50, "duplicate": 1, "corrupt": 0.5, "corrupt_corr": 2, "duplicate_corr": 3 },
    })]);
    let expected = "--latency 100.000001ms --jitter 1.5ms --distribution uniform --reorder 25% --reorder-correlation 50% \
                    --bandwidth 1048576bit --queue 115.508ms --loss 0.1% --duplicate 1% --duplicate-correlation 3% \
                    --corrupt 0.5% --corrupt-correlation 2%";
    let [egress, ingress] = rules(&link);
    let without_queue = |flags: &str| {
        let words: Vec<&str> = flags.split(' ').collect();
        let queue = words.iter().position(|word| *word == "--queue").expect("a bottleneck has a queue");
        [&words[..queue], &words[queue + 2..]].concat().join(" ")
    };
    let bits = Rate::from_bytes_per_sec(131_072).to_string();
    assert_eq!(without_queue(&egress[0]), without_queue(&expected.replace("1048576bit", &bits)));
    assert_eq!((egress.len(), ingress), (1, vec![]));
    let wanted = wanted(&link);
    assert_eq!(wanted.dev.as_deref(), Some("eth1"));
    assert_eq!((wanted.flags, wanted.mtu, wanted.is_beside), (0, None, false));
    assert_eq!(wanted.addresses, addresses(&["16.0.1.7/12"]));
}

#[test]
fn nothing_takes_any_shape_away() {
    let link = after([
        json!({ "default": { "latency": 1, "corrupt": 5, "duplicate": 5, "reorder": 5 } }),
        json!({ "default": { "corrupt_corr": 50, "reorder": 25, "reorder_corr": 5, "duplicate_corr": 100, "filter": 2 } }),
    ]);
    assert_eq!(rules(&link), [const { Vec::<String>::new() }; 2]);
    assert_eq!(link, after([]));
    assert_eq!(Link::default(), Link::default().configured(&Config::initial()).unwrap());
}

#[test]
fn a_policy_is_deny_all_but_for_what_is_kept_unless_it_is_allow_all() {
    let keep: Vec<Keep> = vec!["192.18.0.5".parse().unwrap()];
    let of = |value| after([value]).wanted("eth1", &keep).unwrap().policy;
    assert_eq!(of(json!({})), Some(Routing::DenyAll { keep: keep.clone() }));
    assert_eq!(of(json!({ "routing_policy": "allow_all" })), Some(Routing::AllowAll));
    // It is the policy of a link that is disconnected, too.
    assert_eq!(of(json!({ "routing_policy": "allow_all", "enable": false })), Some(Routing::AllowAll));
}

#[test]
fn a_disconnected_link_is_down_and_what_else_is_said_does_not_count() {
    let before = json!({
        "IPv4": "16.0.1.7/16", "default": { "latency": 5 }, "rules": [{ "subnet": "16.0.0.5/32", "filter": 2 }],
    });
    let down = json!({
        "enable": false, "IPv4": "17.0.0.1/8", "IPv6": "fd00::1/64", "default": { "latency": -7 },
        "rules": [{ "subnet": "16.0.0.5/32" }, { "subnet": "nowhere" }],
    });
    let link = after([before.clone(), down.clone()]);
    assert_eq!(rules(&link), [const { Vec::<String>::new() }; 2]);
    let wanted = wanted(&link);
    assert_eq!((wanted.flags, wanted.addresses, link.is_connected()), (link_flag::DOWN, vec![], false));
    // Connected again, with the address and the rules of before, and its own shape.
    let again = after([before, down, json!({ "default": { "latency": 9 } })]);
    let [egress, ingress] = rules(&again);
    assert_eq!(egress, ["--latency 9ns", "--to 16.0.0.5 --filter drop"]);
    assert_eq!(ingress, ["--to 16.0.0.5 --filter drop"]);
    assert_eq!(super::tests::wanted(&again).addresses, addresses(&["16.0.1.7/16"]));
}

#[test]
fn rules_accumulate_until_they_are_taken_away_by_an_accept_without_a_shape() {
    let drop = json!({ "rules": [{ "subnet": "16.0.0.0/24", "filter": 2, "latency": -1 }] });
    let reject = json!({ "rules": [{ "subnet": "16.0.1.0/24", "filter": 1 }] });
    let shaped =
        json!({ "rules": [{ "subnet": "16.0.0.5/32", "latency": 7 }, { "subnet": "fd00::/64", "loss": 1 }] });
    let nothing = [json!({}), json!({ "rules": null }), json!({ "rules": [] })];
    let all = [drop.clone(), reject, shaped].into_iter().chain(nothing);
    let [egress, ingress] = rules(&after(all.clone()));
    assert_eq!(
        egress,
        [
            "--to 16.0.0.0/24 --filter drop",
            "--to 16.0.0.5 --latency 7ns",
            "--to 16.0.1.0/24 --filter reject",
            "--to fd00::/64 --loss 1%"
        ],
    );
    // What is shaped within what is cut off is not cut off.
    assert_eq!(
        ingress,
        ["--to 16.0.0.0/24 --filter drop", "--to 16.0.0.5", "--to 16.0.1.0/24 --filter reject"]
    );
    // For exactly that subnet, and the last rule counts.
    let accept = |subnet: &str| json!({ "rules": [{ "subnet": subnet, "filter": 2 }, { "subnet": subnet }] });
    let all = all.chain(["16.0.0.0/24", "16.0.0.0/16", "16.0.0.5/32"].map(accept));
    let [egress, ingress] = rules(&after(all));
    assert_eq!(egress, ["--to 16.0.1.0/24 --filter reject", "--to fd00::/64 --loss 1%"]);
    assert_eq!(ingress, ["--to 16.0.1.0/24 --filter reject"]);
    // One turns into another.
    let switched = json!({ "rules": [{ "subnet": "16.0.0.0/24", "filter": 1 }] });
    assert_eq!(rules(&after([drop, switched]))[0], ["--to 16.0.0.0/24 --filter reject"]);
}

#[test]
fn an_address_stays_until_another_one_is_asked_for() {
    let link = after([json!({ "IPv4": "16.0.1.7/16" }), json!({}), json!({ "IPv4": null })]);
    assert_eq!(wanted(&link).addresses, addresses(&["16.0.1.7/16"]));
    let link = after([json!({ "IPv4": "16.0.1.7/16" }), json!({ "IPv4": "16.0.1.8/12" })]);
    assert_eq!(wanted(&link).addresses, addresses(&["16.0.1.8/12"]));
    let link = after([json!({ "IPv6": "fd00::7/64" }), json!({ "IPv4": "16.0.1.7/16" })]);
    assert_eq!(wanted(&link).addresses, addresses(&["16.0.1.7/16", "fd00::7/64"]));
}

#[test]
fn a_rate_is_one_of_bytes_and_beyond_what_there_is_none() {
    let rate = |bits: u64| shape(json!({ "bandwidth": bits })).and_then(|shape| shape.bandwidth());
    for (bits, bytes) in [
        (0, None),
        (8_000, Some(1_000)),
        (1 << 20, Some(131_072)),
        (1_000_001, Some(125_000)),
        (1 << 35, Some(1 << 32)),
        (40_000_000_000, Some(5_000_000_000)),
        (100_000_000_000, Some(BANDWIDTH_MAX.bytes_per_sec())),
        (100_000_000_008, None),
        (u64::MAX, None),
    ] {
        assert_eq!(rate(bits), bytes.map(Rate::from_bytes_per_sec), "{bits}");
    }
}

#[test]
fn strange_values_are_what_netem_would_do() {
    let some = |default: Value| shape(default).expect("a shape");
    assert_eq!(shape(json!({ "reorder": 25, "reorder_corr": 50 })), None);
    let all = some(
        json!({ "loss": 100, "duplicate": 100, "duplicate_corr": 100, "corrupt": 1, "corrupt_corr": 99.5 }),
    );
    assert_eq!(all.loss().map(|loss| loss.to_string()).as_deref(), Some("loss 100%"));
    assert_eq!(all.duplicate().map(|chance| chance.correlation), Some(CORRELATION_MAX));
    assert_eq!(all.corrupt().map(|chance| chance.correlation), Some(CORRELATION_MAX));
    // Less than there are steps for is none.
    assert_eq!(shape(json!({ "loss": 1e-9 })), None);
    let most = some(json!({ "latency": DELAY_MAX.as_ns(), "jitter": DELAY_MAX.as_ns() }));
    assert_eq!((most.latency(), most.jitter()), (DELAY_MAX, DELAY_MAX));
    assert!(shape(json!({ "jitter": DELAY_MAX.as_ns() })).is_some());
    assert!(shape(json!({ "jitter": 1 })).is_some());
    assert!(some(json!({ "latency": 1, "jitter": 5, "reorder": 25 })).reorder().is_some());
}

/// Every delay from `latency` − `jitter` to `latency` + `jitter` is as likely, and none is below zero.
#[test]
fn more_jitter_than_latency_is_cut_off_at_now() {
    for (latency, jitter) in
        [(0, 1_000_000u64), (5_000_000, 10_000_000), (1, 1_000_000), (9_999_999, 10_000_000)]
    {
        let shape = shape(json!({ "latency": latency, "jitter": jitter })).expect("a shape");
        let Distribution::Table(table) = shape.distribution() else { panic!("{shape:?}") };
        let unit = shape.jitter().as_ns() as f64 / 8_192.0;
        let middle = shape.latency().as_ns() as f64;
        let delays = table.values().map(|value| (middle + unit * f64::from(value)).max(0.0));
        let least_and_most = delays
            .iter()
            .fold((f64::MAX, 0.0f64), |(least, most), delay| (least.min(*delay), most.max(*delay)));
        let (latency, jitter) = (latency as f64, jitter as f64);
        assert!(least_and_most.0 <= 3.0 * unit, "{least_and_most:?}");
        assert!((least_and_most.1 - (latency + jitter)).abs() <= 4.0 * unit, "{least_and_most:?}");
        // Of the half that is above the latency, and of the share below it that is not before now.
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let expected = (latency + jitter).powi(2) / (4.0 * jitter);
        assert!((mean - expected).abs() <= 2.0 * unit, "{latency} {jitter}: {mean}, not {expected}");
        let share = delays.iter().filter(|delay| **delay <= unit).count() as f64 / delays.len() as f64;
        assert!((share - (jitter - latency) / (2.0 * jitter)).abs() <= 0.001, "{share}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_key_the_value_and_what_would_be_right() {
    let default = |name: &str, value: Value| json!({ "default": { name: value } });
    let subnet =
        |subnet: &str| json!({ "rules": [{ "subnet": "16.0.0.5/32" }, { "subnet": subnet, "filter": 2 }] });
    for (value, words) in [
        (json!({ "network": "" }), "`network` is ``: there is one only, `default`"),
        (json!({ "network": "other" }), "`network` is `other`"),
        (json!({ "network": "other", "enable": false }), "`network` is `other`"),
        (json!({ "IPv6": "::/0" }), "`IPv6` is `::/0`, no address: write a host's address"),
        (json!({ "IPv6": "::1/128" }), "an address of the loopback"),
        (json!({ "IPv6": "ff02::1/64" }), "a multicast address"),
        (json!({ "IPv6": "fe80::1/64" }), "an address of the link alone"),
        (json!({ "IPv6": "::ffff:16.0.0.1/112" }), "an address of IPv4"),
        (json!({ "IPv4": "0.0.0.0/0" }), "`IPv4` is `0.0.0.0/0`, no address: write a host's address"),
        (json!({ "IPv4": "127.0.0.1/8" }), "an address of the loopback"),
        (json!({ "IPv4": "224.0.0.1/4" }), "a multicast address"),
        (json!({ "IPv4": "255.255.255.255/32" }), "a reserved address"),
        (json!({ "IPv4": "0.1.2.3/8" }), "an address of this network itself"),
        (
            default("latency", json!(-1)),
            "`default.latency` is -1: write nanoseconds from 0 to 3600000000000 (3600s)",
        ),
        (default("latency", json!(3_600_000_000_001u64)), "`default.latency` is 3600000000001: write"),
        (default("latency", json!(1e300)), "`default.latency` is 9223372036854775807: write"),
        (default("jitter", json!(-5)), "`default.jitter` is -5: write"),
        (default("jitter", json!(3_600_000_000_001u64)), "`default.jitter` is 3600000000001: write"),
        (
            default("bandwidth", json!(7)),
            "`default.bandwidth` is 7: write bits per second, at least 8000 (8Kbit), or 0",
        ),
        (default("bandwidth", json!(7_999)), "`default.bandwidth` is 7999: write"),
        (default("loss", json!(250)), "`default.loss` is 250: write percent, from 0 to 100, such as 0.1"),
        (default("loss", json!(-0.1)), "`default.loss` is -0.1: write percent"),
        (default("corrupt", json!(100.001)), "`default.corrupt` is 100.001: write percent"),
        (default("corrupt_corr", json!(101)), "`default.corrupt_corr` is 101: write percent"),
        (default("reorder", json!(-1)), "`default.reorder` is -1: write percent"),
        (default("reorder_corr", json!(1e30)), "`default.reorder_corr` is 1000000000"),
        (default("duplicate", json!(-1)), "`default.duplicate` is -1: write percent"),
        (default("duplicate_corr", json!(-1)), "`default.duplicate_corr` is -1: write percent"),
        (
            json!({ "rules": [{ "subnet": "16.0.0.0/16", "filter": 9 }] }),
            "`rules[0].filter` is 9: write 0 to accept",
        ),
        (json!({ "rules": [{ "subnet": "16.0.0.0/16", "filter": -1 }] }), "`rules[0].filter` is -1"),
        (
            json!({ "rules": [{ "subnet": "16.0.0.0/16", "loss": 101 }] }),
            "`rules[0].loss` is 101: write percent",
        ),
        (subnet(""), "`rules[1].subnet` is ``: write a network with its length, such as `16.0.0.0/16`"),
        (subnet("16.0.0.7"), "`rules[1].subnet` is `16.0.0.7`: write a network with its length"),
        (subnet("16.0.0.7/24"), "write `16.0.0.0/24` or `16.0.0.7`"),
        (subnet("16.0.0.0/33"), "`33` is no length of a prefix"),
        (subnet("everybody/8"), "`everybody` is no IP address"),
    ] {
        let error = refused(value.clone());
        assert!(error.contains(words), "{value}: {error}");
    }
}

#[test]
fn a_link_that_a_configuration_was_refused_for_is_as_it_was() {
    let before =
        after([json!({ "default": { "latency": 5 }, "rules": [{ "subnet": "16.0.0.5/32", "filter": 2 }] })]);
    let now = before.clone();
    let refused = json!({ "IPv4": "16.0.0.9/16", "rules": [{ "subnet": "16.0.0.5/32" }, { "subnet": "x" }] });
    assert!(now.configured(&config(refused)).is_err());
    assert_eq!(now, before);
}

#[test]
fn more_rules_than_a_link_can_have_are_refused() {
    let rule = |nth: u32| json!({ "subnet": format!("{}/32", std::net::Ipv4Addr::from(0x1000_0000 + nth)), "filter": 2 });
    let most = rules::RULES_MAX as u32;
    let link = after([json!({ "rules": (0..most).map(rule).collect::<Vec<_>>() })]);
    assert_eq!(wanted(&link).rules(), 2 * most as usize);
    let error =
        after([json!({ "default": { "latency": 1 }, "rules": (0..most).map(rule).collect::<Vec<_>>() })])
            .wanted("eth1", &[])
            .unwrap_err();
    assert!(error.to_string().starts_with("`rules`: more than 65536 rules"), "{error}");
}

proptest! {
    /// What is said in decimals of a percent is to the last bit what the same text is to `apply`.
    #[test]
    fn percentages_survive(whole in 0..100u32, decimals in 0..100_000_000u32) {
        let text = format!("{whole}.{decimals:08}");
        let said: Value = serde_json::from_str(&text).unwrap();
        let shape = shape(json!({ "loss": said }));
        // Less than one step of 2^-32 `apply` refuses; it is none here.
        let Ok(expected) = format!("{text}%").parse::<Probability>() else { return Ok(()) };
        let loss = shape.and_then(|shape| Parts::from(shape).loss).unwrap_or_default();
        prop_assert_eq!(loss, expected);
    }

    #[test]
    fn times_and_rates_survive(latency in 0..=3_600_000_000_000u64, jitter in 0..=100u64, bytes in 1_000..12_500_000_000u64) {
        let jitter = latency / 100 * jitter;
        let shape = shape(json!({ "latency": latency, "jitter": jitter, "bandwidth": bytes * 8 })).unwrap();
        prop_assert_eq!((shape.latency(), shape.jitter()), (Delay::from_ns(latency), Delay::from_ns(jitter)));
        prop_assert_eq!(shape.bandwidth(), Some(Rate::from_bytes_per_sec(bytes)));
    }

    /// Whatever numbers there are make a link, or an error that names a key.
    #[test]
    fn any_numbers_are_wanted_or_refused(
        latency in any::<i64>(), small in 0..4_000_000_000_000i64, jitter in prop_oneof![any::<i64>(), 0..4_000_000_000_000i64],
        bandwidth in any::<u64>(), percentages in prop::array::uniform7(-1.0..102.0f64), filter in -1..4i64,
    ) {
        let [loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr] = percentages;
        for latency in [latency, small] {
            let shape = json!({
                "latency": latency, "jitter": jitter, "bandwidth": bandwidth, "filter": filter, "subnet": "16.0.0.0/16",
                "loss": loss, "corrupt": corrupt, "corrupt_corr": corrupt_corr, "reorder": reorder,
                "reorder_corr": reorder_corr, "duplicate": duplicate, "duplicate_corr": duplicate_corr,
            });
            match Link::default().configured(&config(json!({ "default": shape, "rules": [shape] }))) {
                Ok(link) => prop_assert!(link.wanted("eth1", &[]).is_ok()),
                Err(error) => {
                    let text = error.to_string();
                    prop_assert!(text.starts_with("`default.") || text.starts_with("`rules[0]."), "{}", text);
                }
            }
        }
    }
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}
