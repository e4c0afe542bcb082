//! Order: as many packets as asked overtake those that the latency holds, and none where order is to be kept.

use shaper::measure::{stats, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, kernel, tolerance, undisturbed};

const LATENCY_NS: u64 = 10_000_000;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("reorder_25%_comes_without_delay", Load::Alone, share),
        Case::each_engine("reorder_gap_keeps_its_distance", Load::Alone, gap),
        Case::each_engine("reorder_not_with_keep_order", Load::Alone, keep_order).except(Engine::Netem),
    ]
    .map(Case::each_family)
    .into()
}

/// Which packets came before the latency was over: no engine lets a packet go early, and none needs half of the latency for one that
/// is not held, but for the few that a busy machine makes late.
fn overtakers(context: &Context, args: &[&str]) -> Vec<bool> {
    /// Arrivals are stamped by another clock, which is read within microseconds of the other.
    const CLOCKS_NS: u64 = 100_000;
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &[&["--latency", "10ms", "--seed", "3"], args].concat());
    undisturbed::reading(|| {
        let report = fates::send(&world, Way::Out, &fates::timed(context.engine()));
        assert_eq!((report.missing(), report.duplicates()), (vec![], 0), "every packet arrives once");
        let delays = report.delays_ns();
        let first = |bound_ns| delays.iter().map(|&ns| ns < bound_ns).collect::<Vec<_>>();
        let (early, all) = (first(LATENCY_NS / 2), first(LATENCY_NS - CLOCKS_NS));
        let late = all.iter().zip(&early).filter(|(all, early)| all != early).count();
        let said = format!("{late} of {} packets took half of the latency and more, but not all", all.len());
        undisturbed::check(all, late <= delays.len() / 200, |_| said)
    })
}

fn share(context: &Context) {
    dice::cast(context.engine(), || {
        let first = overtakers(context, &["--reorder", "25%"]);
        let (n, count) = (first.len(), first.iter().filter(|&&first| first).count());
        dice::within(&format!("without delay of {n}"), count as u64, tolerance::count(n, 0.25))
    });
}

fn gap(context: &Context) {
    const GAP: u32 = 5;
    dice::cast(context.engine(), || {
        let first = overtakers(context, &["--reorder", "25%", "--reorder-gap", "5"]);
        let at: Vec<usize> = (0..first.len()).filter(|&n| first[n]).collect();
        let closest = at.windows(2).map(|pair| pair[1] - pair[0]).min().expect("some packets overtake");
        assert!(closest >= GAP as usize, "two packets overtake at a distance of {closest}");
        let n = first.len();
        let interval = tolerance::count_with_gap(n, 0.25, GAP);
        dice::within(&format!("without delay of {n}"), at.len() as u64, interval)
    });
}

/// With order kept, a packet waits for those before it: later than its own draw says, but never than the longest one.
fn keep_order(context: &Context) {
    const LATENCY_NS: f64 = 20e6;
    const JITTER_NS: f64 = 5e6;
    let world = World::over(context.family());
    world.baseline_ns();
    let train: udp::Train = fates::timed(context.engine());
    let unshaped = fates::send(&world, Way::Out, &train).delay().expect("packets arrived");
    let args = ["--latency", "20ms", "--jitter", "5ms", "--keep-order", "--seed", "3"];
    world.apply(context.engine(), &args);
    undisturbed::reading(|| {
        let report = fates::send(&world, Way::Out, &train);
        assert_eq!((report.missing(), report.duplicates()), (vec![], 0), "every packet arrives once");
        assert_eq!(report.reordered(), 0, "no packet overtakes another");
        let delay: stats::Summary = report.delay().expect("packets arrived");
        println!("{}: {delay:?}", context.engine());
        let bias_ns = unshaped.p50 + tolerance::RTT_MEDIAN_NS;
        // User-mode Linux stands still for longer than the slack, time and again.
        let quantile = if kernel::is_user_mode() { delay.p50 } else { delay.p99 };
        // Held up by others: not less than its own draw in the mean.
        let is_good = delay.mean
            >= LATENCY_NS - tolerance::mean_ns(JITTER_NS / 3.0_f64.sqrt(), report.sent(), 0.0)
            && delay.min >= LATENCY_NS - JITTER_NS
            && quantile <= LATENCY_NS + JITTER_NS + bias_ns;
        undisturbed::check((), is_good, |()| format!("{delay:?}"))
    });
}
