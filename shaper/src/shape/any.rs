//! Shapes for tests: by text, and any.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// The parts that `text` says, such as `latency=10ms loss=1% keep_order=true`.
pub(super) fn parts(text: &str) -> Parts {
    let member = |word: &str| {
        let (key, value) = word.split_once('=').expect("part=value");
        let value = match key {
            "seed" | "reorder_gap" | "keep_order" => value.parse().expect("a JSON literal"),
            _ => Value::from(value),
        };
        (key.to_owned(), value)
    };
    let members: Map<String, Value> = text.split_whitespace().map(member).collect();
    serde_json::from_value(members.into()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The shape that `text` says.
pub(crate) fn shape_of(text: &str) -> Shape {
    Shape::new(parts(text)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Parts of which most make a shape. The strategies are boxed, or a debug build's stack would not hold them.
pub(super) fn any_parts() -> impl Strategy<Value = Parts> {
    (any_way(), any_bottleneck(), any_loss(), any_copies(), any::<Option<u64>>()).prop_map(
        |(way, bottleneck, loss, copies, seed)| Parts {
            bandwidth: bottleneck.bandwidth,
            queue: bottleneck.queue,
            burst: bottleneck.burst,
            overhead: bottleneck.overhead,
            ecn: bottleneck.ecn,
            loss: loss.loss,
            loss_correlation: loss.loss_correlation,
            loss_gemodel: loss.loss_gemodel,
            loss_state: loss.loss_state,
            loss_pattern: loss.loss_pattern,
            duplicate: copies.duplicate,
            duplicate_correlation: copies.duplicate_correlation,
            corrupt: copies.corrupt,
            corrupt_correlation: copies.corrupt_correlation,
            seed,
            ..way
        },
    )
}

/// Any shape that can be asked for.
pub(crate) fn any_shape() -> impl Strategy<Value = Shape> {
    any_parts().prop_filter_map("no shape that can be asked for", |parts| Shape::new(parts).ok())
}

fn delay() -> impl Strategy<Value = Delay> {
    prop_oneof![1 => Just(0), 5 => 1..1_000_000_000u64, 5 => 1..=3_600_000_000_000u64, 1 => 0..4_000_000_000_000u64]
        .prop_map(Delay::from_ns)
}

fn probability() -> impl Strategy<Value = Probability> {
    prop_oneof![1 => Just(0), 1 => Just(u32::MAX), 6 => any::<u32>(), 4 => 0..100_000u32]
        .prop_map(Probability::from_2_32nds)
}

fn chance() -> impl Strategy<Value = (Option<Probability>, Option<Probability>)> {
    let correlation = (0..=CORRELATION_MAX.as_2_32nds()).prop_map(Probability::from_2_32nds);
    prop::option::of((probability(), prop::option::of(correlation)))
        .prop_map(|chance| (chance.map(|chance| chance.0), chance.and_then(|chance| chance.1)))
}

fn any_way() -> BoxedStrategy<Parts> {
    // A few tables, for each is kept for good.
    let table = (1..8i16).prop_map(|step| Table::of(&std::array::from_fn(|nth| (nth as i16 - 2_048) * step)));
    let distribution = prop::option::of(prop_oneof![
        4 => prop::sample::select(Distribution::ALL),
        1 => table.prop_map(Distribution::Table),
    ]);
    let jitter = prop::option::of((0..=100u64, distribution, chance(), any::<bool>()));
    let reorder = (chance(), prop::option::of(REORDER_GAP_MIN..=REORDER_GAP_MAX));
    (prop::option::of(delay()), jitter, reorder)
        .prop_map(|(latency, jitter, (reorder, gap))| {
            let way = Parts { latency, ..Parts::default() };
            let Some(latency) = latency else { return way };
            let way = match jitter {
                None => way,
                Some((percent, distribution, (_, jitter_correlation), keep_order)) => Parts {
                    jitter: Some(Delay::from_ns(latency.as_ns() / 100 * percent)),
                    distribution,
                    jitter_correlation,
                    keep_order,
                    ..way
                },
            };
            if way.keep_order {
                return way;
            }
            Parts {
                reorder: reorder.0,
                reorder_correlation: reorder.1,
                reorder_gap: reorder.0.and(gap),
                ..way
            }
        })
        .boxed()
}

fn any_bottleneck() -> BoxedStrategy<Parts> {
    let bandwidth = prop_oneof![1_000..=12_500_000_000u64, 0..13_000_000_000u64, 1_000..1_000_000u64];
    let queue = prop_oneof![
        delay().prop_map(Queue::Time),
        (0..1u64 << 31).prop_map(|bytes| Queue::Bytes(Size::from_bytes(bytes))),
        (0..1u32 << 21).prop_map(Queue::Packets),
    ];
    let burst = prop_oneof![0..100_000u64, 0..1u64 << 31].prop_map(Size::from_bytes);
    let overhead = (-100..=1_000i32, prop::option::of((1..=65_535u32, -100..=1_000i32)));
    let overhead = overhead.prop_map(|(packet, cell)| match cell {
        None => Overhead { packet, ..Overhead::NONE },
        Some((cell, cell_packet)) => Overhead { packet, cell, cell_packet },
    });
    let ecn = (0..10_000_000u64).prop_map(Delay::from_ns);
    let (queue, burst) = (prop::option::of(queue), prop::option::of(burst));
    let (overhead, ecn) = (prop::option::of(overhead), prop::option::of(ecn));
    let bottleneck = prop::option::of((bandwidth, queue, burst, overhead, ecn));
    let parts = bottleneck.prop_map(|bottleneck| match bottleneck {
        None => Parts::default(),
        Some((bandwidth, queue, burst, overhead, ecn)) => {
            let bandwidth = Some(Rate::from_bytes_per_sec(bandwidth));
            Parts { bandwidth, queue, burst, overhead, ecn, ..Parts::default() }
        }
    });
    parts.boxed()
}

fn any_loss() -> BoxedStrategy<Parts> {
    let none = Parts::default();
    let random = chance().prop_map(move |(loss, loss_correlation)| Parts { loss, loss_correlation, ..none });
    let gemodel = [(); 4].map(|()| probability()).prop_map(move |[p, r, one_minus_h, one_minus_k]| Parts {
        loss_gemodel: Some(GilbertElliott { p, r, one_minus_h, one_minus_k }),
        ..none
    });
    let state = [(); 5].map(|()| probability()).prop_map(move |[p13, p31, p32, p23, p14]| Parts {
        loss_state: Some(FourState { p13, p31, p32, p23, p14 }),
        ..none
    });
    let pattern = "[01]{1,64}"
        .prop_map(move |digits| Parts { loss_pattern: Some(digits.parse().expect("digits")), ..none });
    prop_oneof![random, gemodel, state, pattern].boxed()
}

fn any_copies() -> BoxedStrategy<Parts> {
    let copies = (chance(), chance()).prop_map(|(duplicate, corrupt)| Parts {
        duplicate: duplicate.0,
        duplicate_correlation: duplicate.1,
        corrupt: corrupt.0,
        corrupt_correlation: corrupt.1,
        ..Parts::default()
    });
    copies.boxed()
}
