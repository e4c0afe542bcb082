//! A rule as the kernel program reads it, and back.
//!
//! But for its table: here it has the number that the table has in this process; [`crate::bpf::Maps`] puts the kernel's in its place.

use std::num::NonZeroU16;

use shaper_common::abi::{Asked, Direction, Entry, Rule, asked, rule_flag};
use shaper_common::filter::Filter;
use shaper_common::jitter::Distribution as Kind;
use shaper_common::loss::Model;

use crate::rules::{self, Prefix, Protocol, RuleParts, To};
use crate::shape::{Chance, Distribution, FourState, GilbertElliott, Loss, Parts, Pattern, Shape};
use crate::units::{Delay, Overhead, Probability, Queue, Rate, Size};

/// The entry of a rule for one direction that comes at `now_ns` (`CLOCK_MONOTONIC`), with `seed` for its draws where the rule has
/// none.
#[must_use]
pub fn of_rule(rule: &rules::Rule, direction: Direction, seed: u64, now_ns: u64) -> Entry {
    let at = |delay: Option<Delay>| delay.map_or(0, |delay| now_ns.saturating_add(delay.as_ns()));
    let to = rule.to();
    let shaped = rule.shape().map(|shape| of_shape(&shape, shape.seed().unwrap_or(seed)));
    let key = asked_of(to);
    Entry {
        rule: Rule {
            filter: rule.filter() as u32,
            filter_from_ns: at(rule.after()),
            expires_ns: at(rule.time_limit()),
            id: id(direction, &key),
            ..shaped.unwrap_or(Rule { seed, ..Rule::default() })
        },
        asked: Asked {
            flags: key.flags | if shaped.is_some() { asked::SHAPE } else { 0 },
            queue_bytes: rule.shape().as_ref().map_or(0, queue_bytes),
            queue_packets: rule.shape().as_ref().map_or(0, queue_packets),
            burst_bytes: rule.shape().as_ref().map_or(0, burst_bytes),
            since_ns: now_ns,
            ..key
        },
    }
}

/// The number of a rule's table of delays, if it has one.
#[must_use]
pub fn table_of(rule: &Rule) -> Option<u32> {
    (rule.distribution == Kind::Table as u32).then_some(rule.table)
}

/// Peers, port and protocol as [`Asked`] has them.
#[must_use]
pub fn asked_of(to: Option<To>) -> Asked {
    let Some(to) = to else {
        return Asked::default();
    };
    Asked {
        prefix: to.prefix_key(),
        port: to.port().map_or(0, NonZeroU16::get),
        protocol: to.protocol().map_or(0, Protocol::number),
        flags: asked::PREFIX | if to.protocol().is_some() { asked::PROTOCOL } else { 0 },
        ..Asked::default()
    }
}

/// Whether two entries are for the same packets.
#[must_use]
pub fn is_same_key(one: &Asked, other: &Asked) -> bool {
    key(one) == key(other)
}

/// What tells an entry from the others of its set.
#[must_use]
pub fn key(asked: &Asked) -> ([u64; 2], u32, u16, u8, u8) {
    let Asked { prefix, port, protocol, flags, .. } = *asked;
    (prefix.address, prefix.tag, port, protocol, flags & (asked::PREFIX | asked::PROTOCOL))
}

/// Whether an entry says the same as another, whenever they came.
#[must_use]
pub fn is_same(one: &Entry, other: &Entry) -> bool {
    let told = |entry: &Entry| Entry {
        rule: Rule { first_index: 0, ..entry.rule },
        asked: Asked { since_ns: 0, before: Default::default(), ..entry.asked },
    };
    told(one) == told(other)
}

/// A rule's part of the draws: the direction alone for all peers, so that two directions with one seed do not delay packet *n*
/// alike, and for others a hash of what the rule is for, which is the same wherever the rule stands in a set.
fn id(direction: Direction, asked: &Asked) -> u32 {
    const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    if *asked == Asked::default() {
        return direction as u32;
    }
    let words = [
        asked.prefix.address[0],
        asked.prefix.address[1],
        u64::from(asked.prefix.tag) << 32 | u64::from(asked.port) << 16 | u64::from(asked.protocol) << 8,
        u64::from(asked.flags) << 32 | u64::from(direction as u32),
    ];
    let hash = words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    (hash >> 32) as u32 ^ hash as u32
}

/// What was asked for, as far as it is a rule that could be asked for; times are those that are left at `now_ns`.
#[must_use]
pub fn to_rule(entry: &Entry, now_ns: u64) -> Option<rules::Rule> {
    // A rule that is about to end is one that ends in the shortest time there is.
    let left = |at_ns: u64| {
        (at_ns != 0).then(|| Delay::from_ns(at_ns.saturating_sub(now_ns)).max(rules::TIME_LIMIT_MIN))
    };
    let (to, filter) = (to_of(&entry.asked), filter_of(entry)?);
    let after = left(entry.rule.filter_from_ns).filter(|_| entry.rule.filter_from_ns > now_ns);
    let time_limit = left(entry.rule.expires_ns);
    // Behind a filter that has begun, no packet gets to the shape.
    let is_shut = after.is_none() && matches!(filter, Filter::Drop | Filter::Reject);
    let shape = match shape_of(entry) {
        Some(shape) if !is_shut => shape.into(),
        None if entry.asked.flags & asked::SHAPE != 0 => return None,
        Some(_) | None => Parts::default(),
    };
    rules::Rule::new(RuleParts { to, filter: Some(filter), after, time_limit, shape }).ok()
}

