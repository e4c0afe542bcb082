//! Duplicates: as many packets as asked arrive twice, none three times, none less than once.

use std::time::Duration;

use shaper::measure::udp;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance};

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("duplicate_1%", Load::Alone, |c| check(c, "1%", 0.01)),
        Case::each_engine("duplicate_10%", Load::Alone, |c| check(c, "10%", 0.1)),
    ]
    .map(Case::each_family)
    .into()
}

fn check(context: &Context, duplicate: &str, probability: f64) {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &["--duplicate", duplicate, "--seed", "3"]);
    // The last packet's copy may come after it.
    let train = udp::Train { linger: Duration::from_millis(50), ..fates::train(context.engine()) };
    dice::cast(context.engine(), || {
        let report = fates::send(&world, Way::Out, &train);
        let copies = report.copies();
        let strange = copies.iter().position(|copies| !(1..=2).contains(copies));
        assert_eq!(strange.map(|n| (n, copies[n])), None, "every packet arrives once or twice");
        let n = report.sent();
        dice::within(&format!("twice of {n}"), report.duplicates() as u64, tolerance::count(n, probability))
    });
}
