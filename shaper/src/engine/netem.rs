//! `netem`: the classifier picks the htb class of a packet's rule, the netem below it does all that a shape asks for with its
//! own dice.
//!
//! ```text
//! egress:   eth0 clsact egress: shaper_netem ─▶ root htb 5a00: ─┬─▶ class 5a00:1 ─▶ netem 5a01:
//!                                                               ├─▶ class 5a00:2 ─▶ netem 5a02:
//!                                                               └─▶ direct queue: what is not to be shaped
//! ingress:  eth0 clsact ingress: shaper_divert ─▶ mirred ─▶ the same on an ifb
//! ```

use std::collections::{BTreeMap, BTreeSet};

use shaper_common::abi::Entry;
use shaper_common::jitter::{self, TABLE_LEN, TABLE_SCALE};

use crate::attachment::{self, ROOT};
use crate::netlink::link::Device;
use crate::netlink::{self, Message};
use crate::plan::set::{Set, Slotted};
use crate::plan::{limits, rule};
use crate::shape::{Chance, Distribution, Loss, Named as _, Shape};
use crate::tc::class::Class;
use crate::tc::qdisc::{Kind, Qdisc, htb, netem};
use crate::tc::{self, Handle, Verb};
use crate::units::{Overhead, Probability, Rate};

use super::Session;
use super::inverse::Inverse;

/// The class's own rate: none that matters, since netem does the limiting. 1 Tbit/s.
const CLASS_BYTES_PER_SEC: u64 = 125_000_000_000;

/// Messages that are sent at once: a leaf has a table of 8 KB, and a socket takes 200 KB.
const BATCH: usize = 16;

/// Sets the queue up on a link, with a class and a leaf for each rule that has a shape.
pub(super) fn queue(session: &mut Session, dev: &Device, set: &Set) -> Result<(), netlink::Error> {
    let root = Qdisc {
        dev: dev.clone(),
        parent: Handle::ROOT,
        handle: ROOT,
        kind: Kind::Htb(htb::Qdisc::default()),
    };
    session.send(vec![root.message(Verb::Replace)])?;
    send(session, set.rules.iter().flat_map(|rule| add(dev, rule)))
}

/// Gives the queue what a new set needs, before packets are told from each other by it: leaves are changed, so that the packets
/// in them stay, with the times they have, and new ones are added.
pub(super) fn change(
    session: &mut Session,
    dev: &Device,
    set: &Set,
    now: &BTreeMap<u32, &tc::Observed>,
) -> Result<(), netlink::Error> {
    let is_changed = |rule: &Slotted, leaf: &tc::Observed, shape: &Shape| {
        !rule.is_unchanged() || !is_so(leaf, shape, rule.entry.rule.seed)
    };
    for rule in &set.rules {
        match (now.get(&rule.slot), rule.shape, &rule.before) {
            (Some(leaf), Some(shape), Some(before)) if is_changed(rule, leaf, &shape) => {
                session.on_failure(as_before(dev, rule.slot, before, leaf));
            }
            (None, Some(_), _) => {
                session.on_failure(Inverse::Send(class(dev, rule.slot).message(Verb::Del)));
            }
            (Some(_), _, _) | (None, None, _) => {}
        }
    }
    let messages = set.rules.iter().flat_map(|rule| match (now.get(&rule.slot), rule.shape) {
        (Some(leaf), Some(shape)) if is_changed(rule, leaf, &shape) => {
            vec![changed(dev, rule.slot, &shape, rule.entry.rule.seed, leaf)]
        }
        (Some(_), _) => Vec::new(),
        (None, _) => add(dev, rule),
    });
    send(session, messages)
}

/// Takes away the classes that no rule of the set has any more, but for those that still hold packets: these are taken away by
/// the next command.
pub(super) fn sweep(
    session: &mut Session,
    dev: &Device,
    set: &Set,
    now: &BTreeMap<u32, &tc::Observed>,
    had: &[(u32, Entry)],
) -> Result<(), netlink::Error> {
    // `had` is in the order of slots, as maps are read.
    let wanted: BTreeSet<u32> =
        set.rules.iter().filter(|rule| rule.shape.is_some()).map(|rule| rule.slot).collect();
    let idle: Vec<_> =
        now.iter().filter(|(slot, leaf)| !wanted.contains(slot) && leaf.stats.qlen == 0).collect();
    for (slot, leaf) in &idle {
        if let Ok(index) = had.binary_search_by_key(*slot, |(slot, _)| *slot) {
            session.on_failure(as_before(dev, **slot, &had[index].1, leaf));
        }
    }
    send(session, idle.into_iter().map(|(slot, _)| class(dev, *slot).message(Verb::Del)))
}

/// What makes the class and the leaf of a slot what they were, with a table of 8 KB only then.
fn as_before(dev: &Device, slot: u32, before: &Entry, now: &tc::Observed) -> Inverse {
    let limit_packets = netem::Options::parse(&now.options).unwrap_or_default().limit_packets;
    Inverse::Leaf { dev: dev.clone(), slot, before: Box::new(*before), limit_packets }
}

