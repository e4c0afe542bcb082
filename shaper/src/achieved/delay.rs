//! How long packets were on their way.

use shaper_common::abi::Counters;
use shaper_common::jitter::{self, TABLE_LEN};

use super::{Achieved, Holding, LATE_MAX, Quantity, SIGMAS};
use crate::shape::{Distribution, Shape};
use crate::units::Delay;

/// With fewer independent draws, the mean of a skewed distribution is not yet normal.
const LEAST_DRAWS: f64 = 100.0;
/// What of their deviation the tables' mean may be off: no more is told of it.
const TABLE_ERROR: f64 = 1e-3;

/// How the delays of one packet after the other spread.
#[derive(Debug)]
struct Spread {
    mean_ns: f64,
    deviation_ns: f64,
}

/// The propagation delay, where the shape has one. Packets that are reordered have none, and what they wait for the bottleneck is not
/// part of it.
pub(super) fn of(shape: &Shape, counters: &Counters, holding: Holding) -> Option<Achieved> {
    if shape.latency().is_zero() {
        return None;
    }
    let spread = spread(shape);
    // A GSO frame has one delay.
    let latency_ns = shape.latency().as_ns();
    let is_latency = (spread.mean_ns - latency_ns as f64).abs() <= TABLE_ERROR * spread.deviation_ns;
    let asked_ns = if is_latency { latency_ns } else { spread.mean_ns.round() as u64 };
    let packets = counters.delayed_frames.saturating_sub(counters.reordered_frames);
    let n = packets.max(1) as f64;
    let given_ns = counters.delay_ns_sum.saturating_sub(counters.queue_ns_sum) as f64 / n;
    let late = holding.late_mean.filter(|_| packets > 0).unwrap_or_default();
    Some(Achieved {
        what: "delay",
        asked: Quantity::Delay(Delay::from_ns(asked_ns)),
        achieved: Quantity::Delay(Delay::from_ns(given_ns.round() as u64 + late.as_ns())),
        packets,
        is_chance: is_as_given(shape, &spread, given_ns, packets).map(|is_so| is_so && late <= LATE_MAX),
        busy: None,
    })
}

/// Whether the delays given are those asked for.
fn is_as_given(shape: &Shape, spread: &Spread, given_ns: f64, packets: u64) -> Option<bool> {
    let rho = shape.jitter_correlation().as_f64();
    let inflation = (1.0 + rho) / (1.0 - rho);
    let draws = packets as f64 / inflation;
    if packets == 0 || (spread.deviation_ns > 0.0 && draws < LEAST_DRAWS) {
        return None;
    }
    // Of the mean, which is rounded to whole nanoseconds.
    let slack_ns = SIGMAS * spread.deviation_ns / draws.sqrt() + 0.5;
    let off_ns = given_ns - spread.mean_ns;
    if shape.keep_order() && off_ns > 0.0 {
        // Packets wait for those before them, the longer the closer they come.
        return None;
    }
    Some(off_ns.abs() <= slack_ns)
}

