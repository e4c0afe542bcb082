//! A rule may be for one port and protocol of its peers.

use std::time::Duration;

use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{PEER, Path, at};
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("rules_for_a_port_leave_the_others_alone", Load::Timing, port),
        Case::each_engine("rules_for_a_source_port_on_ingress", Load::Timing, source_port),
        Case::each_engine("rules_for_a_protocol_leave_the_others_alone", Load::Timing, protocol),
    ]
}

fn world() -> (World, [f64; 2]) {
    let world = World::new();
    let baselines = Family::ALL.map(|family| world.baseline_to(family.near(PEER)));
    (world, baselines)
}

#[track_caller]
fn expect_echo(world: &World, family: Family, expected_ns: f64) {
    let train = ping::Train { count: 20, interval: Duration::from_millis(5), ..Default::default() };
    world.expect_rtt_to(family.near(PEER), &train, 1, expected_ns);
}

/// The median delay of a path without a rule.
#[track_caller]
fn unshaped_ns(path: &Path) -> f64 {
    let train = shaper::measure::udp::Train { count: 50, ..Default::default() };
    path.send(&train).delay().expect("packets arrived").min
}

/// The port goes before the host, and the host before all.
fn port(context: &Context) {
    let (world, baselines) = world();
    for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
        let [one, other] = [(); 2].map(|()| Path::out(&world, family.near(PEER)));
        let unshaped_ns = unshaped_ns(&one);
        let port = one.destination().port();
        world.apply(
            context.engine(),
            &["--to", &at(family.near(PEER), &format!("{port}/udp")), "--latency", "20ms"],
        );
        one.expect_delay(unshaped_ns + 20e6);
        other.expect_delay(unshaped_ns);
        expect_echo(&world, family, baseline_ns);
        world.apply(context.engine(), &["--to", &family.near(PEER).to_string(), "--latency", "8ms"]);
        one.expect_delay(unshaped_ns + 20e6);
        other.expect_delay(unshaped_ns + 8e6);
        expect_echo(&world, family, baseline_ns + 8e6);
    }
}

/// On ingress the peer is the sender, and its port the source port.
fn source_port(context: &Context) {
    let (world, baselines) = world();
    for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
        let [one, other] = [(); 2].map(|()| Path::back(&world, family));
        let unshaped_ns = unshaped_ns(&one);
        for (port, latency) in [(one.source().port(), "20ms"), (other.destination().port(), "40ms")] {
            let to = at(family.near(PEER), &format!("{port}/udp"));
            world.apply(context.engine(), &["--direction", "ingress", "--to", &to, "--latency", latency]);
        }
        one.expect_delay(unshaped_ns + 20e6);
        other.expect_delay(unshaped_ns);
        expect_echo(&world, family, baseline_ns);
    }
}

fn protocol(context: &Context) {
    let (world, baselines) = world();
    for (family, baseline_ns) in Family::ALL.into_iter().zip(baselines) {
        let path = Path::out(&world, family.near(PEER));
        let unshaped_ns = unshaped_ns(&path);
        let echo = at(family.near(PEER), &format!("*/{}", family.echo()));
        world.apply(context.engine(), &["--to", &echo, "--latency", "15ms"]);
        path.expect_delay(unshaped_ns);
        expect_echo(&world, family, baseline_ns + 15e6);
        world.apply(context.engine(), &["--to", &at(family.near(PEER), "*/udp"), "--latency", "5ms"]);
        path.expect_delay(unshaped_ns + 5e6);
        expect_echo(&world, family, baseline_ns + 15e6);
    }
}
