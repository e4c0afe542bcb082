mod bounds;

use proptest::prelude::*;

use super::*;
use crate::rules::any::{any_rule, rule_of};
use crate::shape::Named as _;

/// A file with every key.
const TOML: &str = r#"
# What the laboratory's uplink does.
dev = "eth0"
direction = "both"
engine = "edt"
seed = 18446744073709551615
shape_neighbours = true
fail_closed = true
mtu = 1400

[[rules]]
latency = "10ms"
loss_pattern = "0010"

[[rules]]
to = "10.0.0.5:80/tcp"
direction = "ingress"
filter = "drop"
after = "10s"
for = "1min"
latency = "10ms"
keep_order = true
jitter = "1ms"
seed = 7

[[rules]]
to = "[fd00::/64]:*/udp"
"#;
const YAML: &str = r#"
# What the laboratory's uplink does.
dev: eth0
direction: both
engine: edt
seed: 18446744073709551615
shape_neighbours: true
fail_closed: true
mtu: 1400
rules:
  - latency: 10ms
    loss_pattern: 0010
  - {to: 10.0.0.5:80/tcp, direction: ingress, filter: drop, after: 10s, for: 1min, latency: 10ms, keep_order: true, jitter: 1ms, seed: 7}
  - to: "[fd00::/64]:*/udp"
"#;
const JSON: &str = r#"
{"dev": "eth0", "direction": "both", "engine": "edt", "seed": 18446744073709551615, "shape_neighbours": true, "fail_closed": true, "mtu": 1400,
 "rules": [
  {"latency": "10ms", "loss_pattern": "0010"},
  {"to": "10.0.0.5:80/tcp", "direction": "ingress", "filter": "drop", "after": "10s", "for": "1min", "latency": "10ms",
   "keep_order": true, "jitter": "1ms", "seed": 7},
  {"to": "[fd00::/64]:*/udp"}
 ]}
"#;
/// The same texts with their formats.
pub(super) const TEXTS: [(Format, &str); 3] =
    [(Format::Toml, TOML), (Format::Yaml, YAML), (Format::Json, JSON)];

/// As many rules as there can be, or fewer where each takes ten times as long to read.
const MANY: usize = if cfg!(debug_assertions) { RULES_MAX / 16 } else { RULES_MAX };

