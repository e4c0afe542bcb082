use proptest::prelude::*;
use shaper_common::abi;

use super::*;
use crate::rules::RuleParts;
use crate::rules::any::any_rule;
use crate::shape::{Direction, EngineChoice};

fn labels(text: &[(&str, &str)]) -> BTreeMap<String, String> {
    text.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &[(&str, &str)]) -> Asked {
    Asked::read(&labels(text)).unwrap_or_else(|error| panic!("{text:?}: {error}")).expect("ours")
}

fn refused(text: &[(&str, &str)]) -> String {
    match Asked::read(&labels(text)) {
        Err(error) => error.to_string(),
        Ok(asked) => panic!("{text:?}: {asked:?}"),
    }
}

#[test]
fn labels_are_the_words_of_a_rules_file() {
    let asked = read(&[
        ("shaper.latency", "100ms"),
        ("shaper.jitter", "10ms"),
        ("shaper.keep_order", "true"),
        ("shaper.bandwidth", "10mbit"),
        ("shaper.loss", "1%"),
        ("shaper.direction", "both"),
        ("shaper.engine", "relay"),
        ("shaper.seed", "42"),
        ("shaper.mtu", "1400"),
        ("shaper.network", "data"),
        ("com.example", "theirs"),
    ]);
    let text = "direction: both\nengine: relay\nseed: 42\nmtu: 1400\nrules:\n- {latency: 100ms, jitter: 10ms, keep_order: true, \
                bandwidth: 10mbit, loss: 1%}";
    assert_eq!(asked.file, Some(File::parse(text, Format::Yaml).unwrap()));
    assert_eq!(asked.which, Which::Network("data".into()));
    let wanted = asked.wanted(Some("eth1".into())).unwrap();
    assert_eq!((wanted.dev.as_deref(), wanted.direction()), (Some("eth1"), Direction::Both));
    assert_eq!(Asked::read(&labels(&[("com.example", "theirs"), ("shaper", "x")])), Ok(None));
}

#[test]
fn a_whole_file_and_a_policy_are_labels_too() {
    let asked = read(&[
        ("shaper.rules", "dev: eth1\nrules:\n- to: 10.0.0.5\n  filter: drop"),
        ("shaper.policy", "deny-all"),
        ("shaper.keep", "192.0.2.7, 192.0.2.8 10.1.0.0/16"),
    ]);
    assert_eq!(asked.which, Which::Dev("eth1".into()));
    assert_eq!(asked.file.as_ref().map(|file| file.rules(abi::Direction::Egress).len()), Some(1));
    let Some(Routing::DenyAll { keep }) = &asked.policy else { panic!("{asked:?}") };
    assert_eq!(
        keep.iter().map(Keep::to_string).collect::<Vec<_>>(),
        ["192.0.2.7", "192.0.2.8", "10.1.0.0/16"]
    );
    let alone = read(&[("shaper.policy", "allow-all")]);
    assert_eq!((alone.file.clone(), alone.policy.clone()), (None, Some(Routing::AllowAll)));
    assert!(alone.wanted(None).unwrap().wishes.is_empty());
}

