//! Applying again: the same shape changes nothing, another replaces it without a packet noticing.

use std::time::Duration;

use shaper::measure::udp;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{foreign, progress};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("apply_twice_changes_nothing", Load::Light, twice),
        Case::each_engine("apply_replaces_the_shape", Load::Timing, replaces),
        Case::each_engine(
            "apply_under_traffic_loses_nothing_and_leaves_nothing_unshaped",
            Load::Alone,
            under_traffic,
        ),
        Case::each_engine("apply_with_another_engine_takes_the_first_away", Load::Timing, other_engine),
        Case::each_engine("dry_run_changes_nothing", Load::Light, dry_run),
    ]
}

fn twice(context: &Context) {
    for direction in ["egress", "ingress", "both"] {
        let world = World::new();
        let args = ["--latency", "20ms", "--bandwidth", "50mbit", "--direction", direction];
        world.apply(context.engine(), &args);
        let before = world.snapshot();
        let objects = world.bpf_objects();
        let processes = world.processes();
        let again = world.apply(context.engine(), &args);
        assert!(again.stdout.contains("unchanged"), "{again}");
        before.expect_same(&world.snapshot());
        assert_eq!(world.bpf_objects(), objects, "programs and maps stay");
        assert_eq!(world.processes(), processes, "processes stay");
    }
}

fn replaces(context: &Context) {
    let world = World::new();
    let baseline_ns = world.baseline_ns();
    for (latency, added_ns) in [("30ms", 30e6), ("5ms", 5e6), ("60ms", 60e6)] {
        world.apply(context.engine(), &["--latency", latency]);
        world.expect_rtt(baseline_ns + added_ns);
    }
    assert_eq!(world.show().attachments(), 1);
}

/// Packets pass every millisecond while the shape changes between 20 and 30 ms: each one arrives, none before 20 ms.
fn under_traffic(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    world.apply(context.engine(), &["--latency", "20ms"]);
    let (sender, receiver) = world.udp();
    let train = udp::Train { count: 4000, interval: Duration::from_millis(1), ..Default::default() };
    progress::note("replacing the shape under a packet train");
    let (report, replaced) = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| udp::run(&sender, &receiver, &train));
        let mut replaced = 0;
        while !traffic.is_finished() {
            let latency = if replaced % 2 == 0 { "30ms" } else { "20ms" };
            world.apply(context.engine(), &["--latency", latency]);
            replaced += 1;
        }
        (
            traffic.join().expect("the train does not panic").unwrap_or_else(|error| panic!("{error}")),
            replaced,
        )
    });
    let delay = report.delay().expect("packets arrived");
    println!(
        "{}: replaced {replaced} times, delays {:.3} to {:.3} ms, p99 {:.3} ms",
        context.engine(),
        delay.min / 1e6,
        delay.max / 1e6,
        delay.p99 / 1e6
    );
    assert!(replaced >= 4, "only {replaced} replacements while the train ran");
    assert_eq!(report.missing(), [0_usize; 0], "of {} packets; {} refused", report.sent(), report.refused);
    assert!(delay.min >= 20e6, "a packet took only {} ns", delay.min);
    let late = report.delays_ns().iter().filter(|&&ns| ns > 25_000_000).count();
    assert!(late > 100, "the longer latency held as well: only {late} packets took more than 25 ms");
}

fn other_engine(context: &Context) {
    let world = World::new();
    foreign::add_clsact_with_filter(&world.inst, &world.inst.device("eth0"));
    let before = world.snapshot();
    let baseline_ns = world.baseline_ns();
    for other in Engine::ALL.into_iter().filter(|&other| other != context.engine()) {
        if shaper_netns_tests::engine::available(other).is_err() {
            continue;
        }
        // Both act on single packets: the first gives back what it did to the link, and the second does it again.
        let single = ["--loss", "0.0001%", "--direction", "both"];
        world.apply(other, &[&["--latency", "30ms"], &single[..]].concat());
        let mut objects = world.bpf_objects();
        world.apply(context.engine(), &[&["--latency", "10ms"], &single[..]].concat());
        assert_eq!(world.inst.link("eth0").gso_max_segs, Some(1));
        world.expect_rtt(baseline_ns + 20e6);
        objects.extend(world.bpf_objects());
        world.clear();
        world.expect_restored(&before, &objects);
    }
}

fn dry_run(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let output = world.apply(context.engine(), &["--latency", "20ms", "--direction", "both", "--dry-run"]);
    assert!(!output.stdout.trim().is_empty(), "{output}");
    world.expect_restored(&before, &Default::default());
}
