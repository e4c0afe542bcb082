//! Each destination has the delay of the longest prefix that it is in, until that rule's time is over.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use shaper::measure::{ping, udp};
use shaper::netlink::address;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER, Path};
use shaper_netns_tests::tolerance::WORST_WAKEUP;
use shaper_netns_tests::world::World;

/// A host with a rule of its own.
const OWN: u8 = 21;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("rules_delay_by_the_longest_prefix", Load::Timing, |c| {
            longest_prefix(c, "egress", 1)
        }),
        Case::each_engine("rules_delay_by_the_longest_prefix_on_ingress", Load::Timing, |c| {
            longest_prefix(c, "ingress", 1);
        }),
        Case::each_engine("rules_delay_by_the_longest_prefix_both_ways", Load::Timing, |c| {
            longest_prefix(c, "both", 2);
        }),
        Case::each_engine("rules_differ_by_direction", Load::Timing, by_direction),
        Case::each_engine("rules_that_end_leave_packets_to_the_next_prefix", Load::Timing, falls_back),
        Case::each_engine("rules_of_two_links_are_their_own", Load::Timing, two_links),
        Case::each_engine("rules_on_the_loopback_are_by_address", Load::Timing, loopback),
    ]
}

/// Expects the median round trip to `address` to be `added_ms` longer than `baseline_ns`, held `times`.
#[track_caller]
fn expect_rtt(world: &World, address: IpAddr, times: u32, baseline_ns: f64, added_ms: u32) {
    let train = ping::Train { count: 20, interval: Duration::from_millis(5), ..Default::default() };
    world.expect_rtt_to(address, &train, times, baseline_ns + f64::from(added_ms) * 1e6);
}

/// First without a rule for all, then with one.
fn longest_prefix(context: &Context, direction: &str, times: u32) {
    let world = World::new();
    peers::join(&world, &[OWN]);
    let hosts = Family::ALL.map(|family| [family.far(PEER), family.near(PEER), family.near(OWN)]);
    let baselines = hosts.map(|hosts| hosts.map(|host| world.baseline_to(host)));
    let rule = |to: &[&str], latency| {
        world.apply(context.engine(), &[to, &["--direction", direction, "--latency", latency]].concat());
    };
    for family in Family::ALL {
        rule(&["--to", family.near_network()], "20ms");
        rule(&["--to", &family.near(OWN).to_string()], "30ms");
    }
    for of_all in [0, 10] {
        if of_all > 0 {
            rule(&[], "10ms");
        }
        for (hosts, baselines) in hosts.iter().zip(baselines) {
            for ((host, baseline_ns), added_ms) in hosts.iter().zip(baselines).zip([of_all, 20, 30]) {
                let times_held = if added_ms == 0 { 1 } else { times };
                expect_rtt(&world, *host, times_held, baseline_ns, added_ms * times);
            }
        }
    }
    assert_eq!(world.show().attachments(), times as usize);
}

/// The same peer has one rule for each way, and a prefix of one way is none of the other.
fn by_direction(context: &Context) {
    let world = World::new();
    peers::join(&world, &[OWN]);
    let hosts = Family::ALL.map(|family| [family.near(PEER), family.near(OWN)]);
    let baselines = hosts.map(|hosts| hosts.map(|host| world.baseline_to(host)));
    for family in Family::ALL {
        let own = family.near(OWN).to_string();
        for (to, direction, latency) in [
            (own.as_str(), "egress", "10ms"),
            (own.as_str(), "ingress", "25ms"),
            (family.near_network(), "ingress", "5ms"),
        ] {
            world.apply(context.engine(), &["--to", to, "--direction", direction, "--latency", latency]);
        }
    }
    for (hosts, baselines) in hosts.iter().zip(baselines) {
        expect_rtt(&world, hosts[0], 1, baselines[0], 5);
        expect_rtt(&world, hosts[1], 2, baselines[1], 35);
    }
}

