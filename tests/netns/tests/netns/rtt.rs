//! Latency: the round trip is longer by exactly what was asked.

use std::time::Duration;

use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("latency_100ms_rtt_median", Load::Timing, |c| check(c, "100ms", "egress", 100.0)),
        Case::each_engine("latency_10ms_rtt_median", Load::Timing, |c| check(c, "10ms", "egress", 10.0)),
        Case::each_engine("latency_1ms_rtt_median", Load::Timing, |c| check(c, "1ms", "egress", 1.0)),
        Case::each_engine("latency_100ms_ingress_rtt_median", Load::Timing, |c| {
            check(c, "100ms", "ingress", 100.0);
        }),
        Case::each_engine("latency_50ms_both_rtt_median_is_double", Load::Timing, |c| {
            check(c, "50ms", "both", 100.0);
        }),
    ]
    .map(Case::each_family)
    .into()
}

fn check(context: &Context, latency: &str, direction: &str, added_ms: f64) {
    let world = World::over(context.family());
    let baseline_ns = world.baseline_ns();
    world.apply(context.engine(), &["--latency", latency, "--direction", direction]);
    let train = ping::Train { count: 50, interval: Duration::from_millis(20), ..Default::default() };
    let expected_ns = baseline_ns + added_ms * 1e6;
    let times = if direction == "both" { 2 } else { 1 };
    let rtt = world.expect_rtt_to(world.destination(), &train, times, expected_ns);
    println!(
        "{} {latency} {direction}: median {:+.3} ms off {:.3} ms, p99 {:+.3} ms off",
        context.engine(),
        (rtt.p50 - expected_ns) / 1e6,
        expected_ns / 1e6,
        (rtt.p99 - expected_ns) / 1e6,
    );
}
