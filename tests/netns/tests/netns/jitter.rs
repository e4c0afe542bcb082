//! Jitter: one-way delays have the mean and the deviation of the distribution asked for.

use std::fmt;
use std::time::Duration;

use shaper::measure::stats::{correlation, kolmogorov};
use shaper::measure::{stats, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, kernel, tolerance, undisturbed};

const LATENCY_NS: f64 = 40e6;
const JITTER_NS: f64 = 8e6;
/// Lateness that every packet may share beyond the unshaped link's: half of what a round trip may be off.
const BIAS_NS: f64 = tolerance::RTT_MEDIAN_NS / 2.0;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("jitter_uniform_mean_and_deviation", Load::Timing, |c| {
            check(c, "uniform", JITTER_NS / 3.0_f64.sqrt());
        }),
        Case::each_engine("jitter_normal_mean_and_deviation", Load::Timing, |c| {
            check(c, "normal", JITTER_NS)
        }),
        Case::each_engine("jitter_pareto_mean_and_deviation", Load::Timing, |c| {
            check(c, "pareto", JITTER_NS)
        }),
        Case::each_engine("jitter_paretonormal_mean_and_deviation", Load::Timing, |c| {
            check(c, "paretonormal", JITTER_NS)
        }),
        Case::each_engine("jitter_repeats_with_the_same_seed", Load::Timing, repeats)
            // netem takes a seed from Linux 6.6 on.
            .except(Engine::Netem),
        // netem's correlation squeezes the distribution.
        Case::each_engine("jitter_correlated_keeps_its_distribution", Load::Alone, correlated)
            .except(Engine::Netem),
    ]
    .map(Case::each_family)
    .into()
}

/// Packets enough for a distribution, at a rate that leaves the processors time for something else: the only one of User-mode
/// Linux needs some 0.3 ms to send and receive a packet, and as much again for a relay to hold it.
fn train(engine: Engine) -> udp::Train {
    let (count, interval) = match (kernel::is_user_mode(), engine) {
        (false, _) => (4000, Duration::from_micros(500)),
        (true, Engine::Edt | Engine::Netem) => (2000, Duration::from_millis(1)),
        (true, Engine::Relay) => (2000, Duration::from_millis(2)),
    };
    udp::Train { count, interval, ..Default::default() }
}

/// The latency is five deviations: what is cut off at zero delay changes neither mean nor deviation noticeably.
fn check(context: &Context, distribution: &str, sigma_ns: f64) {
    let world = World::over(context.family());
    world.baseline_ns();
    let unshaped =
        world.train(&udp::Train { count: 500, ..train(context.engine()) }).delay().expect("packets arrived");
    world.apply(context.engine(), &["--latency", "40ms", "--jitter", "8ms", "--distribution", distribution]);
    undisturbed::reading(|| {
        let report = world.train(&train(context.engine()));
        assert_eq!(
            report.missing(),
            [0_usize; 0],
            "of {} packets; {} refused",
            report.sent(),
            report.refused
        );
        let reading = Reading::of(&report.delays_ns(), LATENCY_NS + unshaped.min, sigma_ns);
        println!("{} {distribution}: {reading}", context.engine());
        undisturbed::check((), reading.is_good(), |()| reading.to_string())
    });
}

/// What a train of delays says of the distribution they come from.
struct Reading {
    mean_off_ns: f64,
    mean_slack_ns: f64,
    deviation_off: f64,
    deviation_slack: f64,
    kurtosis: f64,
}

impl Reading {
    fn of(delays_ns: &[u64], mean_ns: f64, sigma_ns: f64) -> Self {
        let kurtosis = stats::kurtosis(delays_ns).expect("delays differ");
        Self {
            mean_off_ns: stats::mean(delays_ns).expect("packets arrived") - mean_ns,
            mean_slack_ns: tolerance::mean_ns(sigma_ns, delays_ns.len(), BIAS_NS),
            deviation_off: stats::deviation(delays_ns).expect("packets arrived") / sigma_ns - 1.0,
            deviation_slack: tolerance::deviation_share(kurtosis, delays_ns.len()),
            kurtosis,
        }
    }

