use proptest::prelude::*;

use super::*;

fn parts(text: &str) -> Parts {
    let mut parts = Parts::default();
    for word in text.split_whitespace() {
        let (part, value) = word.split_once('=').expect("part=value");
        match part {
            "latency" => parts.latency = Some(value.parse().unwrap()),
            "jitter" => parts.jitter = Some(value.parse().unwrap()),
            "distribution" => parts.distribution = Some(Distribution::from_name(value).unwrap()),
            "bandwidth" => parts.bandwidth = Some(value.parse().unwrap()),
            "queue" => parts.queue = Some(value.parse().unwrap()),
            "seed" => parts.seed = Some(value.parse().unwrap()),
            other => panic!("no part `{other}`"),
        }
    }
    parts
}

#[test]
fn refuses_parts_that_do_not_fit_together() {
    for (text, expected) in [
        ("", "nothing to apply"),
        ("seed=4", "nothing to apply"),
        ("latency=0ms", "a latency of zero is none"),
        ("latency=0ms jitter=0ms", "a latency of zero is none"),
        ("latency=3600.000000001s", "latency 3600.000000001s is out of range: give at most 3600s"),
        ("jitter=5ms", "a latency of at least 5ms"),
        ("jitter=5ms bandwidth=1mbit", "a latency of at least 5ms"),
        ("latency=10ms jitter=20ms", "jitter 20ms is more than the latency 10ms"),
        ("latency=10ms jitter=20ms distribution=normal", "jitter 20ms is more than the latency 10ms"),
        ("latency=0ms jitter=1ns bandwidth=1mbit", "jitter 1ns is more than the latency 0ns"),
        ("latency=10ms distribution=pareto", "distribution `pareto` has nothing to spread"),
        ("latency=10ms queue=100ms", "queue 100ms has no bottleneck"),
        ("bandwidth=7992bit", "bandwidth 7992bit is out of range: give from 8Kbit to 100Gbit"),
        ("bandwidth=100.000001gbit", "bandwidth 100000001Kbit is out of range"),
        ("bandwidth=0mbit", "bandwidth 0bit is out of range"),
        (
            "bandwidth=1mbit queue=1513b",
            "queue 1513b at 1Mbit does not hold one full-size packet of 1514 bytes: give at least 1514b",
        ),
        ("bandwidth=1mbit queue=12ms", "give at least 12.112ms"),
        ("bandwidth=1mbit queue=2h", "queue 7200s at 1Mbit is out of range"),
        ("bandwidth=10gbit queue=1025mb", "out of range: give one of at most 1Gb"),
        ("bandwidth=8kbit queue=4mb", "sent in 3600s"),
    ] {
        let error = Shape::new(parts(text)).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn takes_the_ends_of_every_range() {
    for text in [
        "latency=1ns",
        "latency=3600s jitter=3600s distribution=paretonormal",
        "latency=0ms bandwidth=1mbit",
        "bandwidth=8kbit",
        "bandwidth=100gbit",
        "bandwidth=1mbit queue=1514b",
        "bandwidth=1mbit queue=12.112ms",
        "bandwidth=100gbit queue=1gb",
        "bandwidth=8kbit queue=1h",
    ] {
        Shape::new(parts(text)).expect(text);
    }
}

#[test]
fn a_queue_is_100_ms_or_ten_packets_unless_asked() {
    for (text, queue, time) in [
        ("bandwidth=10mbit", "100ms", "100ms"),
        ("bandwidth=1211200bit", "100ms", "100ms"),
        ("bandwidth=1211192bit", "15140b", "100.00066ms"),
        ("bandwidth=8kbit", "15140b", "15.14s"),
        ("bandwidth=8mbit queue=64kb", "64Kb", "65.536ms"),
    ] {
        let shape = Shape::new(parts(text)).expect(text);
        assert_eq!(shape.queue().unwrap().to_string(), queue, "{text}");
        let asked: f64 = time.trim_end_matches(|c: char| c.is_alphabetic()).parse().unwrap();
        let scale = if time.ends_with("ms") { 1e6 } else { 1e9 };
        let off = shape.queue_time().unwrap().as_ns() as f64 - asked * scale;
        assert!(off.abs() <= 1_000.0, "{text}: {:?}", shape.queue_time());
    }
    assert_eq!(Shape::new(parts("latency=1ms")).unwrap().queue_time(), None);
}

#[test]
fn shapes_that_do_the_same_are_equal() {
    let check = |a: &str, b: &str| assert_eq!(Shape::new(parts(a)), Shape::new(parts(b)), "{a} | {b}");
    check("latency=10ms", "latency=10ms jitter=0ms distribution=normal");
    check("latency=10ms jitter=1ms", "latency=10000us jitter=1ms distribution=uniform");
    check("latency=0ms bandwidth=10mbit", "bandwidth=1.25MB/s queue=100ms");
}

#[test]
fn json_is_the_parts_and_is_checked() {
    let shape =
        Shape::new(parts("latency=100ms jitter=10ms distribution=normal bandwidth=10mbit seed=7")).unwrap();
    let json = r#"{"latency":"100ms","jitter":"10ms","distribution":"normal","bandwidth":"10Mbit","queue":"100ms","seed":7}"#;
    assert_eq!(serde_json::to_string(&shape).unwrap(), json);
    assert_eq!(serde_json::from_str::<Shape>(json).unwrap(), shape);
    for (json, expected) in [
        (r#"{"latency":100}"#, "such as `100ms`"),
        (r#"{"latency":"100"}"#, "has no unit"),
        (r#"{"lateness":"100ms"}"#, "unknown field `lateness`"),
        (r#"{"jitter":"1ms"}"#, "no latency to vary around"),
        (
            r#"{"latency":"1ms","jitter":"1ms","distribution":"gauss"}"#,
            "`uniform`, `normal`, `pareto`, `paretonormal`",
        ),
    ] {
        let error = serde_json::from_str::<Shape>(json).expect_err(json).to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn names_are_read_in_either_case_and_listed_when_unknown() {
    assert_eq!("Both".parse(), Ok(Direction::Both));
    assert_eq!(Direction::Both.each().len(), 2);
    let error = "fq".parse::<EngineChoice>().unwrap_err().to_string();
    assert_eq!(error, "`fq` is not an engine: write one of `auto`, `edt`, `netem`, `relay`");
    assert_eq!(serde_json::from_str::<EngineChoice>("\"edt\"").unwrap(), EngineChoice::Edt);
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let delay = || prop::option::of((0..4_000_000_000_000u64).prop_map(Delay::from_ns));
    let queue = prop_oneof![
        (0..4_000_000_000_000u64).prop_map(|ns| Queue::Time(Delay::from_ns(ns))),
        (0..1u64 << 31).prop_map(|bytes| Queue::Bytes(Size::from_bytes(bytes))),
    ];
    let distribution = prop::option::of(prop::sample::select(Distribution::ALL));
    let bandwidth = prop::option::of((0..13_000_000_000u64).prop_map(Rate::from_bytes_per_sec));
    (delay(), delay(), distribution, bandwidth, prop::option::of(queue), any::<Option<u64>>()).prop_map(
        |(latency, jitter, distribution, bandwidth, queue, seed)| Parts {
            latency,
            jitter,
            distribution,
            bandwidth,
            queue,
            seed,
        },
    )
}

proptest! {
    #[test]
    fn every_shape_keeps_its_promises_and_survives_json(parts in any_parts()) {
        if let Ok(shape) = Shape::new(parts) {
            prop_assert!(shape.latency() <= DELAY_MAX && shape.jitter() <= shape.latency());
            prop_assert!(!shape.latency().is_zero() || shape.bandwidth().is_some());
            prop_assert_eq!(shape.bandwidth().is_some(), shape.queue_time().is_some());
            if let (Some(bandwidth), Some(queue)) = (shape.bandwidth(), shape.queue_time()) {
                prop_assert!(queue <= DELAY_MAX && queue >= bandwidth.time_for(PACKET).unwrap());
            }
            prop_assert_eq!(Shape::new(Parts::from(shape)), Ok(shape));
            let json = serde_json::to_string(&shape).unwrap();
            prop_assert_eq!(serde_json::from_str::<Shape>(&json).unwrap(), shape);
        }
    }
}
