//! How deep, how long and how many: what is beyond is refused before it costs.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;

#[test]
fn yaml_takes_aliases_but_not_without_end() {
    let text = "rules:\n- &slow {latency: 10ms, to: 10.0.0.1}\n- <<: *slow\n  to: 10.0.0.2\n";
    assert_eq!(parse(text, Format::Yaml).rules(abi::Direction::Egress).len(), 2);
    let each = (0..MANY).fold(
        "rules:\n- &slow {latency: 10ms, jitter: 1ms, loss: 1%}\n".to_owned(),
        |mut text, n| {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(n).expect("small"));
            if n > 0 {
                let _ = writeln!(text, "- {{<<: *slow, to: {address}}}");
            }
            text
        },
    );
    assert_eq!(parse(&each, Format::Yaml).rules(abi::Direction::Egress).len(), MANY);

    // A billion laughs: nine aliases to nine aliases to …
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=12 {
        let again = vec![format!("*a{}", level - 1); 9].join(", ");
        let _ = writeln!(laughs, "a{level}: &a{level} [{again}]");
    }
    // Few values, each of them long.
    let long = format!("a: &a \"{}\"\nrules: [{}]", "x".repeat(1 << 20), vec!["*a"; 100_000].join(","));
    // As the keys of a rule, again and again.
    let merges = format!("a: &a {{latency: 1ms}}\nrules:\n- <<: [{}]", vec!["*a"; 3 * RULES_MAX].join(","));
    let itself = "rules: &a [*a]".to_owned();
    for (text, expected) in
        [(laughs, "more values"), (long, "more values"), (merges, "more values"), (itself, "line 1, ")]
    {
        let begin = Instant::now();
        let error = refusal(&text, Format::Yaml);
        assert!(error.contains(expected), "{error}");
        // Without end it would be hours; a debug build takes seconds, and others on the machine are slow, too.
        assert!(begin.elapsed().as_secs() < 120, "{:?}: {error}", begin.elapsed());
    }
}

#[test]
fn depth_is_refused_and_does_not_overflow_the_stack() {
    use Format::{Json, Toml, Yaml};
    const DEPTH: usize = 100_000;
    for (format, opening, closing) in [
        (Json, "[", "]"),
        (Json, "{\"rules\":[", "]}"),
        (Json, "{\"a\":", "}"),
        (Toml, "[", "]"),
        (Toml, "a=[", "]"),
        (Toml, "{a=", "}"),
        (Toml, "a.", ""),
        (Toml, "[[", ""),
        (Yaml, "[", "]"),
        (Yaml, "{a: ", "}"),
        (Yaml, "- ", ""),
        (Yaml, "? ", ""),
        (Yaml, "a: ", ""),
        (Yaml, "!a ", ""),
        (Yaml, "&a ", ""),
        (Yaml, "[{a: ", "}]"),
    ] {
        for prefix in ["", "rules = ", "rules: ", "x = ", "{\"rules\": "] {
            for (count, end) in [(DEPTH, ""), (DEPTH, closing), (100, closing)] {
                let text = format!("{prefix}{}1{}", opening.repeat(count), end.repeat(count));
                refusal(&text, format);
            }
        }
    }
    let nested = (0..DEPTH).fold(String::new(), |mut text, depth| {
        if depth < 3_000 {
            let _ = writeln!(text, "{}a:", " ".repeat(depth));
        }
        text
    });
    refusal(&nested, Yaml);
    for (format, text) in [
        (Json, "{\"rules\":[[[[[[[[1]]]]]]]]}"),
        (Toml, "rules=[[[[[[[[1]]]]]]]]"),
        (Yaml, "rules: [[[[[[[[1]]]]]]]]"),
    ] {
        assert!(refusal(text, format).contains("nested too deeply"), "{}", refusal(text, format));
    }
}

#[test]
fn no_more_is_read_than_there_can_be() {
    use Format::{Json, Toml, Yaml};
    let error = refusal(&" ".repeat(TEXT_MAX + 1), Toml);
    assert!(error.contains("at most 64 MiB"), "{error}");
    let rules = |count: usize| vec!["{}"; count].join(",");
    for (format, text) in [
        (Json, format!("{{\"rules\":[{}]}}", rules(RULES_MAX + 1))),
        (Toml, format!("rules = [{}]", rules(RULES_MAX + 1))),
        (Yaml, format!("rules: [{}]", rules(RULES_MAX + 1))),
    ] {
        let error = refusal(&text, format);
        assert_eq!(
            error,
            "rules: more than 65536 rules: put peers together in networks (such as `10.0.0.0/24`)"
        );
    }
    let zeros = vec!["0"; VALUES_MAX + 1].join(",");
    let dotted: String = (0..20).map(|n| format!("a{n}{} = 1\n", ".b".repeat(60))).collect();
    for (format, text) in [
        (Json, format!("{{\"rules\":[{zeros}]}}")),
        (Toml, format!("rules = [{zeros}]")),
        (Toml, dotted),
        (Yaml, format!("rules: [{zeros}]")),
    ] {
        // Its parser takes half a minute for them without optimisation.
        if cfg!(debug_assertions) && format == Yaml {
            continue;
        }
        let error = refusal(&text, format);
        assert!(error.contains("more values than a file of rules can have"), "{error}");
    }
}

#[test]
fn every_rule_there_can_be_is_read_in_a_moment() {
    let mut file = parse("rules = []", Format::Toml);
    for n in 0..u32::try_from(MANY).unwrap() {
        let json = format!(
            r#"{{"to":"{}:80/tcp","latency":"{}us","loss":"0.1%"}}"#,
            std::net::Ipv4Addr::from_bits(0x0a00_0000 + n),
            n + 1
        );
        file.rules.push((Direction::Egress, rule_of(&json)));
    }
    for format in Format::ALL {
        let text = file.to_text(*format);
        let begin = Instant::now();
        let read = parse(&text, *format);
        let parsed = begin.elapsed();
        let begin = Instant::now();
        let rules = read.rules(abi::Direction::Egress).len();
        println!(
            "{format}: {rules} rules, {} bytes: {parsed:?} to parse, {:?} to sort",
            text.len(),
            begin.elapsed()
        );
        assert_eq!((rules, &read), (MANY, &file));
    }
}