    fn is_good(&self) -> bool {
        self.mean_off_ns.abs() <= self.mean_slack_ns && self.deviation_off.abs() <= self.deviation_slack
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean_off_ns, mean_slack_ns, deviation_off, deviation_slack, kurtosis } = self;
        write!(f, "mean {:+.3} ms off (within {:.3}), ", mean_off_ns / 1e6, mean_slack_ns / 1e6)?;
        write!(f, "deviation {:+.2} % off (within {:.2}), ", deviation_off * 100.0, deviation_slack * 100.0)?;
        write!(f, "kurtosis {kurtosis:.2}")
    }
}

/// Packet `n` of the rule waits as long in the second run as in the first: the seed says so, not chance.
///
/// Which of the train's packets is the rule's `n`-th depends on what else the namespaces sent (a multicast report, say), so the
/// runs are laid over each other at the best of a few shifts.
fn repeats(context: &Context) {
    const SHIFT_MAX: usize = 4;
    let args = ["--latency", "40ms", "--jitter", "8ms", "--seed", "7"];
    let [one, two] = [(); 2].map(|()| {
        let world = World::over(context.family());
        world.baseline_ns();
        world.apply(context.engine(), &args);
        let report = world.train(&udp::Train { count: 400, ..train(context.engine()) });
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        report.delays_ns()
    });
    for delays in [&one, &two] {
        let spread = stats::deviation(delays).expect("packets arrived");
        assert!(spread >= JITTER_NS / 3.0_f64.sqrt() / 2.0, "delays are drawn: {spread} ns");
    }
    let shifts =
        (0..SHIFT_MAX).flat_map(|shift| [difference(&one[shift..], &two), difference(&one, &two[shift..])]);
    let median = shifts.fold(f64::INFINITY, f64::min);
    println!("{}: the same packet differs by {:.3} ms in the median", context.engine(), median / 1e6);
    // Independent draws of this jitter differ by 4.7 ms in the median.
    assert!(median <= JITTER_NS / 8.0, "{median} ns");
}

/// The median difference of two runs, packet by packet.
fn difference(one: &[u64], two: &[u64]) -> f64 {
    stats::Summary::of(one.iter().zip(two).map(|(a, b)| a.abs_diff(*b))).expect("packets arrived").p50
}

/// With 80 % a packet's delay is that of the one before: neighbours correlate so much, and all of them together are spread as ever.
fn correlated(context: &Context) {
    const RHO: f64 = 0.8;
    let delays = |args: &[&str]| {
        let world = World::over(context.family());
        world.baseline_ns();
        let shape = ["--latency", "40ms", "--jitter", "8ms", "--distribution", "normal", "--seed", "5"];
        world.apply(context.engine(), &[&shape, args].concat());
        let report = fates::send(&world, Way::Out, &fates::timed(context.engine()));
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        report.delays_ns()
    };
    undisturbed::reading(|| {
        let (fresh, repeating) = (delays(&[]), delays(&["--jitter-correlation", "80%"]));
        for (what, delays, rho) in [("fresh", &fresh, 0.0), ("repeating", &repeating, RHO)] {
            let readings: Vec<f64> = delays.iter().map(|&ns| ns as f64).collect();
            let seen = correlation::lag1(&readings).expect("delays differ");
            let kurtosis = stats::kurtosis(delays).expect("delays differ");
            let interval = tolerance::correlation(rho, kurtosis, delays.len());
            dice::within(&format!("{}, {what} delays: correlation", context.engine()), seen, interval)?;
        }
        let distance = kolmogorov::distance(&fresh, &repeating).expect("packets arrived");
        let independent = correlation::independent(RHO, repeating.len());
        let critical = kolmogorov::critical_999(fresh.len() as f64, independent);
        dice::below(&format!("{}, distance of the two", context.engine()), distance, critical)
    });
}
