//! `netem`: the classifier picks an htb class, the netem below it delays, jitters and limits with its own dice.
//!
//! ```text
//! egress:   eth0 clsact egress: shaper_netem ─▶ root htb 5a00: ─┬─▶ class 5a00:1 ─▶ netem 5a01:
//!                                                               └─▶ direct queue: what is not to be shaped
//! ingress:  eth0 clsact ingress: shaper_divert ─▶ mirred ─▶ the same on an ifb
//! ```

use shaper_common::jitter::{self, Distribution, TABLE_LEN, TABLE_SCALE};

use crate::attachment::{CLASS, LEAF, ROOT};
use crate::netlink::Message;
use crate::netlink::link::Device;
use crate::plan::limits;
use crate::shape::{Named as _, Shape};
use crate::tc::class::Class;
use crate::tc::qdisc::{Kind, Qdisc, htb, netem};
use crate::tc::{self, Handle, Verb};
use crate::units::Rate;

/// The class's own rate: none that matters, since netem does the limiting. 1 Tbit/s.
const CLASS_BYTES_PER_SEC: u64 = 125_000_000_000;

/// Sets the queue up on a link.
pub(super) fn queue(dev: &Device, shape: &Shape, seed: u64) -> Vec<Message<'static>> {
    let root = Qdisc {
        dev: dev.clone(),
        parent: Handle::ROOT,
        handle: ROOT,
        kind: Kind::Htb(htb::Qdisc::default()),
    };
    let class = Class {
        dev: dev.clone(),
        parent: ROOT,
        classid: CLASS,
        options: htb::Class::with_rate(CLASS_BYTES_PER_SEC),
    };
    let leaf = leaf(dev, options(shape, seed, limits::netem_packets(shape)));
    vec![root.message(Verb::Replace), class.message(Verb::Replace), leaf.message(Verb::Replace)]
}

/// Gives the queue a new shape, by a change: the packets in it stay, with the times they have.
pub(super) fn change(dev: &Device, shape: &Shape, seed: u64, now: &tc::Observed) -> Vec<Message<'static>> {
    let had = netem::Options::parse(&now.options).unwrap_or_default();
    // Packets still on their way by the old shape must not use up the new one's queue.
    let limit = limits::netem_packets(shape).max(had.limit_packets.min(now.stats.qlen.saturating_mul(2)));
    vec![leaf(dev, options(shape, seed, limit)).message(Verb::Change)]
}

/// Whether the leaf delays, jitters and limits as the shape says; a kernel does not tell the distribution.
pub(super) fn is_so(now: &tc::Observed, shape: &Shape, seed: u64) -> bool {
    let (has, wanted) = (netem::Options::parse(&now.options).unwrap_or_default(), options(shape, seed, 0));
    let rate = |options: &netem::Options| options.rate_bytes_per_sec.unwrap_or(0);
    has.delay_ns == wanted.delay_ns && has.jitter_ns == wanted.jitter_ns && rate(&has) == rate(&wanted)
}

fn leaf(dev: &Device, options: netem::Options) -> Qdisc {
    Qdisc { dev: dev.clone(), parent: CLASS, handle: LEAF, kind: Kind::Netem(options) }
}

/// A change keeps what it does not name, so rate and distribution are always named.
fn options(shape: &Shape, seed: u64, limit_packets: u32) -> netem::Options {
    let distribution = (!shape.jitter().is_zero()).then(|| netem::Distribution {
        name: shape.distribution().name().to_owned(),
        table: table(shape.distribution()),
    });
    netem::Options {
        limit_packets,
        delay_ns: shape.latency().as_ns(),
        jitter_ns: shape.jitter().as_ns(),
        distribution,
        rate_bytes_per_sec: Some(shape.bandwidth().map_or(0, Rate::bytes_per_sec)),
        seed: Some(seed),
    }
}

/// The very tables of the decision core; for the uniform distribution, which netem has without a table but to which it
/// cannot go back from another one, evenly spaced values.
fn table(distribution: Distribution) -> Vec<i16> {
    match distribution {
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

    #[test]
    fn the_uniform_table_is_symmetric_and_reaches_one_jitter() {
        let table = table(Distribution::Uniform);
        assert_eq!(table.len(), TABLE_LEN);
        assert!(table.iter().zip(table.iter().rev()).all(|(low, high)| *low == -*high));
        assert_eq!(i64::from(table[TABLE_LEN - 1]), TABLE_SCALE - 2);
    }
}
