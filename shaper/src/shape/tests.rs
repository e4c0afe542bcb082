use proptest::prelude::*;

use super::any::{any_parts, parts};
use super::*;

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
        ("loss=0%", "a loss of zero is none"),
        ("loss_gemodel=0%,10%", "a loss of zero is none"),
        ("loss_gemodel=10%,10%,0%", "a loss of zero is none"),
        ("loss_state=0%,50%", "a loss of zero is none"),
        ("loss_pattern=000", "a loss of zero is none"),
        ("duplicate=0%", "a duplication of zero is none"),
        ("corrupt=0%", "a corruption of zero is none"),
        ("reorder=0%", "a reordering of zero is none"),
        ("burst=0b ecn=0ms overhead=0b", "nothing to apply"),
        (
            "loss_correlation=25%",
            "loss-correlation 25% does nothing by itself: give loss too, such as `loss 1%`",
        ),
        ("loss_gemodel=1% loss_correlation=25%", "loss-correlation 25% does nothing by itself"),
        ("latency=1ms duplicate_correlation=25%", "duplicate-correlation 25% does nothing by itself"),
        ("latency=1ms corrupt_correlation=25%", "corrupt-correlation 25% does nothing by itself"),
        ("latency=1ms reorder_correlation=25%", "reorder-correlation 25% does nothing by itself"),
        (
            "latency=1ms jitter_correlation=25%",
            "jitter-correlation 25% does nothing by itself: give jitter too, such as `jitter 10ms`",
        ),
        ("loss=1% loss_correlation=99.1%", "loss-correlation 99.1% is out of range: give at most 99%"),
        ("latency=1ms jitter=1ms jitter_correlation=100%", "jitter-correlation 100% is out of range"),
        (
            "loss=1% loss_pattern=01",
            "`loss 1%` and `loss-pattern 01` are two models of loss: give one of them",
        ),
        ("loss=1% loss_gemodel=1%", "`loss 1%` and `loss-gemodel 1%,99%,100%,0%` are two models"),
        ("loss_state=1% loss_gemodel=1%", "`loss-state 1%,99%,0%,100%,0%` are two models"),
        (
            "loss_state=60%,40%,0%,100%,50%",
            "leaves state 1 with P13 60% and P14 50%, more than 100% together: make one of them smaller",
        ),
        ("loss_state=10%,60%,40.1%", "leaves state 3 with P31 60% and P32 40.1%"),
        ("reorder=25%", "reorder 25% has no latency to leave out: give a latency"),
        ("latency=0ms reorder=25% bandwidth=1mbit", "reorder 25% has no latency"),
        ("latency=1ms reorder_gap=5", "reorder-gap 5 has no reordered packets to part: give a reorder"),
        ("latency=1ms reorder=1% reorder_gap=1", "reorder-gap 1 is out of range: give from 2 to 255"),
        ("latency=1ms reorder=1% reorder_gap=256", "reorder-gap 256 is out of range"),
        ("latency=1ms keep_order=true", "keep-order has no jitter to act on: give a jitter"),
        (
            "latency=1ms jitter=1ms keep_order=true reorder=1%",
            "keep-order and reorder 1% contradict each other: give one of them",
        ),
        ("latency=1ms burst=32kb", "burst 32Kb has no bottleneck to act on: give a bandwidth"),
        ("latency=1ms overhead=-14b", "overhead -14b has no bottleneck to act on"),
        ("latency=1ms ecn=5ms", "ecn 5ms has no bottleneck to act on"),
        ("bandwidth=10mbit ecn=100ms", "ecn 100ms is not below the queue of 100ms"),
        ("bandwidth=8mbit queue=64kb ecn=66ms", "give less than 65.536ms or a longer queue"),
        ("bandwidth=10gbit burst=1025mb", "burst 1025Mb at 10Gbit is out of range: give one of at most 1Gb"),
        ("bandwidth=8kbit burst=4mb", "burst 4Mb at 8Kbit is out of range"),
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
        "bandwidth=1mbit ecn=99.999999ms",
        "bandwidth=10gbit burst=1gb",
        "bandwidth=10gbit overhead=-100b,65535b,1000b",
        "loss=100% loss_correlation=99%",
        "loss=0.00000002%",
        "loss_gemodel=100%,100%,100%,100%",
        "loss_gemodel=0%,0%,0%,1%",
        "loss_state=33.3%,50%,50%,100%,66.7%",
        "loss_pattern=1",
        "duplicate=100% corrupt=100%",
        "latency=1ns reorder=100% reorder_gap=255",
    ] {
        Shape::new(parts(text)).expect(text);
    }
}

