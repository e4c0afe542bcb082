//! Asked against achieved: whether what became of packets is what the shape says, as far as their number can tell. Pure.

use serde::Serialize;
use shaper_common::abi::Counters;

use crate::shape::{Chance, Loss, Shape};
use crate::units::Probability;

/// Standard errors within which chance keeps 999 of 1000 readings.
const SIGMAS: f64 = 3.29;
/// Fewer expected cases, or expected cases of the opposite, say nothing: the normal approximation needs some.
const LEAST_EXPECTED: f64 = 10.0;
/// Steps after which the four-state model has forgotten where it began, unless its probabilities are tiny.
const STEPS: usize = 100_000;

/// One fault: how often it was asked for, and how often it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Achieved {
    /// `loss`, `duplicate`, `corrupt` or `reorder`.
    pub what: &'static str,
    /// The share of the packets that was asked for, 0 to 1; in the mean, for loss models.
    pub asked: f64,
    /// The share that it happened to.
    pub achieved: f64,
    /// Packets that this rests on.
    pub packets: u64,
    /// Whether the difference is no more than chance makes of it in 999 of 1000 cases; absent when the packets are too few to say, or the
    /// model has no simple answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_chance: Option<bool>,
}

/// How a count spreads around what is expected of it.
struct Expected {
    share: f64,
    /// Variance of the count over that of as many independent packets; `None`: not known.
    inflation: Option<f64>,
}

/// Compares what was counted under a shape, on an engine that decides with our core, with what it asks.
#[must_use]
pub fn of(shape: &Shape, counters: &Counters) -> Vec<Achieved> {
    let decided = counters.delayed_packets + counters.lost + counters.queue_drops;
    let sent = counters.delayed_packets;
    // A copy that the queue had no room for is not counted as one: then the counts say nothing of the dice.
    let has_room = counters.queue_drops == 0;
    let mut all = Vec::new();
    all.extend(shape.loss().map(|loss| judge("loss", &of_loss(loss), counters.lost, decided)));
    let chance =
        |chance: Option<Chance>| chance.map(|chance| of_chance(chance.probability, chance.correlation));
    if has_room {
        let duplicate = chance(shape.duplicate());
        all.extend(duplicate.map(|expected| judge("duplicate", &expected, counters.duplicated, sent)));
    }
    let copies = sent + counters.duplicated;
    all.extend(
        chance(shape.corrupt()).map(|expected| judge("corrupt", &expected, counters.corrupted, copies)),
    );
    let reorder = chance(shape.reorder()).map(|expected| spaced(&expected, shape.reorder_gap()));
    all.extend(reorder.map(|expected| judge("reorder", &expected, counters.reordered, sent)));
    all
}

fn judge(what: &'static str, expected: &Expected, count: u64, packets: u64) -> Achieved {
    let (share, n) = (expected.share, packets as f64);
    let is_told = n * share.min(1.0 - share) >= LEAST_EXPECTED || share == 0.0 || share == 1.0;
    let is_chance = expected.inflation.filter(|_| is_told && packets > 0).map(|inflation| {
        let sigma = (n * share * (1.0 - share) * inflation).sqrt();
        // Half a packet: counts are whole.
        (count as f64 - n * share).abs() <= SIGMAS * sigma + 0.5
    });
    Achieved { what, asked: share, achieved: count as f64 / n.max(1.0), packets, is_chance }
}

/// Each packet like the one before with `correlation`, else by itself.
fn of_chance(probability: Probability, correlation: Probability) -> Expected {
    let rho = correlation.as_f64();
    Expected { share: probability.as_f64(), inflation: Some((1.0 + rho) / (1.0 - rho)) }
}

/// Only every so manieth packet since the last one has a chance: `gap - 1` that have none, and tries until one hits.
fn spaced(expected: &Expected, gap: u32) -> Expected {
    let wait = f64::from(gap.max(1) - 1);
    let share = 1.0 / (wait + 1.0 / expected.share);
    Expected { share, inflation: if gap > 1 { None } else { expected.inflation } }
}

