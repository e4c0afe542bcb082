use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn parse(json: &str) -> Config {
    Config::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refused(json: &str) -> String {
    match Config::parse(json) {
        Ok(config) => panic!("{json}: {config:?}"),
        Err(error) => error.to_string(),
    }
}

/// The example of what all three SDKs may write.
const ALL_KEYS: &str = r#"{"network":"default","IPv4":"16.0.1.7/16","IPv6":null,"enable":true,
    "default":{"latency":100000000,"jitter":1500000,"bandwidth":1048576,"filter":0,"loss":0.1,"corrupt":0,
               "corrupt_corr":0,"reorder":25.0,"reorder_corr":50,"duplicate":1,"duplicate_corr":0},
    "rules":[{"subnet":"16.0.0.5/32","filter":2,"latency":0,"jitter":0,"bandwidth":0,"loss":0,"corrupt":0,
              "corrupt_corr":0,"reorder":0,"reorder_corr":0,"duplicate":0,"duplicate_corr":0}],
    "callback_state":"net-1","callback_target":1,"routing_policy":"deny_all"}"#;

fn all_keys() -> Config {
    Config {
        network: "default".to_owned(),
        ipv4: "16.0.1.7/16".parse().ok(),
        ipv6: None,
        enable: true,
        default: LinkShape {
            latency: 100_000_000,
            jitter: 1_500_000,
            bandwidth: 1_048_576,
            loss: 0.1,
            reorder: 25.0,
            reorder_corr: 50.0,
            duplicate: 1.0,
            ..LinkShape::default()
        },
        rules: vec![LinkRule {
            subnet: "16.0.0.5/32".to_owned(),
            shape: LinkShape { filter: 2, ..LinkShape::default() },
        }],
        callback_state: "net-1".to_owned(),
        callback_target: Some(1),
        routing_policy: RoutingPolicy::DenyAll,
        notes: Vec::new(),
    }
}

#[test]
fn every_key_is_read() {
    assert_eq!(parse(ALL_KEYS), all_keys());
}

#[test]
fn what_the_sdks_for_go_and_rust_write_of_nothing_is_nothing() {
    let go = r#"{"network":"","IPv4":null,"IPv6":null,"enable":false,"default":{"latency":0,"jitter":0,"bandwidth":0,
        "filter":0,"loss":0,"corrupt":0,"corrupt_corr":0,"reorder":0,"reorder_corr":0,"duplicate":0,"duplicate_corr":0},
        "rules":null,"callback_state":"","routing_policy":""}"#;
    let rust = go.replace(":0,", ":0.0,").replace(r#""latency":0.0"#, r#""latency":0"#);
    // Of JavaScript, nothing is what nobody said.
    for json in [go, &rust, "{}", "null"] {
        assert_eq!(parse(json), Config::default(), "{json}");
    }
}