/// The peers of an entry; `None` for all.
#[must_use]
pub fn to_of(asked: &Asked) -> Option<To> {
    if asked.flags & asked::PREFIX == 0 {
        return None;
    }
    let protocol = (asked.flags & asked::PROTOCOL != 0).then(|| Protocol::from_number(asked.protocol));
    To::new(Prefix::from_key(&asked.prefix)?, NonZeroU16::new(asked.port), protocol).ok()
}

/// The filter of an entry, if it is one that could be asked for.
#[must_use]
pub fn filter_of(entry: &Entry) -> Option<Filter> {
    Filter::ALL.into_iter().find(|filter| *filter as u32 == entry.rule.filter)
}

/// The shape of an entry, if it has one that could be asked for.
#[must_use]
pub fn shape_of(entry: &Entry) -> Option<Shape> {
    (entry.asked.flags & asked::SHAPE != 0).then(|| to_shape(&entry.rule, &entry.asked))?
}

/// The part of a rule that its shape makes, with `seed` for its draws.
#[must_use]
pub fn of_shape(shape: &Shape, seed: u64) -> Rule {
    let (duplicate, duplicate_correlation) = steps(shape.duplicate());
    let (corrupt, corrupt_correlation) = steps(shape.corrupt());
    let (reorder, reorder_correlation) = steps(shape.reorder());
    let overhead = shape.overhead().unwrap_or(Overhead::NONE);
    let (distribution, table) = shape.distribution().to_kernel();
    let rule = Rule {
        latency_ns: shape.latency().as_ns(),
        jitter_ns: shape.jitter().as_ns(),
        rate_bytes_per_sec: shape.bandwidth().map_or(0, Rate::bytes_per_sec),
        queue_ns: shape.queue_time().map_or(0, Delay::as_ns),
        burst_ns: shape.burst_time().map_or(0, Delay::as_ns),
        ecn_ns: shape.ecn().map_or(0, Delay::as_ns),
        seed,
        duplicate,
        duplicate_correlation,
        corrupt,
        corrupt_correlation,
        reorder,
        reorder_correlation,
        reorder_gap: shape.reorder_gap(),
        jitter_correlation: shape.jitter_correlation().as_2_32nds(),
        distribution: distribution as u32,
        table,
        overhead_bytes: overhead.packet.cast_unsigned(),
        cell_bytes: overhead.cell,
        cell_overhead_bytes: overhead.cell_packet.cast_unsigned(),
        flags: if shape.keep_order() { rule_flag::KEEP_ORDER } else { 0 },
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

/// The queue bound in bytes as [`Asked::queue_bytes`] keeps it, zero when it was given as a time: the rule has only times.
fn queue_bytes(shape: &Shape) -> u32 {
    match shape.queue() {
        Some(Queue::Bytes(size)) => u32::try_from(size.bytes()).unwrap_or(u32::MAX),
        Some(Queue::Time(_) | Queue::Packets(_)) | None => 0,
    }
}

/// The queue bound in packets as [`Asked::queue_packets`] keeps it, zero when it was given otherwise.
fn queue_packets(shape: &Shape) -> u32 {
    match shape.queue() {
        Some(Queue::Packets(packets)) => packets,
        Some(Queue::Time(_) | Queue::Bytes(_)) | None => 0,
    }
}

/// The burst in bytes as [`Asked::burst_bytes`] keeps it, zero for none: the rule has only its time.
fn burst_bytes(shape: &Shape) -> u32 {
    shape.burst().map_or(0, |size| u32::try_from(size.bytes()).unwrap_or(u32::MAX))
}

/// The shape that a rule carries out, as far as it is one that could be asked for.
fn to_shape(rule: &Rule, asked: &Asked) -> Option<Shape> {
    let given = |ns: u64| (ns != 0).then_some(Delay::from_ns(ns));
    let chance = |steps: u32| (steps != 0).then_some(Probability::from_2_32nds(steps));
    let size = |bytes: u32| (bytes != 0).then_some(Size::from_bytes(u64::from(bytes)));
    let distribution = Distribution::from_kernel(rule.distribution, rule.table)?;
    let bandwidth = (rule.rate_bytes_per_sec != 0).then(|| Rate::from_bytes_per_sec(rule.rate_bytes_per_sec));
    let packets = (asked.queue_packets != 0).then_some(Queue::Packets(asked.queue_packets));
    let bound = size(asked.queue_bytes).map(Queue::Bytes).or(packets);
    let queue = || bound.unwrap_or(Queue::Time(Delay::from_ns(rule.queue_ns)));
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
        burst: size(asked.burst_bytes),
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
        fn an_entry_says_what_was_asked_for(shape in any_shape(), seed: u64, now_ns in 0..1u64 << 60) {
            let parts = RuleParts { shape: shape.into(), ..RuleParts::default() };
            let rule = rules::Rule::new(parts).unwrap();
            let entry = of_rule(&rule, Direction::Egress, seed, now_ns);
            let seeded = shape.seed().map_or(shape.with_seed(seed), |_| shape);
            prop_assert_eq!(to_rule(&entry, now_ns).unwrap().shape(), Some(seeded));
        }
    }
}
