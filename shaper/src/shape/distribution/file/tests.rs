use proptest::prelude::*;
use shaper_common::jitter::TABLE_SCALE;

use super::*;
use crate::shape::Shape;

fn table_of(text: &str) -> &'static Table {
    match Measured::parse(text) {
        Ok(Measured::Table(table)) => table,
        other => panic!("{text}: {other:?}"),
    }
}

fn samples_of(text: &str) -> (Delay, Delay, &'static Table) {
    match Measured::parse(text) {
        Ok(Measured::Samples { latency, jitter, table }) => (latency, jitter, table),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_table_is_taken_as_it_is() {
    let text: String = (0..TABLE_LEN).map(|nth| format!(" {}", (nth as i16 - 99) * 3)).collect();
    assert_eq!(table_of(&format!("# comment\n{text}\n")).values()[..3], [-297, -294, -291]);
    // Two values make two halves, three make thirds, whatever their order.
    let halves = table_of("7 -7").values();
    assert!(
        halves[..2_048].iter().all(|value| *value == -7) && halves[2_048..].iter().all(|value| *value == 7)
    );
    let count = |value| table_of("5\n-5 # low\n1").values().iter().filter(|other| **other == value).count();
    assert_eq!([-5, 1, 5].map(count), [1_365, 1_366, 1_365]);
    assert_eq!(table_of(&"-1 1 ".repeat(TABLE_VALUES_MAX / 2)).values()[TABLE_LEN / 2 - 1..][..2], [-1, 1]);
}

#[test]
fn samples_say_latency_and_jitter() {
    let bimodal = format!("# two paths\n{}{}", "10ms\n".repeat(7), "30ms # the long one\n".repeat(3));
    let (latency, jitter, table) = samples_of(&bimodal);
    assert_eq!((latency.to_string(), jitter.to_string()), ("16ms".to_owned(), "9.165151ms".to_owned()));
    let at = |nth: usize| {
        let value = i64::from(table.values()[nth]);
        latency.as_ns() as i64 + ((jitter.as_ns() as i64 * value) >> 13)
    };
    // Within a step of the table, 9.17 ms / 8192.
    assert!((at(0) - 10_000_000).abs() < 1_120 && (at(4_095) - 30_000_000).abs() < 1_120);
    assert!((at(2_866) - 10_000_000).abs() < 1_120 && (at(2_867) - 30_000_000).abs() < 1_120);
    assert_eq!(samples_of("# unit: ms\n10\n.5e\n".replace('e', "").as_str()).0, Delay::from_us(5_250));
    assert_eq!(samples_of("\u{feff}\n#unit:us\r\n10\r\n30\r\n").0, Delay::from_us(20));
    // All the same: there is no jitter.
    assert_eq!(samples_of("3ms\n3ms").1, Delay::ZERO);
}

#[test]
fn samples_make_a_shape_even_with_a_long_tail() {
    // The deviation is nearly three times the mean, and no delay is below zero.
    let text = "1ms\n".repeat(90) + &"100ms\n".repeat(10);
    let shape = Shape::new(Measured::parse(&text).unwrap().fill(Parts::default()).unwrap()).unwrap();
    assert!(shape.jitter() > shape.latency());
    // As it is read back.
    assert_eq!(Shape::new(shape.into()), Ok(shape));
    assert!(
        Shape::new(Measured::parse("0ms\n0ms\n0ms\n1ms\n").unwrap().fill(Parts::default()).unwrap()).is_ok()
    );
    let low = Parts {
        latency: Some(Delay::from_ms(1)),
        jitter: Some(Delay::from_ms(2)),
        distribution: Some(Distribution::Table(table_of("-8192 8192"))),
        ..Parts::default()
    };
    assert!(matches!(Shape::new(low), Err(shape::Error::JitterAboveLatency { .. })));
}

#[test]
fn samples_beside_a_latency_are_refused() {
    let samples = Measured::parse("1ms\n2ms").unwrap();
    for (parts, what) in [
        (Parts { latency: Some(Delay::from_ms(7)), ..Parts::default() }, "latency 7ms contradicts"),
        (Parts { jitter: Some(Delay::from_ms(7)), ..Parts::default() }, "jitter 7ms contradicts"),
    ] {
        let error = samples.fill(parts).unwrap_err().to_string();
        assert!(error.starts_with(what) && error.contains("the mean is 1.5ms"), "{error}");
        assert!(Measured::parse("1 -1").unwrap().fill(parts).is_ok());
    }
}

#[test]
fn what_is_no_distribution_is_refused_with_its_line() {
    for (text, expected) in [
        ("", "no numbers"),
        ("# only this\n\n", "no numbers"),
        ("# unit: ms\n", "no numbers"),
        (
            "1 -2\n3 40000",
            "line 2: `40000` is no value of netem's table: write whole numbers from -32768 to 32767",
        ),
        ("1 -2\n3 x", "line 2: `x` is no value of netem's table"),
        ("1 -2\n3ms", "line 2: `3ms` is no value of netem's table"),
        ("10\n12\n", "line 1: whole numbers, one on each line and none of them negative, could be delays"),
        ("10ms\n12.5", "line 2: `12.5` has no unit: write one (such as `12.5ms`), or `# unit: ms`"),
        ("12.5", "line 1: `12.5` has no unit"),
        ("10ms", "line 1: one delay alone is no distribution: give at least 2"),
        ("10ms 12ms", "line 1: `10ms 12ms` is more than one delay"),
        ("10ms\n-1ms", "line 2: `-1ms` is negative"),
        ("10ms\n2h", "line 2: `2h` is out of range: a delay is at most 3600s"),
        ("10ms\nNaN", "line 2: `NaN` is not a time"),
        ("10ms\n1e3ms", "line 2: `1e3ms` is not a time: `e3ms` is no unit"),
        ("10ms\n0.1ns", "line 2: `0.1ns` is too small"),
        ("10ms\n5m", "line 2: `5m` is ambiguous"),
        ("# unit: furlongs\n10", "line 1: `furlongs` is no unit of time: write `# unit: ms`"),
        ("# unit: 5ms\n10", "line 1: `5ms` is no unit of time"),
        ("# unit:\n10", "line 1: `` is no unit of time"),
        ("# unit: ms\n10\n12ms", "line 3: `12ms` has a unit of its own"),
        ("# unit: ms\n10 11", "line 2: `10 11` is more than one delay"),
    ] {
        let error = Measured::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let line = |text: String| Measured::parse(&text).unwrap_err().to_string();
    assert!(
        line("-1 1\n".repeat(TABLE_VALUES_MAX / 2 + 1))
            .starts_with("line 8193: netem's tables have at most 16384")
    );
    assert!(line("1ms\n".repeat(SAMPLES_MAX + 1)).starts_with("line 1000001: at most 1000000 delays"));
    assert!(line(" ".repeat(TEXT_MAX + 1)).contains("16 MiB"));
}

#[test]
fn samples_too_far_from_the_mean_are_refused_when_they_are_many() {
    let tail = |n: usize| Measured::parse(&("1ms\n2ms\n".repeat(5_000) + &"60s\n".repeat(n)));
    assert!(tail(10).is_ok());
    let error = tail(11).unwrap_err().to_string();
    assert!(error.starts_with("11 of 10011 delays are more than 4 deviations"), "{error}");
}

/// Delays of any size in nanoseconds, sorted.
fn delays() -> impl Strategy<Value = Vec<u64>> {
    let delay = prop_oneof![0..1_000_000u64, 1_000_000..50_000_000u64, 1..DELAY_MAX.as_ns()];
    prop::collection::vec(delay, 2..300).prop_map(|mut delays| {
        delays.sort_unstable();
        delays
    })
}

proptest! {
    // Each case leaves a table behind.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn quantiles_rise_and_have_the_mean_and_the_deviation_of_the_samples(delays in delays()) {
        let Ok(Measured::Samples { jitter, table, .. }) = of_sorted(&delays) else { return Ok(()) };
        prop_assume!(!jitter.is_zero());
        prop_assert!(table.values().is_sorted());
        // A quantile is at most half a cell off, 1/8192, over the whole range R in deviations; E x² then by 2 R of that. Rounding is
        // half a step of the table, and of a nanosecond. What is clamped is not looked at.
        prop_assume!(!table.values().contains(&i16::MAX));
        let sigma = jitter.as_ns() as f64;
        let range = (delays[delays.len() - 1] - delays[0]) as f64 / sigma;
        let rounding = 1.0 / TABLE_SCALE as f64 + 1.0 / sigma;
        let (mean, deviation) = table.moments();
        prop_assert!(mean.abs() <= range / 8_192.0 + rounding, "mean {mean}, range {range}");
        let second = deviation * deviation + mean * mean;
        let slack = 2.0 * range * range / 8_192.0 + 2.0 * range * rounding;
        prop_assert!((second - 1.0).abs() <= slack, "{second}, range {range}");
    }

    #[test]
    fn the_text_says_what_its_numbers_say(delays in delays()) {
        let text: String = delays.iter().rev().map(|ns| format!("{}\n", Delay::from_ns(*ns))).collect();
        prop_assert_eq!(Measured::parse(&text), of_sorted(&delays));
        let bare: String = delays.iter().map(|ns| format!("{ns}\n")).collect();
        prop_assert_eq!(Measured::parse(&format!("# unit: ns\n{bare}")), of_sorted(&delays));
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(#|unit:| |\\n|\\r|-|\\.|[0-9]{1,6}|ms|us|s|h|\\PC){0,40}") {
        if let Ok(Measured::Samples { latency, jitter, .. }) = Measured::parse(&text) {
            prop_assert!(latency <= DELAY_MAX && jitter <= DELAY_MAX);
        }
    }
}
