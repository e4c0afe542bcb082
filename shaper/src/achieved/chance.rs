//! How often faults happened.

use shaper_common::abi::Counters;

use super::{Achieved, Quantity, SIGMAS};
use crate::measure::stats::chain::Chain;
use crate::shape::{Chance, Loss, Shape};
use crate::units::Probability;

/// Fewer expected cases, or expected cases of the opposite, say nothing: the normal approximation needs some.
const LEAST_EXPECTED: f64 = 10.0;

/// How a count spreads around what is expected of it.
struct Expected {
    share: f64,
    /// Variance of the count over that of as many independent packets; `None`: not known.
    inflation: Option<f64>,
}

/// Each fault of the shape.
pub(super) fn of(shape: &Shape, counters: &Counters) -> Vec<Achieved> {
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
    // As many independent packets say as much.
    let is_told = |inflation: &f64| {
        n * share.min(1.0 - share) / inflation.max(1.0) >= LEAST_EXPECTED || share == 0.0 || share == 1.0
    };
    let is_chance = expected.inflation.filter(is_told).filter(|_| packets > 0).map(|inflation| {
        let sigma = (n * share * (1.0 - share) * inflation).sqrt();
        // Half a packet: counts are whole.
        (count as f64 - n * share).abs() <= SIGMAS * sigma + 0.5
    });
    let achieved = Quantity::Share(count as f64 / n.max(1.0));
    Achieved { what, asked: Quantity::Share(share), achieved, packets, is_chance, busy: None }
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

fn of_chain(chain: &Chain) -> Expected {
    let run = chain.long_run();
    Expected { share: run.share, inflation: Some(run.inflation).filter(|inflation| inflation.is_finite()) }
}

fn of_loss(loss: Loss) -> Expected {
    match loss {
        Loss::Random { probability, correlation } => of_chance(probability, correlation),
        Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
            let [p, r, bad, good] = [p, r, one_minus_h, one_minus_k].map(Probability::as_f64);
            let transitions = vec![vec![1.0 - p, p], vec![r, 1.0 - r]];
            of_chain(&Chain { transitions, happens: vec![good, bad] })
        }
        Loss::FourState { p13, p31, p32, p23, p14 } => {
            let [p13, p31, p32, p23, p14] = [p13, p31, p32, p23, p14].map(Probability::as_f64);
            // Of two ways on, the one that the core tries first takes what it is given.
            let (p13, p31) = (p13.min(1.0 - p14), p31.min(1.0 - p32));
            let transitions = vec![
                vec![1.0 - p13 - p14, 0.0, p13, p14],
                vec![0.0, 1.0 - p23, p23, 0.0],
                vec![p31, p32, 1.0 - p31 - p32, 0.0],
                vec![1.0, 0.0, 0.0, 0.0],
            ];
            of_chain(&Chain { transitions, happens: vec![0.0, 0.0, 1.0, 1.0] })
        }
        Loss::Pattern(pattern) => {
            let share = f64::from(pattern.bits().count_ones()) / f64::from(pattern.length());
            Expected { share, inflation: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::counted;
    use super::*;
    use crate::shape::shape_of;

    const SHAPES: [&str; 10] = [
        "loss=1%",
        "loss=50%",
        "loss=10% loss_correlation=75%",
        "loss_gemodel=1%,10%",
        "loss_gemodel=5%,50%,80%,1%",
        "loss_state=2%,40%,20%,50%,1%",
        "loss_state=30%,30%,40%,20%,10%",
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
        for shape in [
            "loss=10% loss_correlation=75%",
            "loss_gemodel=1%,10%",
            "loss_gemodel=5%,50%,80%,1%",
            "loss_state=2%,40%,20%,50%,1%",
            "loss_state=30%,30%,40%,20%,10%",
        ] {
            let Some(loss) = shape_of(shape).loss() else { panic!("{shape}") };
            let Expected { share, inflation } = of_loss(loss);
            let (n, runs) = (5_000_u64, 100);
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
            ("loss_state=2%,40%,20%,50%,1%", "loss_state=3%,40%,20%,50%,1%"),
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
        for shape in ["loss_pattern=0010", "latency=1ms reorder=50% reorder_gap=5"] {
            let achieved = of(&shape_of(shape), &counted(shape, 200_000, 1)).remove(0);
            assert_eq!(achieved.is_chance, None, "{shape}");
            let (Quantity::Share(asked), Quantity::Share(got)) = (achieved.asked, achieved.achieved) else {
                panic!("{achieved:?}")
            };
            assert!((got - asked).abs() < 0.005, "{shape}: {achieved:?}");
        }
    }

    #[test]
    fn a_memory_longer_than_the_train_says_nothing() {
        // A burst once in ten thousand packets, of ten thousand: 20 000 packets see one or none. And a chain that does not come back.
        for shape in ["loss_gemodel=0.01%,0.01%", "loss_gemodel=1%,0%", "loss_state=1%,0%,50%,0%"] {
            let achieved = of(&shape_of(shape), &counted(shape, 20_000, 1)).remove(0);
            assert_eq!(achieved.is_chance, None, "{shape}: {achieved:?}");
        }
    }
}