/// Makes the class and the leaf of a slot those of a rule, if it has a shape.
pub(super) fn put_back(
    session: &mut Session,
    dev: &Device,
    slot: u32,
    rule: &Entry,
    limit_packets: u32,
) -> Result<(), netlink::Error> {
    let Some(shape) = rule::shape_of(rule) else { return Ok(()) };
    let leaf = leaf(dev, slot, options(&shape, rule.rule.seed, limit_packets));
    session.send(vec![class(dev, slot).message(Verb::Replace), leaf.message(Verb::Replace)])
}

fn send(
    session: &mut Session,
    messages: impl Iterator<Item = Message<'static>>,
) -> Result<(), netlink::Error> {
    let mut messages = messages.peekable();
    while messages.peek().is_some() {
        session.send(messages.by_ref().take(BATCH).collect())?;
    }
    Ok(())
}

fn class(dev: &Device, slot: u32) -> Class {
    Class {
        dev: dev.clone(),
        parent: ROOT,
        classid: attachment::class(slot),
        options: htb::Class::with_rate(CLASS_BYTES_PER_SEC),
    }
}

/// A rule without a shape has no class: htb sends what it does not know directly.
fn add(dev: &Device, rule: &Slotted) -> Vec<Message<'static>> {
    let Some(shape) = rule.shape else { return Vec::new() };
    let options = options(&shape, rule.entry.rule.seed, limits::netem_packets(&shape));
    vec![class(dev, rule.slot).message(Verb::Replace), leaf(dev, rule.slot, options).message(Verb::Replace)]
}

fn changed(dev: &Device, slot: u32, shape: &Shape, seed: u64, now: &tc::Observed) -> Message<'static> {
    let had = netem::Options::parse(&now.options).unwrap_or_default();
    // Packets still on their way by the old shape must not use up the new one's queue.
    let limit = limits::netem_packets(shape).max(had.limit_packets.min(now.stats.qlen.saturating_mul(2)));
    leaf(dev, slot, options(shape, seed, limit)).message(Verb::Change)
}

/// Whether the leaves do what the rules say, as far as a kernel tells: a command that was killed leaves them otherwise.
pub(super) fn are_so(set: &Set, now: &BTreeMap<u32, &tc::Observed>) -> bool {
    set.rules.iter().all(|rule| match (rule.shape, now.get(&rule.slot)) {
        (Some(shape), Some(leaf)) => is_so(leaf, &shape, rule.entry.rule.seed),
        (shape, _) => shape.is_none(),
    })
}

/// Whether the leaf does what the shape says, as far as a kernel tells: never the distribution, the seed since 6.6.
fn is_so(now: &tc::Observed, shape: &Shape, seed: u64) -> bool {
    let Some(has) = netem::Options::parse(&now.options) else { return false };
    let wanted = options(shape, seed, has.limit_packets);
    let seed = has.seed.and(wanted.seed);
    let told = |options: netem::Options| netem::Options {
        distribution: None,
        correlation: options.correlation.or_else(|| Some(netem::Correlation::default())),
        corrupt: options.corrupt.or_else(|| Some(netem::Chance::default())),
        reorder: options.reorder.or_else(|| Some(netem::Chance::default())),
        rate: options.rate.or_else(|| Some(netem::Rate::default())),
        ..options
    };
    told(has) == told(netem::Options { seed, ..wanted })
}

fn leaf(dev: &Device, slot: u32, options: netem::Options) -> Qdisc {
    let (parent, handle) = (attachment::class(slot), attachment::leaf(slot));
    Qdisc { dev: dev.clone(), parent, handle, kind: Kind::Netem(options) }
}

/// A change keeps what it does not name, so everything is named, also what is not asked for; but a distribution only where
/// there is jitter to spread.
fn options(shape: &Shape, seed: u64, limit_packets: u32) -> netem::Options {
    let distribution = (!shape.jitter().is_zero()).then(|| netem::Distribution {
        name: shape.distribution().name().to_owned(),
        table: table(shape.distribution()),
    });
    let (loss, loss_correlation) = loss(shape.loss());
    let duplicate = chance(shape.duplicate());
    netem::Options {
        limit_packets,
        delay_ns: shape.latency().as_ns(),
        jitter_ns: shape.jitter().as_ns(),
        distribution,
        correlation: Some(netem::Correlation {
            delay: shape.jitter_correlation().as_2_32nds(),
            loss: loss_correlation.as_2_32nds(),
            duplicate: duplicate.correlation,
        }),
        loss,
        duplicate: duplicate.probability,
        corrupt: Some(chance(shape.corrupt())),
        reorder: Some(chance(shape.reorder())),
        gap: shape.reorder().map_or(0, |_| shape.reorder_gap().max(1)),
        rate: Some(rate(shape)),
        seed: Some(seed),
    }
}