/// Packets cross every millisecond while the kernel ends the rule: the first have its delay, all others that of the network.
fn falls_back(context: &Context) {
    const FOR: Duration = Duration::from_millis(700);
    for family in Family::ALL {
        let world = World::new();
        peers::join(&world, &[OWN]);
        world.baseline_to(family.near(OWN));
        let own = family.near(OWN).to_string();
        let path = Path::out(&world, family.near(OWN));
        world.apply(context.engine(), &["--to", family.near_network(), "--latency", "10ms"]);
        let asked = Instant::now();
        world.apply(context.engine(), &["--to", &own, "--latency", "40ms", "--for", "700ms"]);
        let since_asked = asked.elapsed();
        let train = udp::Train { count: 1000, interval: Duration::from_millis(1), ..Default::default() };
        let report = path.send(&train);
        assert_eq!(report.missing(), [0_usize; 0], "no packet is lost at the end");
        let delays = report.delays_ns();
        let is_own = |delay: &&u64| **delay >= 40_000_000;
        let own_count = delays.iter().take_while(is_own).count();
        // A machine that stands still for 30 ms makes a later packet look like an own one.
        let later = delays.iter().filter(is_own).count() - own_count;
        assert!(later * 20 <= delays.len(), "a rule that is over is over: {later} packets behind its end");
        assert!(delays.iter().all(|delay| *delay >= 10_000_000), "every packet meets a rule: {delays:?}");
        let (first, last) = (report.departures_ns[0], report.departures_ns[own_count.min(delays.len() - 1)]);
        let over = Duration::from_nanos(last - first);
        println!("{} {family:?}: over {over:?} after the first of the train", context.engine());
        // The first packet goes after `apply` returned, and the rule's time begins before that.
        assert!(own_count > 0 && over <= FOR + WORST_WAKEUP, "{over:?}");
        assert!(over + since_asked + WORST_WAKEUP >= FOR, "{over:?}, {since_asked:?} after apply began");
        path.expect_delay(10e6);
    }
}

fn two_links(context: &Context) {
    let world = World::with_links(2);
    let dev = |link: u8| format!("eth{link}");
    let hosts = [0, 1].map(|link| [world.peer.ipv4(link), world.peer.ipv6(link)]);
    let baselines = hosts.map(|hosts| hosts.map(|host| world.baseline_to(host)));
    for (link, latency) in [(0, "10ms"), (1, "30ms")] {
        for to in ["10.77.0.0/16", "fd00:77::/32"] {
            world.apply(context.engine(), &["--dev", &dev(link), "--to", to, "--latency", latency]);
        }
    }
    // The rule of one link for the peers of the other is met by none of them.
    world.apply(context.engine(), &["--dev", "eth0", "--to", &hosts[1][0].to_string(), "--filter", "drop"]);
    for ((hosts, baselines), added_ms) in hosts.iter().zip(baselines).zip([10, 30]) {
        for (host, baseline_ns) in hosts.iter().zip(baselines) {
            expect_rtt(&world, *host, 1, baseline_ns, added_ms);
        }
    }
}

/// An echo to an address of the loopback goes out and its reply comes back by the same link: each is held by whom it goes to.
fn loopback(context: &Context) {
    let world = World::new();
    let lo = world.inst.device("lo");
    let other = IpAddr::from([0xfd00, 0x7f, 0, 0, 0, 0, 0, 2]);
    world.inst.request(address::add(&lo, other, 128));
    let shaped = [IpAddr::from([127, 0, 0, 2]), other];
    let plain = [IpAddr::from([127, 0, 0, 3]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    let baseline_ns = world.baseline_to(plain[0]);
    for address in shaped {
        world.apply(context.engine(), &["--dev", "lo", "--to", &address.to_string(), "--latency", "20ms"]);
    }
    for address in plain {
        expect_rtt(&world, address, 1, baseline_ns, 0);
    }
    // The sender's address is 127.0.0.1, and of IPv6 the one that is pinged, to which the reply goes, too.
    expect_rtt(&world, shaped[0], 1, baseline_ns, 20);
    expect_rtt(&world, shaped[1], 2, baseline_ns, 40);
}
