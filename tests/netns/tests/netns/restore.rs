//! `clear`: the link is as it was before `apply`, whatever was on it.

use shaper::netlink::link::{self, Settings};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::foreign;
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("clear_restores_the_link", Load::Light, |c| restores(c, |_| {})),
        Case::each_engine("clear_leaves_a_foreign_clsact_and_filter", Load::Light, |c| {
            restores(c, |world| foreign::add_clsact_with_filter(&world.inst, &world.inst.device("eth0")));
        }),
        Case::each_engine("clear_puts_gso_max_segs_back", Load::Light, |c| {
            restores(c, |world| {
                let settings = Settings { gso_max_segs: Some(17), txqlen: Some(77), ..Default::default() };
                world.inst.request(link::set(&world.inst.device("eth0"), &settings));
            });
        }),
        Case::each_engine("a_foreign_root_qdisc_survives", Load::Light, foreign_root),
        Case::once("clear_of_nothing_is_done", Load::Light, nothing),
        Case::each_engine("clear_keeps_what_was_added_after_apply", Load::Light, added_later),
    ]
}

/// Shapes of every kind: a plain delay, per-packet ones that shorten GSO frames, a bottleneck, and faults, for which `edt` has a second
/// filter.
const SHAPES: [&[&str]; 4] = [
    &["--latency", "20ms"],
    &["--latency", "20ms", "--jitter", "2ms", "--distribution", "pareto"],
    &["--latency", "1ms", "--bandwidth", "1mbit"],
    &["--loss", "1%", "--duplicate", "1%", "--corrupt", "1%"],
];

fn restores(context: &Context, prepare: fn(&World)) {
    let world = World::new();
    prepare(&world);
    let before = world.snapshot();
    let before_by_iproute2 = world.snapshot_by_iproute2();
    for direction in ["egress", "ingress", "both"] {
        for shape in SHAPES {
            world.apply(context.engine(), &[shape, &["--direction", direction]].concat());
            let objects = world.bpf_objects();
            assert!(!objects.programs.is_empty() && !objects.maps.is_empty(), "{objects:?}");
            world.clear();
            world.expect_restored(&before, &objects);
        }
    }
    before_by_iproute2.expect_same(&world.snapshot_by_iproute2());
}

/// The relay needs no qdisc of its own, so it works beside any. The other engines' root qdisc cannot, and they must say so
/// instead of replacing what is not theirs.
fn foreign_root(context: &Context) {
    use shaper_netns_tests::engine::Engine;
    let world = World::new();
    foreign::add_root_qdisc(&world.inst, &world.inst.device("eth0"));
    let before = world.snapshot();
    let output = world.try_apply(context.engine(), &["--latency", "5ms"]);
    match context.engine() {
        Engine::Relay => {
            let output = output.expect(Exit::Done);
            let objects = world.bpf_objects();
            assert!(!objects.programs.is_empty(), "{output}");
            world.clear();
            world.expect_restored(&before, &objects);
        }
        Engine::Edt | Engine::Netem => {
            let output = output.expect(Exit::Failed);
            assert!(output.stderr.contains("pfifo") && output.stderr.contains("eth0"), "{output}");
            world.expect_restored(&before, &Default::default());
        }
    }
}

fn nothing(_: &Context) {
    let world = World::new();
    let before = world.snapshot();
    world.clear();
    world.expect_restored(&before, &Default::default());
}

/// A filter that someone adds on our clsact keeps the clsact in place: removing it would remove the filter.
fn added_later(context: &Context) {
    let world = World::new();
    world.apply(context.engine(), &["--latency", "20ms"]);
    foreign::add_filter(&world.inst, &world.inst.device("eth0"));
    let objects = world.bpf_objects();
    world.clear();
    let after = world.snapshot();
    assert_eq!(foreign::filters(&world.inst, &world.inst.device("eth0")), 1, "the foreign filter is there");
    world.clear();
    world.expect_restored(&after, &objects);
}