/// netem's loss model, and the correlation that goes with a random one.
///
/// A pattern is none of its models: [`crate::plan::capable`] keeps it from getting here.
fn loss(asked: Option<Loss>) -> (netem::Loss, Probability) {
    let raw = Probability::as_2_32nds;
    // The kernel adds these two in 32 bits, and what wraps round would be no loss at all.
    let beside = |one: Probability, other: Probability| raw(one).min(u32::MAX - raw(other));
    match asked {
        Some(Loss::Random { probability, correlation }) => {
            (netem::Loss::Random(raw(probability)), correlation)
        }
        Some(Loss::GilbertElliott { p, r, one_minus_h, one_minus_k }) => {
            let (one_minus_h, one_minus_k) = (raw(one_minus_h), raw(one_minus_k));
            let model = netem::Loss::GilbertElliott { p: raw(p), r: raw(r), one_minus_h, one_minus_k };
            (model, Probability::NEVER)
        }
        Some(Loss::FourState { p13, p31, p32, p23, p14 }) => {
            let model = netem::Loss::FourState {
                p13: beside(p13, p14),
                p31: raw(p31),
                p32: beside(p32, p31),
                p23: raw(p23),
                p14: raw(p14),
            };
            (model, Probability::NEVER)
        }
        Some(Loss::Pattern(_)) | None => (netem::Loss::default(), Probability::NEVER),
    }
}

fn chance(asked: Option<Chance>) -> netem::Chance {
    asked.map_or(netem::Chance::default(), |chance| netem::Chance {
        probability: chance.probability.as_2_32nds(),
        correlation: chance.correlation.as_2_32nds(),
    })
}

fn rate(shape: &Shape) -> netem::Rate {
    let overhead = shape.overhead().unwrap_or(Overhead::NONE);
    netem::Rate {
        bytes_per_sec: shape.bandwidth().map_or(0, Rate::bytes_per_sec),
        packet_overhead_bytes: overhead.packet,
        cell_bytes: overhead.cell,
        cell_overhead_bytes: overhead.cell_packet,
    }
}

/// The very tables of the decision core, or the user's; for the uniform distribution, which netem has without a table but to which it
/// cannot go back from another one, evenly spaced values.
fn table(distribution: Distribution) -> Vec<i16> {
    match distribution {
        Distribution::Table(table) => table.values().to_vec(),
        Distribution::Normal => jitter::NORMAL.to_vec(),
        Distribution::Pareto => jitter::PARETO.to_vec(),
        Distribution::ParetoNormal => jitter::PARETO_NORMAL.to_vec(),
        Distribution::Uniform => {
            let scale = TABLE_SCALE as i32;
            let len = TABLE_LEN as i32;
            (0..len).map(|i| (scale * (2 * i + 1 - len) / len) as i16).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attr::Attributes;
    use crate::netlink::uapi::TCA_OPTIONS;
    use crate::shape::{Parts, any_shape};
    use crate::tc::Stats;
    use proptest::prelude::*;

    fn leaf_with(options: netem::Options) -> tc::Observed {
        let message = leaf(&Device { ifindex: 1, name: "lo".into() }, 1, options).message(Verb::Add);
        let (_, attributes) = message.body().split_at(20);
        let options =
            Attributes::new(attributes).find_kind(TCA_OPTIONS).expect("just written").value.to_vec();
        let (handle, parent) = (attachment::leaf(1), attachment::class(1));
        tc::Observed { ifindex: 1, handle, parent, kind: "netem".into(), options, stats: Stats::default() }
    }

    proptest! {
        #[test]
        fn a_leaf_is_so_only_by_its_own_shape(one in any_shape().boxed(), other in any_shape().boxed(), seed: u64) {
            let now = leaf_with(options(&one, seed, 1000));
            prop_assert!(is_so(&now, &one, seed));
            prop_assert!(!is_so(&now, &one, !seed));
            let untold = |shape: &Shape| netem::Options { distribution: None, ..options(shape, seed, 1000) };
            prop_assert_eq!(is_so(&now, &other, seed), untold(&one) == untold(&other));
        }
    }

    #[test]
    fn probabilities_that_the_kernel_adds_do_not_wrap_round() {
        let half = Some("50%,50%,50%,10%,50%".parse().unwrap());
        let shape = Shape::new(Parts { loss_state: half, ..Parts::default() }).unwrap();
        let netem::Loss::FourState { p13, p31, p32, p14, .. } = options(&shape, 0, 1).loss else {
            panic!("four states were asked for");
        };
        assert!(p13.checked_add(p14).is_some() && p31.checked_add(p32).is_some());
        assert_eq!((p13, p31, p14), ((1 << 31) - 1, 1 << 31, 1 << 31));
    }

    #[test]
    fn the_uniform_table_is_symmetric_and_reaches_one_jitter() {
        let table = table(Distribution::Uniform);
        assert_eq!(table.len(), TABLE_LEN);
        assert!(table.iter().zip(table.iter().rev()).all(|(low, high)| *low == -*high));
        assert_eq!(i64::from(table[TABLE_LEN - 1]), TABLE_SCALE - 2);
    }
}