fn of_loss(loss: Loss) -> Expected {
    match loss {
        Loss::Random { probability, correlation } => of_chance(probability, correlation),
        Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
            let [p, r, bad, good] = [p, r, one_minus_h, one_minus_k].map(Probability::as_f64);
            if p == 0.0 {
                return Expected { share: good, inflation: Some(1.0) };
            }
            let in_bad = p / (p + r);
            let share = in_bad * bad + (1.0 - in_bad) * good;
            // The state of k packets later depends on this one's by (1 - p - r)^k; summed up over all k.
            let memory = (1.0 - p - r) / (p + r);
            let covariance = (bad - good).powi(2) * in_bad * (1.0 - in_bad);
            let independent = share * (1.0 - share);
            let inflation =
                if independent > 0.0 { 1.0 + 2.0 * covariance * memory / independent } else { 1.0 };
            Expected { share, inflation: Some(inflation.max(0.0)) }
        }
        Loss::FourState { p13, p31, p32, p23, p14 } => {
            let [p13, p31, p32, p23, p14] = [p13, p31, p32, p23, p14].map(Probability::as_f64);
            let mut shares = [1.0, 0.0, 0.0, 0.0];
            let mut before = shares;
            for _ in 0..STEPS {
                let [gap, burst, lost, alone] = shares;
                let next = [
                    gap * (1.0 - p13 - p14) + lost * p31 + alone,
                    burst * (1.0 - p23) + lost * p32,
                    gap * p13 + burst * p23 + lost * (1.0 - p31 - p32),
                    gap * p14,
                ];
                // The mean of two steps: a chain that only goes to and fro has a mean, too.
                before = shares;
                shares = next;
            }
            Expected { share: (shares[2] + shares[3] + before[2] + before[3]) / 2.0, inflation: None }
        }
        Loss::Pattern(pattern) => {
            let share = f64::from(pattern.bits().count_ones()) / f64::from(pattern.length());
            Expected { share, inflation: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use shaper_common::decide::{Copied, Fate, Frame, State, decide};

    use super::*;
    use crate::plan::rule;
    use crate::shape::shape_of;

    /// What the core makes of `packets` packets under `shape`.
    fn counted(shape: &str, packets: u64, seed: u64) -> Counters {
        let rule = rule::of_shape(&shape_of(shape), seed);
        let [free_at_ns, sequence, last_at_ns] = [const { AtomicU64::new(0) }; 3];
        let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
        let mut counters = Counters::default();
        for now_ns in 0..packets {
            match decide(&rule, &state, Frame { wire_bytes: 100, wire_packets: 1 }, now_ns) {
                Fate::Lost => counters.lost += 1,
                Fate::QueueFull => counters.queue_drops += 1,
                Fate::Depart { packet, copy, reordered, .. } => {
                    counters.delayed_packets += 1;
                    counters.corrupted += u64::from(packet.corrupt != 0);
                    counters.reordered += reordered;
                    if let Copied::Depart(copy) = copy {
                        counters.duplicated += 1;
                        counters.corrupted += u64::from(copy.corrupt != 0);
                    }
                }
            }
        }
        counters
    }

    const SHAPES: [&str; 8] = [
        "loss=1%",
        "loss=50%",
        "loss=10% loss_correlation=75%",
        "loss_gemodel=1%,10%",
        "loss_gemodel=5%,50%,80%,1%",
        "duplicate=10% corrupt=5%",
        "duplicate=10% duplicate_correlation=50%",
        "latency=10ms reorder=25%",
    ];

    #[test]
    fn what_the_core_does_is_what_was_asked_but_for_chance() {
        for shape in SHAPES {
            for seed in 0..20 {
                for achieved in of(&shape_of(shape), &counted(shape, 20_000, seed)) {
                    assert_eq!(achieved.is_chance, Some(true), "{shape}, seed {seed}: {achieved:?}");
                }
            }
        }
    }

    #[test]
    fn readings_spread_as_far_as_the_formula_says() {
        // Of what chance makes, one in a hundred must be further off than 2.58 standard errors: a formula that is too wide says nothing.
        for shape in ["loss=10% loss_correlation=75%", "loss_gemodel=1%,10%", "loss_gemodel=5%,50%,80%,1%"] {
            let Some(loss) = shape_of(shape).loss() else { panic!("{shape}") };
            let Expected { share, inflation } = of_loss(loss);
            let (n, runs) = (20_000_u64, 100);
            let sigma = (n as f64 * share * (1.0 - share) * inflation.unwrap()).sqrt();
            let squares = (0..runs).map(|seed| {
                let lost = counted(shape, n, 1_000 + seed).lost;
                ((lost as f64 - n as f64 * share) / sigma).powi(2)
            });
            // Chi-square with 100 degrees of freedom, 99.9 % within.
            let sum: f64 = squares.sum();
            assert!((61.9..149.4).contains(&sum), "{shape}: {sum}");
        }
    }

    #[test]
    fn another_share_than_was_asked_is_no_chance() {
        for (asked, happened) in [
            ("loss=10%", "loss=12%"),
            ("loss_gemodel=1%,10%", "loss_gemodel=1%,5%"),
            ("duplicate=10%", "duplicate=8%"),
            ("corrupt=5%", "corrupt=7%"),
            ("latency=10ms reorder=25%", "latency=10ms reorder=20%"),
        ] {
            let achieved = of(&shape_of(asked), &counted(happened, 20_000, 1));
            assert_eq!(achieved[0].is_chance, Some(false), "{asked}: {achieved:?}");
        }
    }

    #[test]
    fn few_packets_say_nothing_and_models_without_a_formula_only_their_mean() {
        assert_eq!(of(&shape_of("loss=1%"), &counted("loss=1%", 100, 1))[0].is_chance, None);
        for shape in
            ["loss_state=2%,40%,20%,50%,1%", "loss_pattern=0010", "latency=1ms reorder=50% reorder_gap=5"]
        {
            let achieved = of(&shape_of(shape), &counted(shape, 200_000, 1)).remove(0);
            assert_eq!(achieved.is_chance, None, "{shape}");
            assert!((achieved.achieved - achieved.asked).abs() < 0.005, "{shape}: {achieved:?}");
        }
    }
}