#[test]
fn what_cannot_be_names_the_label_and_what_is_legal() {
    for (text, words) in [
        (
            &[("shaper.latancy", "1ms")][..],
            "label `shaper.latancy`: there is no such label; did you mean `shaper.latency`?",
        ),
        (&[("shaper.engin", "edt")], "did you mean `shaper.engine`?"),
        (&[("shaper.rate", "1mbit")], "did you mean `shaper.bandwidth`?"),
        (&[("shaper.", "1ms")], "there are `shaper.latency`, "),
        (&[("shaper.latency", "100")], "label `shaper.latency`: "),
        (&[("shaper.latency", "")], "label `shaper.latency`: "),
        (&[("shaper.latency", "1ms\", \"loss\": \"1%")], "label `shaper.latency`: "),
        (&[("shaper.loss", "0.5")], "label `shaper.loss`: "),
        (&[("shaper.latency", "1ms"), ("shaper.keep_order", "yes")], "write `true` or `false`"),
        (&[("shaper.latency", "1ms"), ("shaper.seed", "-1")], "label `shaper.seed`: "),
        (&[("shaper.latency", "1ms"), ("shaper.engine", "best")], "label `shaper.engine`: "),
        (&[("shaper.jitter", "1ms")], "do not fit together: "),
        (&[("shaper.seed", "1")], "there is no shape: write one"),
        (&[("shaper.dev", "eth0")], "they ask for nothing"),
        (&[("shaper.latency", "1ms"), ("shaper.dev", "a/b")], "label `shaper.dev`: `a/b` cannot be"),
        (
            &[("shaper.latency", "1ms"), ("shaper.dev", "eth0"), ("shaper.network", "n")],
            "say which link once",
        ),
        (&[("shaper.rules", "rules: [{latency: 1}]")], "label `shaper.rules`: rules[0].latency: "),
        (&[("shaper.rules", "rules: []"), ("shaper.latency", "1ms")], "`shaper.rules` says all that"),
        (&[("shaper.policy", "deny")], "label `shaper.policy`: "),
        (
            &[("shaper.policy", "deny-all"), ("shaper.keep", "example.org")],
            "label `shaper.keep`: `example.org` is not",
        ),
        (&[("shaper.latency", "1ms"), ("shaper.keep", "192.0.2.7")], "`shaper.keep` says what"),
    ] {
        let error = refused(text);
        assert!(error.contains(words), "{text:?}: {error}");
    }
}

#[test]
fn an_instance_of_testgrounds_has_one_label_of_ours() {
    let keep = keep_alone(&labels(&[("shaper.keep", "192.0.2.7"), ("testground.run_id", "r")])).unwrap();
    assert_eq!(keep, ["192.0.2.7".parse().unwrap()]);
    let error = keep_alone(&labels(&[("shaper.latency", "1ms")])).unwrap_err().to_string();
    assert!(error.contains("`shaper.latency`") && error.contains("`shaper.keep`"), "{error}");
}

proptest! {
    #[test]
    fn a_rule_survives_its_labels(
        rule in any_rule(),
        direction in prop::sample::select(Direction::ALL),
        engine in prop::sample::select(EngineChoice::ALL),
        seed: Option<u64>,
    ) {
        let document = Document {
            direction: Some(direction),
            engine: Some(engine),
            seed,
            rules: Some(vec![file::Entry { direction: None, rule: RuleParts { shape: crate::shape::Parts { seed: None, ..RuleParts::from(rule).shape }, ..rule.into() } }]),
            ..Document::default()
        };
        let Ok(file) = File::new(document.clone()) else { return Ok(()) };
        let Value::Object(mut members) = serde_json::to_value(&document).unwrap() else { unreachable!() };
        let Some(Value::Array(rules)) = members.remove("rules") else { unreachable!() };
        members.extend(rules[0].as_object().unwrap().clone());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let labels = members.iter().map(|(key, value)| (format!("shaper.{key}"), text(value))).collect();
        prop_assert_eq!(Asked::read(&labels).map(|asked| asked.and_then(|asked| asked.file)), Ok(Some(file)), "{:?}", labels);
    }

    #[test]
    fn any_labels_are_read_or_refused(
        known in prop::collection::btree_map(prop::sample::select([&OF_RULE[..], &OF_LINK, &OWN].concat()), any_value(), 0..4),
        any in prop::collection::btree_map("shaper\\.\\PC{0,40}|\\PC{0,40}", any_value(), 0..2),
    ) {
        let known = known.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value));
        let labels: BTreeMap<String, String> = known.chain(any).collect();
        let _ = keep_alone(&labels);
        if let Ok(Some(asked)) = Asked::read(&labels) {
            prop_assert!(asked.wanted(None).is_ok());
        }
    }
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "100ms",
            "1%",
            "10mbit",
            "true",
            "0",
            "both",
            "deny-all",
            "relay",
            "drop",
            "10.0.0.1",
            "rules: []",
            "eth0"
        ])
        .prop_map(str::to_owned),
        "[0-9]{1,6}(ms|s|%|kbit|b)?",
        "(rules: )?[\\[\\]{}:,a-z0-9. \n-]{0,40}",
    ]
}
