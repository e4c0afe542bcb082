//! `--for`: the kernel itself ends the shape.

use std::time::{Duration, Instant};

use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::wait;
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("a_shape_for_1s_ends_by_itself", Load::Timing, ends),
        Case::each_engine("a_shape_for_1s_on_ingress_ends_by_itself", Load::Timing, ends_on_ingress),
        Case::each_engine("a_shape_applied_again_after_its_end_holds", Load::Timing, applied_again),
    ]
    .map(Case::each_family)
    .into()
}

fn ends(context: &Context) {
    check(context, "egress");
}

fn ends_on_ingress(context: &Context) {
    check(context, "ingress");
}

/// Nobody acts between the two readings: `apply` has returned, and no other command runs.
fn check(context: &Context, direction: &str) {
    const FOR: Duration = Duration::from_secs(1);
    let world = World::over(context.family());
    let before = world.snapshot();
    let baseline_ns = world.baseline_ns();
    let asked = Instant::now();
    world.apply(context.engine(), &["--latency", "50ms", "--for", "1s", "--direction", direction]);
    let applied = Instant::now();
    let objects = world.bpf_objects();
    world.expect_rtt(baseline_ns + 50e6);
    let one = ping::Train { count: 1, ..Default::default() };
    wait::until("a packet is not delayed", FOR + Duration::from_secs(1), || {
        (world.ping(&one).expect_all().p50 < 25e6).then_some(())
    });
    let (least, most) = (applied.elapsed(), asked.elapsed());
    println!("{} {direction}: over between {least:?} and {most:?} after apply", context.engine());
    // The last delayed ping began within the time and took 50 ms.
    assert!(most >= FOR, "over after only {most:?}");
    assert!(
        least <= FOR + Duration::from_millis(50) + shaper_netns_tests::tolerance::WORST_WAKEUP,
        "{least:?}"
    );
    world.expect_rtt(baseline_ns);
    world.clear();
    world.expect_restored(&before, &objects);
}

fn applied_again(context: &Context) {
    let world = World::over(context.family());
    let baseline_ns = world.baseline_ns();
    world.apply(context.engine(), &["--latency", "50ms", "--for", "200ms"]);
    let one = ping::Train { count: 1, ..Default::default() };
    wait::until("the shape has ended", Duration::from_secs(2), || {
        (world.ping(&one).expect_all().p50 < 25e6).then_some(())
    });
    world.apply(context.engine(), &["--latency", "50ms"]);
    world.expect_rtt(baseline_ns + 50e6);
    if context.engine() == Engine::Relay {
        assert_eq!(world.processes().len(), 1);
    }
}
