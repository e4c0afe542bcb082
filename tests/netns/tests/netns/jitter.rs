//! Jitter: one-way delays have the mean and the deviation of the distribution asked for.

use std::time::Duration;

use shaper::measure::{stats, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::kernel;
use shaper_netns_tests::tolerance;
use shaper_netns_tests::world::World;

const LATENCY_NS: f64 = 40e6;
const JITTER_NS: f64 = 8e6;
/// Lateness that every packet may share beyond the unshaped link's: half of what a round trip may be off.
const BIAS_NS: f64 = tolerance::RTT_MEDIAN_NS / 2.0;

pub(crate) fn cases() -> Vec<Case> {
    vec![
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
    ]
}

/// Two or four seconds of packets. Sending, holding and receiving one takes the only processor of User-mode Linux some 0.3 ms.
fn train() -> udp::Train {
    let (count, interval) = match kernel::is_user_mode() {
        true => (2000, Duration::from_millis(2)),
        false => (4000, Duration::from_micros(500)),
    };
    udp::Train { count, payload: 64, interval, drain: Duration::from_secs(1) }
}

/// The latency is five deviations: what is cut off at zero delay changes neither mean nor deviation noticeably.
fn check(context: &Context, distribution: &str, sigma_ns: f64) {
    let world = World::new();
    world.baseline_ns();
    let unshaped = world.train(&udp::Train { count: 500, ..train() }).delay().expect("packets arrived");
    world.apply(context.engine(), &["--latency", "40ms", "--jitter", "8ms", "--distribution", distribution]);
    let report = world.train(&train());
    assert_eq!(report.lost(), 0, "of {} packets; {} refused", report.sent(), report.refused);
    let delays = report.delays_ns();
    let mean = stats::mean(&delays).expect("packets arrived");
    let deviation = stats::deviation(&delays).expect("packets arrived");
    let kurtosis = stats::kurtosis(&delays).expect("delays differ");
    let mean_off = mean - LATENCY_NS - unshaped.p50;
    let mean_slack = tolerance::mean_ns(sigma_ns, delays.len(), BIAS_NS);
    let deviation_share = deviation / sigma_ns - 1.0;
    let deviation_slack = tolerance::deviation_share(kurtosis, delays.len());
    println!(
        "{} {distribution}: mean {:+.3} ms off (within {:.3}), deviation {:.3} ms, {:+.2} % off (within {:.2}), kurtosis {kurtosis:.2}",
        context.engine(),
        mean_off / 1e6,
        mean_slack / 1e6,
        deviation / 1e6,
        deviation_share * 100.0,
        deviation_slack * 100.0,
    );
    assert!(mean_off.abs() <= mean_slack, "mean {mean_off} ns off, {mean_slack} allowed");
    assert!(
        deviation_share.abs() <= deviation_slack,
        "deviation {deviation_share} off, {deviation_slack} allowed"
    );
}

/// Packet `n` of the rule waits as long in the second run as in the first: the seed says so, not chance.
///
/// Which of the train's packets is the rule's `n`-th depends on what else the namespaces sent (a multicast report, say), so the
/// runs are laid over each other at the best of a few shifts.
fn repeats(context: &Context) {
    const SHIFT_MAX: usize = 4;
    let args = ["--latency", "40ms", "--jitter", "8ms", "--seed", "7"];
    let [one, two] = [(); 2].map(|()| {
        let world = World::new();
        world.baseline_ns();
        world.apply(context.engine(), &args);
        let report = world.train(&udp::Train { count: 400, ..train() });
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        report.delays_ns()
    });
    let shifts =
        (0..SHIFT_MAX).flat_map(|shift| [difference(&one[shift..], &two), difference(&one, &two[shift..])]);
    let median = shifts.fold(f64::INFINITY, f64::min);
    println!("{}: the same packet differs by {:.3} ms in the median", context.engine(), median / 1e6);
    // Independent draws of this jitter differ by 4.7 ms in the median.
    assert!(median <= BIAS_NS, "{median} ns");
}

/// The median difference of two runs, packet by packet.
fn difference(one: &[u64], two: &[u64]) -> f64 {
    stats::Summary::of(one.iter().zip(two).map(|(a, b)| a.abs_diff(*b))).expect("packets arrived").p50
}