#[test]
fn parts_that_are_out_of_range_are_refused_also_without_a_text() {
    let overhead = Overhead { packet: 1_001, ..Overhead::NONE };
    let bandwidth = Some(BANDWIDTH_MAX);
    let error = Shape::new(Parts { bandwidth, overhead: Some(overhead), ..Parts::default() }).unwrap_err();
    assert!(error.to_string().contains("from -100b to 1000b"), "{error}");
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
    check("latency=1ms", "latency=1ms jitter=0ms jitter_correlation=25% keep_order=true");
    check(
        "latency=1ms",
        "latency=1ms loss=0% loss_correlation=25% duplicate=0% corrupt=0% reorder=0% reorder_gap=9",
    );
    check("bandwidth=1mbit", "bandwidth=1mbit burst=0b overhead=0b ecn=0ns");
    check("loss=1%", "loss=1.0% loss_correlation=0% loss_gemodel=0% loss_state=0% loss_pattern=0");
    check("loss_gemodel=1%", "loss_gemodel=1%,99%,100%,0%");
}

#[test]
fn json_is_the_parts_and_is_checked() {
    let shape =
        Shape::new(parts("latency=100ms jitter=10ms distribution=normal bandwidth=10mbit seed=7")).unwrap();
    let json = r#"{"latency":"100ms","jitter":"10ms","distribution":"normal","bandwidth":"10Mbit","queue":"100ms","seed":7}"#;
    assert_eq!(serde_json::to_string(&shape).unwrap(), json);
    assert_eq!(serde_json::from_str::<Shape>(json).unwrap(), shape);
    let every = parts(
        "latency=100ms jitter=10ms jitter_correlation=25% reorder=5% reorder_correlation=50% reorder_gap=5 bandwidth=10mbit \
         burst=32kb overhead=10b,48b,5b ecn=5ms loss_gemodel=1%,10% duplicate=0.1% corrupt=0.01% corrupt_correlation=1%",
    );
    let json = r#"{"latency":"100ms","jitter":"10ms","distribution":"uniform","jitter_correlation":"25%","reorder":"5%","reorder_correlation":"50%","reorder_gap":5,"bandwidth":"10Mbit","queue":"100ms","burst":"32Kb","overhead":"10b,48b,5b","ecn":"5ms","loss_gemodel":"1%,10%,100%,0%","duplicate":"0.1%","corrupt":"0.01%","corrupt_correlation":"1%"}"#;
    assert_eq!(serde_json::to_string(&Shape::new(every).unwrap()).unwrap(), json);
    let kept = r#"{"latency":"2ms","jitter":"1ms","distribution":"uniform","keep_order":true,"loss":"1%"}"#;
    let shape = Shape::new(parts("latency=2ms jitter=1ms keep_order=true loss=1%")).unwrap();
    assert_eq!(serde_json::to_string(&shape).unwrap(), kept);
    for (json, expected) in [
        (r#"{"latency":100}"#, "such as `100ms`"),
        (r#"{"latency":"100"}"#, "has no unit"),
        (r#"{"lateness":"100ms"}"#, "unknown field `lateness`"),
        (r#"{"jitter":"1ms"}"#, "no latency to vary around"),
        (r#"{"loss":0.01}"#, "such as `0.1%`"),
        (r#"{"loss":"0.01"}"#, "`0.01` has no unit: write `0.01%`"),
        (r#"{"loss_pattern":10}"#, "such as `0010`"),
        (r#"{"overhead":24}"#, "such as `24b`"),
        (r#"{"latency":"1ms","keep_order":"yes"}"#, "expected a boolean"),
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

proptest! {
    #[test]
    fn every_shape_keeps_its_promises_and_survives_json(parts in any_parts()) {
        if let Ok(shape) = Shape::new(parts) {
            prop_assert!(shape.latency() <= DELAY_MAX && shape.jitter() <= shape.latency());
            let faults = shape.loss().is_some() || shape.duplicate().is_some() || shape.corrupt().is_some();
            prop_assert!(!shape.latency().is_zero() || shape.bandwidth().is_some() || faults);
            let correlated = [shape.duplicate(), shape.corrupt(), shape.reorder()].into_iter().flatten();
            for Chance { probability, correlation } in correlated {
                prop_assert!(!probability.is_never() && correlation <= CORRELATION_MAX);
            }
            prop_assert!(shape.reorder().is_none() || !shape.latency().is_zero() && !shape.keep_order());
            prop_assert!(!shape.keep_order() || !shape.jitter().is_zero());
            prop_assert!(shape.ecn().is_none_or(|ecn| !ecn.is_zero() && Some(ecn) < shape.queue_time()));
            prop_assert!(shape.burst().is_none_or(|burst| burst <= QUEUE_BYTES_MAX && burst.bytes() > 0));
            prop_assert_eq!(shape.burst().is_some(), shape.burst_time().is_some_and(|time| !time.is_zero()));
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