/// The delays of the middle of each cell of a table, as the core gives them: where it cuts off what would be negative, the mean is
/// not the latency.
fn spread(shape: &Shape) -> Spread {
    let (latency_ns, jitter_ns) = (shape.latency().as_ns(), shape.jitter().as_ns());
    if jitter_ns == 0 {
        return Spread { mean_ns: latency_ns as f64, deviation_ns: 0.0 };
    }
    let (distribution, _) = shape.distribution().to_kernel();
    let value = |index: usize| match shape.distribution() {
        Distribution::Table(table) => table.values()[index],
        _ => 0,
    };
    let from_latency = |cell: u64| {
        let bits = cell << 52 | 1 << 51;
        jitter::delay_ns(latency_ns, jitter_ns, distribution as u32, bits, value) as f64 - latency_ns as f64
    };
    let cells = TABLE_LEN as f64;
    let mean = (0..TABLE_LEN as u64).map(from_latency).sum::<f64>() / cells;
    let squares = (0..TABLE_LEN as u64).map(|cell| (from_latency(cell) - mean).powi(2)).sum::<f64>();
    Spread { mean_ns: latency_ns as f64 + mean, deviation_ns: (squares / cells).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{counted, counted_each};
    use super::*;
    use crate::shape::shape_of;

    fn judged(asked: &str, counters: &Counters) -> Achieved {
        of(&shape_of(asked), counters, Holding::default()).unwrap()
    }

    const SHAPES: [&str; 9] = [
        "latency=100ms",
        "latency=100ms jitter=10ms",
        "latency=100ms jitter=10ms distribution=normal",
        "latency=100ms jitter=10ms distribution=pareto",
        "latency=20ms jitter=20ms distribution=normal",
        "latency=20ms jitter=20ms distribution=paretonormal",
        "latency=100ms jitter=50ms jitter_correlation=50%",
        "latency=100ms jitter=10ms reorder=25% loss=10%",
        "latency=100ms jitter=10ms bandwidth=1gbit queue=1s duplicate=5%",
    ];

    #[test]
    fn what_the_core_gives_is_what_was_asked_but_for_chance() {
        for shape in SHAPES {
            // With 100 trials of each, one reading in a thousand that chance puts outside is one at most.
            let outside: Vec<_> = (0..100)
                .map(|seed| judged(shape, &counted(shape, 1_000, seed)))
                .filter(|achieved| achieved.is_chance != Some(true))
                .collect();
            assert!(outside.len() <= 1, "{shape}: {outside:?}");
        }
    }

    #[test]
    fn readings_spread_as_far_as_the_formula_says() {
        for shape in SHAPES.into_iter().filter(|shape| shape.contains("jitter=")) {
            let (n, runs, asked) = (1_000, 100, shape_of(shape));
            let Spread { mean_ns, deviation_ns } = spread(&asked);
            let rho = asked.jitter_correlation().as_f64();
            let squares = (0..runs).map(|seed| {
                let counters = counted(shape, n, 1_000 + seed);
                let frames = (counters.delayed_frames - counters.reordered_frames) as f64;
                let given_ns = (counters.delay_ns_sum - counters.queue_ns_sum) as f64 / frames;
                let sigma = deviation_ns * ((1.0 + rho) / (1.0 - rho) / frames).sqrt();
                ((given_ns - mean_ns) / sigma).powi(2)
            });
            // Chi-square with 100 degrees of freedom, 99.9 % within; more is a formula that is too narrow, less one too wide.
            let sum: f64 = squares.sum();
            assert!((61.9..149.4).contains(&sum), "{shape}: {sum}");
        }
    }

    #[test]
    fn another_delay_than_was_asked_is_no_chance() {
        for (asked, happened) in [
            ("latency=100ms", "latency=102ms"),
            ("latency=100ms jitter=10ms", "latency=102ms jitter=10ms"),
            ("latency=100ms jitter=10ms distribution=pareto", "latency=98ms jitter=10ms distribution=pareto"),
            // Cut off at zero, its mean is longer than the latency.
            ("latency=20ms jitter=20ms", "latency=20ms jitter=20ms distribution=normal"),
            ("latency=100ms jitter=10ms", "latency=98ms jitter=10ms keep_order=true"),
        ] {
            let achieved = judged(asked, &counted(happened, 5_000, 1));
            assert_eq!(achieved.is_chance, Some(false), "{asked}: {achieved:?}");
        }
    }

    #[test]
    fn a_mean_of_few_packets_says_nothing_and_without_jitter_one_is_enough() {
        let jitter = "latency=100ms jitter=10ms";
        assert_eq!(judged(jitter, &counted(jitter, 99, 1)).is_chance, None);
        assert_eq!(judged("latency=100ms", &counted("latency=100ms", 1, 1)).is_chance, Some(true));
        let none = judged("latency=100ms", &Counters::default());
        assert_eq!((none.is_chance, none.packets), (None, 0));
    }

    #[test]
    fn kept_in_order_packets_may_take_longer_but_not_less() {
        let asked = "latency=100ms jitter=10ms keep_order=true";
        assert_eq!(judged(asked, &counted(asked, 5_000, 1)).is_chance, None, "all wait for the slowest");
        let early = judged(asked, &counted("latency=98ms jitter=10ms", 5_000, 1));
        assert_eq!(early.is_chance, Some(false), "{early:?}");
    }

    #[test]
    fn lateness_is_part_of_the_delay_and_has_its_bound() {
        let (shape, counters) = (shape_of("latency=100ms"), counted_each("latency=100ms", 10, 1_000, 1));
        let late = |us| {
            let late_mean = Some(Delay::from_us(us));
            let achieved = of(&shape, &counters, Holding { late_mean, ..Holding::default() }).unwrap();
            (achieved.achieved, achieved.is_chance)
        };
        assert_eq!(late(20), (Quantity::Delay(Delay::from_us(100_020)), Some(true)));
        assert_eq!(late(501), (Quantity::Delay(Delay::from_us(100_501)), Some(false)));
    }

    #[test]
    fn the_mean_is_the_latency_unless_something_is_cut_off() {
        for distribution in ["uniform", "normal", "pareto", "paretonormal"] {
            let shape = &format!("latency=100ms jitter=10ms distribution={distribution}");
            let asked = judged(shape, &Counters::default()).asked;
            assert_eq!(asked, Quantity::Delay(Delay::from_ms(100)), "{shape}");
        }
        let Quantity::Delay(cut) =
            judged("latency=20ms jitter=20ms distribution=normal", &Counters::default()).asked
        else {
            panic!("a delay")
        };
        // σ·φ(1) − σ·(1 − Φ(1)): what is cut off of a normal distribution one deviation below its mean.
        assert!(cut.as_ns().abs_diff(21_666_000) < 20_000, "{cut}");
    }
}