#[test]
fn keys_are_found_in_either_case_and_unknown_ones_passed_over() {
    let config = parse(
        r#"{"Network":"default","ipv4":"16.0.1.7/12","ENABLE":true,"Default":{"Latency":5,"bandWidth":8000},
            "Rules":[{"Subnet":"16.0.0.0/16","FILTER":1}],"Callback_State":"a","Routing_Policy":"allow_all",
            "frobnicate":{"latency":7},"bandwidth":9}"#,
    );
    assert_eq!((config.network.as_str(), config.enable), ("default", true));
    assert_eq!(config.ipv4.map(|ipv4| ipv4.to_string()).as_deref(), Some("16.0.1.7/12"));
    assert_eq!((config.default.latency, config.default.bandwidth), (5, 8000));
    assert_eq!((config.rules[0].subnet.as_str(), config.rules[0].shape.filter), ("16.0.0.0/16", 1));
    assert_eq!((config.callback_state.as_str(), config.routing_policy), ("a", RoutingPolicy::AllowAll));
    // Of several, the one in small letters, unless it is null.
    assert_eq!(parse(r#"{"enable":true,"ENABLE":false}"#).enable, parse(r#"{"enable":true}"#).enable);
    assert!(parse(r#"{"enable":null,"Enable":true}"#).enable);
}

#[test]
fn null_for_any_key_is_as_if_it_were_not_there() {
    let Ok(Value::Object(all)) = serde_json::from_str(ALL_KEYS) else { panic!("an object") };
    for key in all.keys() {
        let mut with_null = all.clone();
        let mut without = all.clone();
        with_null.insert(key.clone(), Value::Null);
        without.remove(key);
        let [with_null, without] = [with_null, without].map(|map| parse(&Value::Object(map).to_string()));
        assert_eq!(with_null, without, "{key}");
    }
    let Some(Value::Object(shape)) = all.get("default") else { panic!("an object") };
    for key in shape.keys() {
        let mut nulls = shape.clone();
        nulls.insert(key.clone(), Value::Null);
        nulls.insert("subnet".to_owned(), Value::Null);
        let config = parse(&json!({ "default": nulls, "rules": [nulls, null] }).to_string());
        assert_eq!(config.rules[0], LinkRule { subnet: String::new(), shape: config.default });
        assert_eq!(config.rules[1], LinkRule::default());
    }
}

#[test]
fn whole_numbers_are_taken_in_any_notation_and_to_the_nearest_that_fits() {
    let latency = |number: &str| parse(&format!(r#"{{"default":{{"latency":{number}}}}}"#)).default.latency;
    for (number, ns) in [
        ("100000000", 100_000_000),
        ("100000000.0", 100_000_000),
        ("1e8", 100_000_000),
        ("1E+8", 100_000_000),
        ("-5", -5),
        ("-0", 0),
        ("-0.0", 0),
        ("9223372036854775807", i64::MAX),
        ("9223372036854775808", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("1e300", i64::MAX),
        ("-1e300", i64::MIN),
        ("123456789012345678901234567890", i64::MAX),
    ] {
        assert_eq!(latency(number), ns, "{number}");
    }
    let bandwidth =
        |number: &str| parse(&format!(r#"{{"default":{{"bandwidth":{number}}}}}"#)).default.bandwidth;
    for (number, bits) in [
        ("1048576", 1_048_576),
        ("18446744073709551615", u64::MAX),
        // What the sync service makes of it.
        ("18446744073709552000", u64::MAX),
        ("9007199254740993", (1 << 53) + 1),
        ("1e10", 10_000_000_000),
        ("0.0", 0),
    ] {
        assert_eq!(bandwidth(number), bits, "{number}");
    }
}

#[test]
fn values_that_only_the_link_can_judge_are_read() {
    let config =
        parse(r#"{"default":{"latency":-1,"loss":250,"filter":9},"rules":[{"subnet":"16.0.0.7/24"}]}"#);
    assert_eq!((config.default.latency, config.default.loss, config.default.filter), (-1, 250.0, 9));
    assert_eq!(config.rules[0].subnet, "16.0.0.7/24");
    assert_eq!(parse(r#"{"IPv6":"fd00::1/64"}"#).ipv6, "fd00::1/64".parse().ok());
    // Floats as Go prints those of 32 bits.
    assert_eq!(parse(r#"{"default":{"loss":33.333332}}"#).default.loss, 33.333332);
    assert_eq!(parse(r#"{"IPv4":"16.0.0.5/ff00ff00"}"#).ipv4.map(|ipv4| ipv4.prefix_len), Some(8));
    assert_eq!(parse(r#"{"rules":null}"#).rules, []);
}

#[test]
fn what_is_no_configuration_is_refused_with_the_key_the_value_and_what_would_be_right() {
    for (json, words) in [
        ("", "the network configuration is no JSON"),
        ("{", "the network configuration is no JSON"),
        ("[]", "the network configuration is `[]`: write an object"),
        (r#""x""#, "the network configuration is `\"x\"`: write an object"),
        (r#"{"network":7}"#, "`network` is `7`: write a string"),
        (r#"{"enable":1}"#, "`enable` is `1`: write true or false"),
        (r#"{"enable":"true"}"#, "`enable` is `\"true\"`: write true or false"),
        (r#"{"IPv4":"16.0.1.2"}"#, "`IPv4` is `\"16.0.1.2\"`: write an IPv4 address with the length"),
        (r#"{"IPv4":""}"#, "`IPv4` is `\"\"`"),
        (r#"{"IPv4":"fd00::1/64"}"#, "`IPv4` is `\"fd00::1/64\"`"),
        (r#"{"IPv4":{}}"#, "`IPv4` is `{}`"),
        (r#"{"IPv6":5}"#, "`IPv6` is `5`: write an IPv6 address with the length"),
        (r#"{"IPv6":""}"#, "`IPv6` is `\"\"`"),
        (r#"{"IPv6":"fd00::1"}"#, "`IPv6` is `\"fd00::1\"`"),
        (r#"{"IPv6":"16.0.1.2/16"}"#, "`IPv6` is `\"16.0.1.2/16\"`"),
        (r#"{"default":[]}"#, "`default` is `[]`: write an object"),
        (r#"{"default":{"latency":1.5}}"#, "`default.latency` is `1.5`: write a whole number of nanoseconds"),
        (r#"{"default":{"latency":"100ms"}}"#, "`default.latency` is `\"100ms\"`: write a whole number"),
        (r#"{"default":{"jitter":true}}"#, "`default.jitter` is `true`"),
        (
            r#"{"default":{"bandwidth":-1}}"#,
            "`default.bandwidth` is `-1`: write a whole number of bits per second",
        ),
        (r#"{"default":{"bandwidth":-1e30}}"#, "`default.bandwidth` is `-1e"),
        (
            r#"{"default":{"filter":"drop"}}"#,
            "`default.filter` is `\"drop\"`: write 0 to accept, 1 to reject or 2",
        ),
        (r#"{"default":{"loss":"1%"}}"#, "`default.loss` is `\"1%\"`: write a number from 0 to 100"),
        (r#"{"rules":{}}"#, "`rules` is `{}`: write a list"),
        (r#"{"rules":[7]}"#, "`rules[0]` is `7`: write an object"),
        (r#"{"rules":[{},{"subnet":16}]}"#, "`rules[1].subnet` is `16`: write a string"),
        (r#"{"rules":[{"latency":0.5}]}"#, "`rules[0].latency` is `0.5`"),
        (r#"{"callback_state":1}"#, "`callback_state` is `1`: write a string"),
        (r#"{"routing_policy":0}"#, "`routing_policy` is `0`: write a string"),
    ] {
        let error = refused(json);
        assert!(error.contains(words), "{json}: {error}");
    }
    // Whatever a client is to wait for is its own business.
    for target in ["-1", "1.5", "\"x\"", "{}"] {
        assert_eq!(parse(&format!(r#"{{"callback_target":{target}}}"#)).callback_target, None, "{target}");
    }
    let long = refused(&json!({ "network": "x", "enable": "y".repeat(10_000) }).to_string());
    assert!(long.len() < 300, "{long}");
}

#[test]
fn other_policies_are_deny_all_and_that_is_said() {
    for (word, policy, notes) in [
        ("allow_all", RoutingPolicy::AllowAll, 0),
        ("deny_all", RoutingPolicy::DenyAll, 0),
        ("", RoutingPolicy::DenyAll, 0),
        ("Allow_All", RoutingPolicy::DenyAll, 1),
        ("allow-all", RoutingPolicy::DenyAll, 1),
    ] {
        let config = parse(&json!({ "routing_policy": word }).to_string());
        assert_eq!((config.routing_policy, config.notes.len()), (policy, notes), "{word}");
    }
    let misspelt = parse(r#"{"default":{"bandwith":5},"rules":[{"bandwith":5}]}"#);
    assert_eq!(misspelt.notes.len(), 2, "{:?}", misspelt.notes);
    assert!(misspelt.notes[1].starts_with("`rules[0].bandwith` is passed over"), "{:?}", misspelt.notes);
}

fn any_shape() -> impl Strategy<Value = LinkShape> {
    let percent = || {
        prop_oneof![
            Just(0.0),
            Just(100.0),
            (0.0..=100.0f32).prop_map(f64::from),
            any::<f32>().prop_map(f64::from)
        ]
        .prop_filter("JSON has no such number", |percent| percent.is_finite())
    };
    let percentages = prop::array::uniform7(percent());
    (any::<i64>(), any::<i64>(), any::<u64>(), any::<i8>(), percentages).prop_map(
        |(latency, jitter, bandwidth, filter, percentages)| {
            let [loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr] = percentages;
            LinkShape {
                latency,
                jitter,
                bandwidth,
                filter: filter.into(),
                loss,
                corrupt,
                corrupt_corr,
                reorder,
                reorder_corr,
                duplicate,
                duplicate_corr,
            }
        },
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9./:]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "network", "IPv4", "IPv6", "enable", "default", "rules", "subnet", "latency", "loss"
        ])
        .prop_map(str::to_owned),
        "[A-Za-z_]{0,6}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// As an SDK writes it: keys that say nothing left out or not, in either case, among others.
fn written(shape: &LinkShape, leaves_out: bool, in_capitals: bool) -> Map<String, Value> {
    let LinkShape { latency, jitter, bandwidth, filter, loss, corrupt, corrupt_corr, .. } = *shape;
    let LinkShape { reorder, reorder_corr, duplicate, duplicate_corr, .. } = *shape;
    let members = BTreeMap::from([
        ("latency", json!(latency)),
        ("jitter", json!(jitter)),
        ("bandwidth", json!(bandwidth)),
        ("filter", json!(filter)),
        ("loss", json!(loss)),
        ("corrupt", json!(corrupt)),
        ("corrupt_corr", json!(corrupt_corr)),
        ("reorder", json!(reorder)),
        ("reorder_corr", json!(reorder_corr)),
        ("duplicate", json!(duplicate)),
        ("duplicate_corr", json!(duplicate_corr)),
    ]);
    let members = members.into_iter().filter(|(_, value)| !leaves_out || value.as_f64() != Some(0.0));
    let case = |key: &str| if in_capitals { key.to_uppercase() } else { key.to_owned() };
    members.map(|(key, value)| (case(key), value)).collect()
}

proptest! {
    #[test]
    fn values_are_read_as_they_are(
        shape in any_shape(), enable in any::<bool>(), leaves_out in any::<bool>(), in_capitals in any::<bool>(),
    ) {
        let mut rule = written(&shape, leaves_out, in_capitals);
        rule.insert("subnet".to_owned(), "16.0.0.7/24".into());
        let default = written(&shape, leaves_out, in_capitals);
        let config = parse(&json!({ "default": default, "rules": [rule], "enable": enable }).to_string());
        let LinkShape { loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr, .. } = config.default;
        // serde_json reads numbers to the last bit but one.
        let read = [loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr].map(|read| read as f32);
        let LinkShape { loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr, .. } = shape;
        prop_assert_eq!(read, [loss, corrupt, corrupt_corr, reorder, reorder_corr, duplicate, duplicate_corr].map(|said| said as f32));
        let whole = |shape: LinkShape| (shape.latency, shape.jitter, shape.bandwidth, shape.filter);
        prop_assert_eq!(whole(config.default), whole(shape));
        prop_assert_eq!(&config.rules[0], &LinkRule { subnet: "16.0.0.7/24".to_owned(), shape: config.default });
        prop_assert_eq!(config.enable, enable);
    }

    #[test]
    fn nothing_makes_it_panic(json in any_json(), text in ".{0,40}") {
        let _read_or_refused = (Config::parse(&json.to_string()), Config::parse(&text));
    }
}
