//! What is said of a link as a whole: down, fail closed, neighbours too.

use std::time::Duration;

use shaper::measure::{ping, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER, Path};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{process, tolerance, wait};

const OWN: u8 = 21;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("a_link_that_is_down_passes_nothing_and_comes_back", Load::Timing, down),
        Case::each_engine("a_relay_that_is_killed_fails_open_or_closed_as_asked", Load::Light, fails)
            .only(Engine::Relay),
        Case::each_engine("neighbours_are_shaped_where_asked", Load::Timing, neighbours).except(Engine::Edt),
        Case::each_engine("neighbours_cannot_be_shaped_by_edt", Load::Light, no_neighbours).only(Engine::Edt),
    ]
}

fn one() -> ping::Train {
    ping::Train { count: 1, timeout: Duration::from_millis(200), ..Default::default() }
}

#[track_caller]
fn expect_silence(world: &World, family: Family, hosts: &[u8]) {
    for host in hosts {
        let replies = world.ping_to(family.near(*host), &one()).rtt_ns;
        assert_eq!(replies, [None], "{family:?} host {host} answers");
    }
}

/// Nothing passes, neither to known neighbours nor, by their discovery, new ones; what was a shape before is one again afterwards.
fn down(context: &Context) {
    for direction in ["egress", "ingress", "both"] {
        let world = World::new();
        peers::join(&world, &[OWN]);
        // OWN is a new neighbour below.
        let baselines = Family::ALL.map(|family| world.baseline_to(family.near(PEER)));
        let before = world.snapshot();
        let engine = context.engine();
        world.apply(engine, &["--latency", "10ms", "--direction", direction]);
        world.apply(engine, &["--down", "--direction", direction]);
        for family in Family::ALL {
            expect_silence(&world, family, &[PEER, OWN]);
        }
        let train = udp::Train { count: 20, drain: Duration::from_millis(50), ..Default::default() };
        for family in Family::ALL {
            let path = Path::out(&world, family.near(PEER));
            let arrived = path.send(&train).arrivals.len();
            assert!(direction == "ingress" || arrived == 0, "{arrived} of {}", train.count);
        }
        before.expect_addresses_and_routes_in(&world.snapshot());
        world.apply(engine, &["--latency", "10ms", "--direction", direction]);
        let times = if direction == "both" { 2 } else { 1 };
        for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
            let train = ping::Train { count: 20, interval: Duration::from_millis(5), ..Default::default() };
            wait::until("a neighbour is found again", Duration::from_secs(5), || {
                world.ping_to(family.near(PEER), &one()).rtt_ns[0]
            });
            let expected_ns = baseline_ns + 10e6 * f64::from(times);
            world.expect_rtt_to(family.near(PEER), &train, times, expected_ns);
        }
        world.clear();
        before.expect_same(&world.snapshot());
    }
}

fn fails(context: &Context) {
    for is_closed in [false, true] {
        let world = World::new();
        let baselines = Family::ALL.map(|family| world.baseline_to(family.near(PEER)));
        let flag: &[&str] = if is_closed { &["--fail-closed"] } else { &[] };
        world.apply(context.engine(), &[&["--latency", "10ms"], flag].concat());
        for family in Family::ALL {
            // A rule more does not make it fail open.
            let to = family.near(OWN).to_string();
            world.apply(context.engine(), &["--to", &to, "--latency", "20ms"]);
        }
        for pid in world.processes() {
            process::kill_now(pid);
        }
        wait::until("the relay is gone", Duration::from_secs(3), || {
            world.show().says_relay_gone("egress").then_some(())
        });
        for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
            if is_closed {
                expect_silence(&world, family, &[PEER]);
            } else {
                let rtt = world.ping_to(family.near(PEER), &one()).expect_all();
                assert!(rtt.p50 < baseline_ns + tolerance::RTT_MEDIAN_NS * 10.0, "{rtt:?}");
            }
        }
        let counter = if is_closed { "dropped_unheld" } else { "passed_unheld" };
        assert!(world.show().counted("egress", counter) >= 2, "{:?}", world.show());
        let output = world.apply(context.engine(), &[&["--latency", "10ms"], flag].concat());
        assert!(output.stdout.starts_with("restarted"), "{output}");
        for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
            let train = ping::Train { count: 20, interval: Duration::from_millis(5), ..Default::default() };
            world.expect_rtt_to(family.near(PEER), &train, 1, baseline_ns + 10e6);
        }
    }
}

/// The first packet to a new neighbour waits for the request as well as for itself.
fn neighbours(context: &Context) {
    for (flag, times) in [(&[][..], 1.0), (&["--shape-neighbours"][..], 2.0)] {
        let world = World::new();
        peers::join(&world, &[OWN]);
        world.apply(context.engine(), &[&["--latency", "100ms"], flag].concat());
        for family in Family::ALL {
            let rtt =
                world.ping_to(family.near(OWN), &ping::Train { count: 1, ..Default::default() }).expect_all();
            let off = (rtt.p50 - times * 100e6).abs();
            assert!(off < 50e6, "{family:?} {flag:?}: {rtt:?}");
        }
    }
}

fn no_neighbours(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let output = world
        .try_apply(context.engine(), &["--latency", "10ms", "--shape-neighbours"])
        .expect(Exit::Unsupported);
    for word in ["engine `edt` cannot do `--shape-neighbours`", "`netem`", "`relay` can"] {
        assert!(output.stderr.contains(word), "{word:?} is missing: {output}");
    }
    before.expect_same(&world.snapshot());
}
