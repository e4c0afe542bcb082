//! A shape as the kernel program reads it, and back.

use shaper_common::abi::{Direction, Link, Rule};
use shaper_common::jitter::Distribution;

use crate::shape::{Parts, Shape};
use crate::units::{Delay, Queue, Rate, Size};

/// The rule for one direction, with `seed` for its draws and an end at `expires_ns` (`CLOCK_MONOTONIC`; zero: none).
///
/// The direction is part of the draws: two directions with one seed do not delay packet *n* alike.
#[must_use]
pub fn of_shape(shape: &Shape, direction: Direction, seed: u64, expires_ns: u64) -> Rule {
    Rule {
        latency_ns: shape.latency().as_ns(),
        jitter_ns: shape.jitter().as_ns(),
        rate_bytes_per_sec: shape.bandwidth().map_or(0, Rate::bytes_per_sec),
        queue_ns: shape.queue_time().map_or(0, Delay::as_ns),
        seed,
        expires_ns,
        distribution: shape.distribution() as u32,
        id: direction as u32,
    }
}

/// The queue bound in bytes as [`Link::queue_bytes`] keeps it, zero when it was given as a time: the rule has only times.
#[must_use]
pub fn queue_bytes(shape: &Shape) -> u32 {
    match shape.queue() {
        Some(Queue::Bytes(size)) => u32::try_from(size.bytes()).unwrap_or(u32::MAX),
        Some(Queue::Time(_)) | None => 0,
    }
}

/// What was asked for, as far as it is a shape that could be asked for.
#[must_use]
pub fn to_shape(rule: &Rule, link: &Link) -> Option<Shape> {
    let given = |ns: u64| (ns != 0).then_some(Delay::from_ns(ns));
    let distribution =
        [Distribution::Uniform, Distribution::Normal, Distribution::Pareto, Distribution::ParetoNormal]
            .into_iter()
            .find(|distribution| *distribution as u32 == rule.distribution)?;
    let bandwidth = (rule.rate_bytes_per_sec != 0).then(|| Rate::from_bytes_per_sec(rule.rate_bytes_per_sec));
    let queue = bandwidth.map(|_| match link.queue_bytes {
        0 => Queue::Time(Delay::from_ns(rule.queue_ns)),
        bytes => Queue::Bytes(Size::from_bytes(u64::from(bytes))),
    });
    Shape::new(Parts {
        latency: given(rule.latency_ns),
        jitter: given(rule.jitter_ns),
        distribution: given(rule.jitter_ns).map(|_| distribution),
        bandwidth,
        queue,
        seed: Some(rule.seed),
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shapes() -> impl Strategy<Value = Shape> {
        let latency = prop::option::of(0u64..=3_600_000_000_000);
        let jitter = prop::option::of(0u64..=3_600_000_000_000);
        let queue = prop::option::of(prop_oneof![
            (1_000_000u64..=3_600_000_000_000).prop_map(|ns| Queue::Time(Delay::from_ns(ns))),
            (1_514u64..=1 << 30).prop_map(|bytes| Queue::Bytes(Size::from_bytes(bytes))),
        ]);
        let bandwidth = prop::option::of(1_000u64..=12_500_000_000);
        (latency, jitter, 0u32..4, bandwidth, queue).prop_filter_map(
            "a shape that cannot be asked for",
            |(latency, jitter, distribution, bandwidth, queue)| {
                let distributions = [
                    Distribution::Uniform,
                    Distribution::Normal,
                    Distribution::Pareto,
                    Distribution::ParetoNormal,
                ];
                Shape::new(Parts {
                    latency: latency.map(Delay::from_ns),
                    jitter: jitter.map(Delay::from_ns),
                    distribution: jitter.map(|_| distributions[distribution as usize]),
                    bandwidth: bandwidth.map(Rate::from_bytes_per_sec),
                    queue: bandwidth.and(queue),
                    seed: None,
                })
                .ok()
            },
        )
    }

    proptest! {
        #[test]
        fn a_rule_says_what_was_asked_for(shape in shapes(), seed: u64) {
            let link = Link { queue_bytes: queue_bytes(&shape), ..Link::default() };
            prop_assert_eq!(to_shape(&of_shape(&shape, Direction::Egress, seed, 0), &link), Some(shape.with_seed(seed)));
        }
    }
}
