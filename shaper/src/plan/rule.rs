//! A shape as the kernel program reads it, and back.

use shaper_common::abi::{Direction, Link, Rule, rule_flag};
use shaper_common::jitter::Distribution;
use shaper_common::loss::Model;

use crate::shape::{Chance, FourState, GilbertElliott, Loss, Named as _, Parts, Pattern, Shape};
use crate::units::{Delay, Overhead, Probability, Queue, Rate, Size};

/// The rule for one direction, with `seed` for its draws and an end at `expires_ns` (`CLOCK_MONOTONIC`; zero: none).
///
/// The direction is part of the draws: two directions with one seed do not delay packet *n* alike.
#[must_use]
pub fn of_shape(shape: &Shape, direction: Direction, seed: u64, expires_ns: u64) -> Rule {
    let (duplicate, duplicate_correlation) = steps(shape.duplicate());
    let (corrupt, corrupt_correlation) = steps(shape.corrupt());
    let (reorder, reorder_correlation) = steps(shape.reorder());
    let overhead = shape.overhead().unwrap_or(Overhead::NONE);
    let rule = Rule {
        latency_ns: shape.latency().as_ns(),
        jitter_ns: shape.jitter().as_ns(),
        rate_bytes_per_sec: shape.bandwidth().map_or(0, Rate::bytes_per_sec),
        queue_ns: shape.queue_time().map_or(0, Delay::as_ns),
        burst_ns: shape.burst_time().map_or(0, Delay::as_ns),
        ecn_ns: shape.ecn().map_or(0, Delay::as_ns),
        seed,
        expires_ns,
        first_index: 0,
        duplicate,
        duplicate_correlation,
        corrupt,
        corrupt_correlation,
        reorder,
        reorder_correlation,
        reorder_gap: shape.reorder_gap(),
        jitter_correlation: shape.jitter_correlation().as_2_32nds(),
        distribution: shape.distribution() as u32,
        overhead_bytes: overhead.packet.cast_unsigned(),
        cell_bytes: overhead.cell,
        cell_overhead_bytes: overhead.cell_packet.cast_unsigned(),
        flags: if shape.keep_order() { rule_flag::KEEP_ORDER } else { 0 },
        id: direction as u32,
        ..Rule::default()
    };
    shape.loss().map_or(rule, |loss| with_loss(rule, loss))
}

fn with_loss(rule: Rule, loss: Loss) -> Rule {
    let probabilities = |given: &[Probability]| {
        let mut steps = [0; 5];
        steps.iter_mut().zip(given).for_each(|(steps, given)| *steps = given.as_2_32nds());
        steps
    };
    let (model, loss) = match loss {
        Loss::Random { probability, correlation } => {
            let rule = Rule { loss_correlation: correlation.as_2_32nds(), ..rule };
            return Rule { loss_model: Model::Random as u32, loss: probabilities(&[probability]), ..rule };
        }
        Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
            (Model::GilbertElliott, probabilities(&[p, r, one_minus_h, one_minus_k]))
        }
        Loss::FourState { p13, p31, p32, p23, p14 } => {
            (Model::FourState, probabilities(&[p13, p31, p32, p23, p14]))
        }
        Loss::Pattern(pattern) => {
            let rule = Rule { loss_pattern: pattern.bits(), loss_pattern_len: pattern.length(), ..rule };
            return Rule { loss_model: Model::Pattern as u32, ..rule };
        }
    };
    Rule { loss_model: model as u32, loss, ..rule }
}

/// A chance and its correlation in 2^32nds.
fn steps(chance: Option<Chance>) -> (u32, u32) {
    chance.map_or((0, 0), |chance| (chance.probability.as_2_32nds(), chance.correlation.as_2_32nds()))
}

/// The queue bound in bytes as [`Link::queue_bytes`] keeps it, zero when it was given as a time: the rule has only times.
#[must_use]
pub fn queue_bytes(shape: &Shape) -> u32 {
    match shape.queue() {
        Some(Queue::Bytes(size)) => u32::try_from(size.bytes()).unwrap_or(u32::MAX),
        Some(Queue::Time(_)) | None => 0,
    }
}