fn parse(text: &str, format: Format) -> File {
    File::parse(text, format).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refusal(text: &str, format: Format) -> String {
    let text_start: String = text.chars().take(100).collect();
    match File::parse(text, format) {
        Ok(file) => panic!("{text_start}: {file:?}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn one_schema_for_three_formats() {
    let file = parse(TOML, Format::Toml);
    assert_eq!(
        (file.dev(), file.direction(), file.engine()),
        (Some("eth0"), Direction::Both, EngineChoice::Edt)
    );
    assert_eq!((file.seed(), file.mtu().map(Mtu::bytes)), (Some(u64::MAX), Some(1400)));
    assert!(file.shape_neighbours() && file.fail_closed() && !file.down());
    let dropped = r#"{"to":"10.0.0.5:80/tcp","filter":"drop","after":"10s","for":"60s","latency":"10ms","jitter":"1ms","keep_order":true,"seed":7}"#;
    let rules = [r#"{"latency":"10ms","loss_pattern":"0010"}"#, dropped, r#"{"to":"[fd00::/64]:*/udp"}"#]
        .map(rule_of);
    assert_eq!(file.rules(abi::Direction::Ingress), RuleSet::new(rules).unwrap());
    assert_eq!(file.rules(abi::Direction::Egress), RuleSet::new([rules[0], rules[2]]).unwrap());
    for (format, text) in TEXTS {
        assert_eq!(parse(text, format), file, "{format}");
        assert_eq!(Format::guess(text), format);
        for to in Format::ALL {
            assert_eq!(parse(&file.to_text(*to), *to), file, "{to}");
        }
    }
}

#[test]
fn the_example_of_the_readme_is_a_file() {
    let readme = include_str!("../../../../README.md");
    let (_, behind) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = behind.split_once("```").expect("its end");
    let file = parse(example, Format::Toml);
    assert_eq!((file.dev(), file.rules(abi::Direction::Egress).len()), (Some("eth0"), 3));
}

#[test]
fn the_canonical_text_leaves_out_what_goes_without_saying() {
    let text = |text, format| {
        parse(r#"{"direction":"egress","engine":"auto","down":false,"rules":[{"latency":"1ms","direction":"egress"},{"to":"::1","direction":"both"}]}"#, text).to_text(format)
    };
    assert_eq!(
        text(Format::Json, Format::Toml),
        "[[rules]]\nlatency = \"1ms\"\n\n[[rules]]\ndirection = \"both\"\nto = \"::1\"\n"
    );
    assert_eq!(
        text(Format::Yaml, Format::Yaml),
        "rules:\n- latency: \"1ms\"\n- direction: \"both\"\n  to: \"::1\"\n"
    );
    assert!(
        text(Format::Json, Format::Json)
            .starts_with("{\n  \"rules\": [\n    {\n      \"latency\": \"1ms\"\n")
    );
    let none = parse("rules = []\n", Format::Toml);
    for (format, text) in [
        (Format::Toml, "rules = []\n"),
        (Format::Yaml, "rules: []\n"),
        (Format::Json, "{\n  \"rules\": []\n}\n"),
    ] {
        assert_eq!(none.to_text(format), text);
    }
}

#[test]
fn no_rules_must_be_said() {
    assert!(parse("rules = []", Format::Toml).rules(abi::Direction::Egress).is_empty());
    assert!(parse("down: true", Format::Yaml).down());
    for (text, format) in [("", Format::Toml), ("dev: eth0", Format::Yaml), ("{}", Format::Yaml)] {
        let error = refusal(text, format);
        assert!(
            error.starts_with("rules: there are none; write at least one, or an empty list"),
            "{text}: {error}"
        );
    }
}

#[test]
fn says_where_what_is_wrong() {
    use Format::{Json, Toml, Yaml};
    for (format, text, expected) in [
        (
            Toml,
            "rules = [{}, {to='::1'}, {}, {latancy='1ms'}]",
            "rules[3].latancy: unknown key; did you mean `latency`?",
        ),
        (Yaml, "rules:\n- latancy: 1ms", "rules[0].latancy: unknown key; did you mean `latency`?"),
        (
            Json,
            r#"{"rules":[{"directoin":"both"}]}"#,
            "rules[0].directoin: unknown key; did you mean `direction`?",
        ),
        (Json, r#"{"rules":[{"time_limit":"1s"}]}"#, "rules[0].time_limit: unknown key; did you mean `for`?"),
        (Json, r#"{"rules":[{"Filter":"drop"}]}"#, "rules[0].Filter: unknown key; did you mean `filter`?"),
        (Toml, "rule = []", "rule: unknown key; did you mean `rules`?"),
        (Toml, "interface = 'eth0'", "interface: unknown key; did you mean `dev`?"),
        (Yaml, "shape-neighbours: true", "shape-neighbours: unknown key; did you mean `shape_neighbours`?"),
        (
            Yaml,
            "colour: red",
            "colour: unknown key; the keys here are `dev`, `direction`, `engine`, `seed`, ",
        ),
        (Yaml, "\"a\\nb\": red", "a\\nb: unknown key"),
        (Toml, "dev.name = 'eth0'", "dev: a table is here: write a text in quotes"),
        (Yaml, "dev: 5", "dev: the number `5` is here: write a text in quotes"),
        (Yaml, "down: yes", "down: the text `yes` is here: write `true` or `false`"),
        (Toml, "down = 1", "down: the number `1` is here: write `true` or `false`"),
        (
            Toml,
            "mtu = 1000\nrules = []",
            "mtu: an MTU of 1000 is out of range: give from 1280 (below, the kernel takes IPv6 off",
        ),
        (Json, r#"{"mtu": 65536}"#, "mtu: an MTU of 65536 is out of range"),
        (Yaml, "mtu: '1400'", "mtu: the text `1400` is here: write a whole number from 0 to 4294967295"),
        (Yaml, "mtu: 1400", "rules: there are none"),
        (
            Toml,
            "seed = -1",
            "seed: the number `-1` is here: write a whole number from 0 to 18446744073709551615",
        ),
        (Toml, "seed = 1.5", "seed: the number `1.5` is here: write a whole number"),
        (Json, "{\"rules\": null}", "rules: nothing is here: write a list of rules, which may be empty"),
        (Toml, "rules = 5", "rules: the number `5` is here: write a list of rules, which may be empty"),
        (Toml, "rules = ['drop']", "rules[0]: the text `drop` is here: write a rule (keys and values)"),
        (Toml, "[rules]\nlatency = '1ms'", "rules: a table is here: write a list of rules"),
        (
            Json,
            r#"{"rules":[{"latency":"100"}]}"#,
            "rules[0].latency: `100` has no unit: write `100ms` or `100us`",
        ),
        (
            Json,
            r#"{"rules":[{"latency":100}]}"#,
            "rules[0].latency: the number `100` is here: write a time as a string: a number and `ns`",
        ),
        (
            Json,
            r#"{"rules":[{"to":"10.0.0.5/24"}]}"#,
            "rules[0].to: `10.0.0.5/24` has bits set behind the first 24: write `10.0.0.0/24`",
        ),
        (Yaml, "rules:\n- to: [fd00::5]:80", "line 2, column "),
        (
            Yaml,
            "rules:\n- to: [\"fd00::5\"]",
            "rules[0].to: a list is here: write a destination as a string: an address",
        ),
        (
            Toml,
            "rules = [{filter = 'deny'}]",
            "rules[0].filter: `deny` is not a filter: write one of `accept`, `drop`",
        ),
        (
            Toml,
            "direction = 'out'",
            "direction: `out` is not a direction: write one of `egress`, `ingress`, `both`",
        ),
        (Toml, "rules = [{direction = 'out'}]", "rules[0].direction: `out` is not a direction"),
        (
            Toml,
            "rules = [{keep_order = 'yes'}]",
            "rules[0].keep_order: the text `yes` is here: write `true` or `false`",
        ),
        (Toml, "rules = [{to = '::1'}, {}]", "rules[1]: nothing to apply: give a latency"),
        (
            Toml,
            "rules = [{filter = 'drop', loss = '1%'}]",
            "rules[0]: filter `drop` leaves the shape nothing to act on",
        ),
        (Toml, "dev = 'e/0'\nrules = []", "dev: `e/0` cannot be the name of a link"),
        (
            Json,
            r#"{"rules":[{"to":"::1"},{"to":"::2"},{"to":"::1/128"}]}"#,
            "rules[2]: rules[0] is for `::1` already, in the same direction",
        ),
        (
            Json,
            r#"{"rules":[{"loss":"1%","direction":"both"},{"loss":"1%","direction":"ingress"}]}"#,
            "rules[1]: rules[0] is for all peers",
        ),
        (Json, r#"{"dev":"a","dev":"b"}"#, "`dev` is given twice"),
        (Json, r#"{"rules":[{"to":"::1","to":"::1"}]}"#, "rules[0]: `to` is given twice"),
        (Json, r#"{"rules":[{"loss":"1%","loss":"1%"}]}"#, "rules[0]: `loss` is given twice"),
        (Toml, "dev = 'a'\ndev = 'b'", "line 2, column 1: duplicate key"),
        (Yaml, "dev: a\ndev: b", "line 2, column 1: duplicate mapping key"),
        (Toml, "dev = 'ü' x", "line 1, column 11: "),
        (Toml, "dev = eth0", "line 1, column 7: "),
        (Toml, "dev = 'eth0", "(the file is read as toml)"),
        (Yaml, "a: [1,\nb: }", "line 1, column 4: mismatched bracket"),
        (Yaml, "dev: *x", "alias references unknown anchor"),
        (Json, "{\"dev\": \"a\",\n}", "line 2, column 1: trailing comma (the file is read as json)"),
        (Json, "{\"rules\": []} x", "line 1, column 15: trailing characters"),
        (Json, "", "line 1, column 1: EOF while parsing"),
        (Json, "[\"eth0\", \"both\"]", "this is no file of rules: write keys and values"),
        (Yaml, "", "this is no file of rules"),
        (Yaml, "- eth0", "this is no file of rules"),
        (Yaml, "rules: []\n---\nrules: []", "multiple YAML documents"),
        (
            Json,
            r#"{"seed": 18446744073709551616}"#,
            "seed: the number `18446744073709552000.0` is here: write a whole",
        ),
        (Toml, "seed = 18446744073709551616", "line 1, column 8: "),
    ] {
        let error = refusal(text, format);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.len() < 1_000 && !error.contains('\n'), "{error}");
    }
}

#[test]
fn errors_do_not_repeat_the_whole_file() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!("{long} = 1"),
        format!("{long}.y = 1"),
        format!("dev = '{long}'\nrules = []"),
        format!("down = '{long}'"),
        format!("engine = '{long}'"),
        format!("rules = [{{to = '{long}'}}]"),
        format!("rules = [{{latency = '{long}'}}]"),
        format!("rules = [{{{long} = 1}}]"),
        format!("x = {long}"),
    ] {
        let error = refusal(&text, Format::Toml);
        assert!(error.len() < 2_000, "{}", error.len());
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    for (format, text) in TEXTS {
        let marked = format!("\u{feff}{text}");
        assert_eq!(parse(&marked, format), parse(text, format));
        assert_eq!(Format::guess(&marked), format);
    }
}

#[test]
fn the_format_is_told_by_the_name_or_guessed() {
    for (name, format) in [
        ("a.toml", Some(Format::Toml)),
        ("a/b.YAML", Some(Format::Yaml)),
        ("b.yml", Some(Format::Yaml)),
        ("b.tar.json", Some(Format::Json)),
        ("-", None),
        ("rules.conf", None),
        ("toml", None),
    ] {
        assert_eq!(Format::of_name(name.as_ref()), format, "{name}");
    }
    for (text, format) in [
        ("", Format::Toml),
        ("# nothing\n", Format::Toml),
        (" \n{\"rules\": []}", Format::Json),
        ("{rules: []}", Format::Json),
        ("rules = []", Format::Toml),
        ("rules: []", Format::Yaml),
        ("---\nrules: []", Format::Yaml),
        // Broken, so that the errors are of the format that was meant.
        ("# x: y\ndev = eth0\nrules: []", Format::Toml),
        ("[[rules]\n", Format::Toml),
        ("dev: eth0\nrules: [", Format::Yaml),
        ("rules:\n- to: \"a = b\n", Format::Yaml),
        ("hello", Format::Yaml),
    ] {
        assert_eq!(Format::guess(text), format, "{text}");
    }
}

/// Any file of a few rules.
pub(super) fn any_file() -> impl Strategy<Value = File> {
    let direction = || prop::option::of(prop::sample::select(Direction::ALL));
    let engine = prop::option::of(prop::sample::select(EngineChoice::ALL));
    let dev = prop::option::of("[^/:\\s\\p{C}]{1,3}|[a-z0-9@.\"'\\\\-]{1,15}|true|null|1e5|~|0x1f");
    let rules = prop::collection::vec((direction(), any_rule()), 0..5);
    let flags = (any::<[bool; 3]>(), prop::option::of(Mtu::MIN..=Mtu::MAX));
    (dev, direction(), engine, any::<Option<u64>>(), flags, rules).prop_filter_map(
        "a name or rules that cannot be",
        |(dev, direction, engine, seed, ([shape_neighbours, fail_closed, down], mtu), rules)| {
            let entry = |(direction, rule): (_, Rule)| Entry { direction, rule: rule.into() };
            let rules = Some(rules.into_iter().map(entry).collect());
            let mtu = mtu.and_then(|bytes| Mtu::try_from(bytes).ok());
            File::new(Document {
                dev,
                direction,
                engine,
                seed,
                shape_neighbours,
                fail_closed,
                down,
                mtu,
                rules,
            })
            .ok()
        },
    )
}

proptest! {
    #[test]
    fn a_file_survives_its_text(file in any_file()) {
        for format in Format::ALL {
            let text = file.to_text(*format);
            let read = File::parse(&text, *format);
            prop_assert_eq!(read.as_ref(), Ok(&file), "{}", &text);
            prop_assert_eq!(file.to_text(*format), text.as_str());
            prop_assert_eq!(Format::guess(&text), *format, "{}", &text);
        }
    }

    #[test]
    fn reading_any_text_never_panics(text in any::<String>(), like in "[\\[\\]{}:=,\"'a-z0-9.#&*!|>%@`\\-? \n\t]{0,80}") {
        for text in [&text, &like] {
            Format::ALL.iter().for_each(|format| drop(File::parse(text, *format)));
            let _ = Format::guess(text);
        }
    }
}

/// What the files of the tests say.
fn files(name: &str) -> Result<Measured, String> {
    match name {
        "./table.dist" => Ok(Measured::parse("-8192 8192").expect("a table")),
        "lan.txt" => Ok(Measured::parse("10ms\n30ms").expect("samples")),
        _ => Err("no such file".to_owned()),
    }
}

#[test]
fn a_distribution_may_be_in_a_file() {
    use Format::{Json, Toml, Yaml};
    let with = |text: &str, format| File::parse_with(text, format, &mut files);
    for (format, text) in [
        (
            Toml,
            "[[rules]]\ndistribution = './table.dist'\nlatency = '5ms'\njitter = '1ms'\n[[rules]]\nto = '10.0.0.1'\ndistribution = 'lan.txt'",
        ),
        (
            Yaml,
            "rules:\n- {distribution: ./table.dist, latency: 5ms, jitter: 1ms}\n- {to: 10.0.0.1, distribution: lan.txt, jitter: null}",
        ),
        (
            Json,
            r#"{"rules":[{"distribution":"./table.dist","latency":"5ms","jitter":"1ms"},{"to":"10.0.0.1","distribution":"lan.txt"}]}"#,
        ),
    ] {
        let file = with(text, format).unwrap();
        let rules = file.rules(abi::Direction::Egress);
        let shapes: Vec<_> = rules.iter().filter_map(Rule::shape).collect();
        let told: Vec<_> =
            shapes.iter().map(|shape| (shape.latency().as_ns(), shape.jitter().as_ns())).collect();
        assert_eq!(told.len(), 2);
        assert!(
            told.contains(&(5_000_000, 1_000_000)) && told.contains(&(20_000_000, 10_000_000)),
            "{told:?}"
        );
        assert_eq!(shapes[0].distribution(), shapes[1].distribution(), "both are one step up or down");
        // Told again, the file is not needed.
        for format in Format::ALL {
            assert_eq!(File::parse(&file.to_text(*format), *format), Ok(file.clone()));
        }
    }
    for (text, expected) in [
        ("[[rules]]\ndistribution = './none'", "rules[0].distribution: no such file"),
        (
            "[[rules]]\nto = '::1'\n[[rules]]\ndistribution = 'lan.txt'\nlatency = '7ms'",
            "rules[1].distribution: latency 7ms contradicts the delays in the file, of which the mean is 20ms",
        ),
        (
            "[[rules]]\ndistribution = 'lan.txt'\njitter = '7ms'",
            "rules[0].distribution: jitter 7ms contradicts",
        ),
        (
            "[[rules]]\ndistribution = './table.dist'\nlatency = '7ms'",
            "rules[0]: distribution `table (4096 values",
        ),
    ] {
        let error = with(text, Toml).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Who reads a text alone reads no file.
    assert!(refusal("[[rules]]\ndistribution = './table.dist'", Toml).contains("no file is read here"));
}
