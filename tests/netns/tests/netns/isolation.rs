//! What a shape must not touch: other links, other namespaces, neighbour discovery.

use std::time::Duration;

use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("two_links_have_shapes_of_their_own", Load::Timing, two_links).each_family(),
        Case::each_engine("both_ends_can_be_shaped", Load::Timing, both_ends).each_family(),
        Case::each_engine("neighbour_discovery_is_not_delayed", Load::Timing, neighbours),
    ]
}

const TRAIN: ping::Train = ping::Train {
    count: 20,
    interval: Duration::from_millis(5),
    timeout: Duration::from_secs(2),
    payload: 56,
};

fn two_links(context: &Context) {
    let world = World::with_links(2);
    let engine = context.engine();
    let ends = [0, 1].map(|link| world.peer.address(context.family(), link));
    let baseline_ns = ends.map(|end| world.baseline_to(end));
    let expect = |added_ns: [f64; 2], times: [u32; 2]| {
        for link in 0..2 {
            world.expect_rtt_to(ends[link], &TRAIN, times[link], baseline_ns[link] + added_ns[link]);
        }
    };
    let before = world.snapshot();
    world.apply(engine, &["--dev", "eth0", "--latency", "20ms"]);
    expect([20e6, 0.0], [1, 1]);
    world.apply(engine, &["--dev", "eth1", "--latency", "50ms", "--direction", "both"]);
    expect([20e6, 100e6], [1, 2]);
    assert_eq!(world.show().attachments(), 3);
    world.apply(engine, &["--dev", "eth0", "--latency", "30ms"]);
    expect([30e6, 100e6], [1, 2]);
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
    expect([0.0, 0.0], [1, 1]);
}

/// Two namespaces, one link: each shapes its own end.
fn both_ends(context: &Context) {
    let world = World::over(context.family());
    let before = world.snapshot();
    let baseline_ns = world.baseline_ns();
    let peer = world.peer.path();
    let shaper = |verb: &str, args: &[&str]| {
        let mut command = world.command();
        shaper_netns_tests::shaper::run(command.arg(verb).arg("--ns").arg(&peer).args(args))
            .expect(Exit::Done)
    };
    world.apply(context.engine(), &["--latency", "20ms"]);
    shaper("apply", &["--engine", context.engine().name(), "--latency", "30ms"]);
    world.expect_rtt_held(2, baseline_ns + 50e6);
    let mut objects = world.bpf_objects();
    objects.extend(shaper_netns_tests::bpf::Objects::held_in(&world.peer));
    world.clear();
    world.expect_rtt(baseline_ns + 30e6);
    shaper("clear", &[]);
    world.expect_restored(&before, &objects);
}

/// The very first packet to a neighbour needs ARP, or its IPv6 counterpart: were these delayed too, it would take twice as long.
fn neighbours(context: &Context) {
    let world = World::new();
    world.apply(context.engine(), &["--latency", "200ms"]);
    let first = ping::Train { count: 1, ..TRAIN };
    let added_ns = 200e6;
    for (destination, discovery) in [(world.peer.ipv4(0), "ARP"), (world.peer.ipv6(0), "neighbour discovery")]
    {
        let rtt = world.ping_to(destination, &first).expect_all().p50;
        println!("{} {discovery}: first round trip {:.3} ms", context.engine(), rtt / 1e6);
        // The reply needs the peer's own discovery as well, unshaped; both together are far below half the latency.
        assert!(rtt >= added_ns && rtt < added_ns * 1.5, "{discovery}: the first round trip took {rtt} ns");
    }
}