/// The burst in bytes as [`Link::burst_bytes`] keeps it, zero for none: the rule has only its time.
#[must_use]
pub fn burst_bytes(shape: &Shape) -> u32 {
    shape.burst().map_or(0, |size| u32::try_from(size.bytes()).unwrap_or(u32::MAX))
}

/// What was asked for, as far as it is a shape that could be asked for.
#[must_use]
pub fn to_shape(rule: &Rule, link: &Link) -> Option<Shape> {
    let given = |ns: u64| (ns != 0).then_some(Delay::from_ns(ns));
    let chance = |steps: u32| (steps != 0).then_some(Probability::from_2_32nds(steps));
    let size = |bytes: u32| (bytes != 0).then_some(Size::from_bytes(u64::from(bytes)));
    let distribution = *Distribution::ALL.iter().find(|known| **known as u32 == rule.distribution)?;
    let bandwidth = (rule.rate_bytes_per_sec != 0).then(|| Rate::from_bytes_per_sec(rule.rate_bytes_per_sec));
    let queue = || size(link.queue_bytes).map_or(Queue::Time(Delay::from_ns(rule.queue_ns)), Queue::Bytes);
    let overhead = Overhead {
        packet: rule.overhead_bytes.cast_signed(),
        cell: rule.cell_bytes,
        cell_packet: rule.cell_overhead_bytes.cast_signed(),
    };
    let parts = Parts {
        latency: given(rule.latency_ns),
        jitter: given(rule.jitter_ns),
        distribution: given(rule.jitter_ns).map(|_| distribution),
        jitter_correlation: chance(rule.jitter_correlation),
        keep_order: rule.flags & rule_flag::KEEP_ORDER != 0,
        reorder: chance(rule.reorder),
        reorder_correlation: chance(rule.reorder_correlation),
        reorder_gap: (rule.reorder_gap > 1).then_some(rule.reorder_gap),
        bandwidth,
        queue: bandwidth.map(|_| queue()),
        burst: size(link.burst_bytes),
        overhead: Some(overhead),
        ecn: given(rule.ecn_ns),
        duplicate: chance(rule.duplicate),
        duplicate_correlation: chance(rule.duplicate_correlation),
        corrupt: chance(rule.corrupt),
        corrupt_correlation: chance(rule.corrupt_correlation),
        seed: Some(rule.seed),
        ..Parts::default()
    };
    Shape::new(lost(rule, parts)?).ok()
}

/// The parts with the loss of the rule; `None` if it has no known model.
fn lost(rule: &Rule, parts: Parts) -> Option<Parts> {
    const MODELS: [Model; 5] =
        [Model::None, Model::Random, Model::GilbertElliott, Model::FourState, Model::Pattern];
    let [a, b, c, d, e] = rule.loss.map(Probability::from_2_32nds);
    let model = MODELS.into_iter().find(|model| *model as u32 == rule.loss_model)?;
    Some(match model {
        Model::None => parts,
        Model::Random => {
            let correlation = Probability::from_2_32nds(rule.loss_correlation);
            Parts { loss: Some(a), loss_correlation: Some(correlation), ..parts }
        }
        Model::GilbertElliott => {
            let states = GilbertElliott { p: a, r: b, one_minus_h: c, one_minus_k: d };
            Parts { loss_gemodel: Some(states), ..parts }
        }
        Model::FourState => {
            Parts { loss_state: Some(FourState { p13: a, p31: b, p32: c, p23: d, p14: e }), ..parts }
        }
        Model::Pattern => {
            let pattern = Pattern::from_bits(rule.loss_pattern, rule.loss_pattern_len)?;
            Parts { loss_pattern: Some(pattern), ..parts }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::any_shape;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_rule_says_what_was_asked_for(shape in any_shape(), seed: u64) {
            let link =
                Link { queue_bytes: queue_bytes(&shape), burst_bytes: burst_bytes(&shape), ..Link::default() };
            let rule = of_shape(&shape, Direction::Egress, seed, 0);
            prop_assert_eq!(to_shape(&rule, &link), Some(shape.with_seed(seed)));
        }
    }
}
