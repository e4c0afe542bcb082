//! Rules are swapped as one, however often: no packet is lost, none passes unshaped, none meets anything but the old rules or the new.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use shaper::measure::{ping, tcp, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER, Path};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{kernel, progress, tolerance};

const OWN: u8 = 21;

pub(crate) fn cases() -> Vec<Case> {
    let deadline = Duration::from_secs(240);
    vec![
        Case::each_engine("rules_swapped_200_times_lose_no_packet_and_let_none_pass", Load::Alone, swapped)
            .deadline(deadline),
        Case::each_engine("a_shape_changed_1000_times_under_load_holds_every_packet", Load::Alone, changed)
            .deadline(deadline),
        Case::each_engine("clear_of_one_rule_leaves_the_packets_of_others", Load::Timing, cleared),
    ]
}

/// How many swaps and changes there are. A command takes 20 times as long on the one processor of User-mode Linux, beside the load.
fn times(natively: usize) -> usize {
    if kernel::is_user_mode() { natively / 10 } else { natively }
}

/// Runs `load` over and over until `work` is done, once more after it, and returns what it found.
fn under<T: Send>(load: impl Fn() -> T + Sync, work: impl FnOnce()) -> Vec<T> {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut found = Vec::new();
            while !is_done.load(Ordering::Relaxed) {
                found.push(load());
            }
            found.push(load());
            found
        });
        // Whatever becomes of the work, the load ends.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_done.store(true, Ordering::Relaxed);
        let found = loading.join();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

const SHORT_NS: u64 = 10_000_000;
const LONG_NS: u64 = 20_000_000;

/// How much later than its time a packet may be: half of what lies between the two delays, so that each is one of the two. A command
/// that starts on every processor makes some packets later still.
const LATE_NS: u64 = (LONG_NS - SHORT_NS) / 2;

/// The share of packets that others on the machine may make later than that.
const LATE_SHARE: f64 = 0.05;

/// Two hosts of each family change their delays with each other, all four at once. A rule that were missing for a moment would let
/// packets pass at once or by the delay of all others, which is much longer than both.
fn swapped(context: &Context) {
    let world = World::new();
    peers::join(&world, &[OWN]);
    let hosts = Family::ALL.map(|family| [family.near(PEER), family.near(OWN)]);
    peers::warm_up(&world, &hosts.concat());
    let file = |latencies: [&str; 2]| {
        let rule = |host: &IpAddr, latency: &str| format!(r#"{{"to": "{host}", "latency": "{latency}"}}"#);
        let rules = hosts
            .iter()
            .flat_map(|hosts| hosts.iter().zip(latencies).map(|(host, latency)| rule(host, latency)));
        format!(r#"{{"rules": [{{"latency": "500ms"}}, {}]}}"#, rules.collect::<Vec<_>>().join(", "))
    };
    let files = [file(["10ms", "20ms"]), file(["20ms", "10ms"])];
    world.apply_file(context.engine(), &files[1]);
    let paths: Vec<Path> = hosts.concat().iter().map(|host| Path::out(&world, *host)).collect();
    let train = udp::Train { count: 400, interval: Duration::from_millis(2), ..Default::default() };
    let all_paths = || {
        thread::scope(|scope| {
            let sending: Vec<_> = paths.iter().map(|path| scope.spawn(|| path.send(&train))).collect();
            sending.into_iter().map(|path| path.join().expect("a train does not panic")).collect::<Vec<_>>()
        })
    };
    let swaps = times(200);
    let reports = under(all_paths, || {
        for swap in 0..swaps {
            progress::note(format!("swap {swap} of {swaps}"));
            let output = world.apply_file(context.engine(), &files[swap % 2]);
            assert!(output.stdout.starts_with("changed"), "{output}");
        }
    });
    let mut delays: Vec<u64> = Vec::new();
    for report in reports.iter().flatten() {
        assert_eq!(report.missing(), [0_usize; 0], "of {} packets", report.sent());
        delays.extend(report.delays_ns());
    }
    expect_one_of_two(context, swaps, &delays);
}

#[track_caller]
fn expect_one_of_two(context: &Context, swaps: usize, delays: &[u64]) {
    let least = delays.iter().min().copied().unwrap_or(0);
    let near = |delay: u64, wanted: u64| (wanted..wanted + LATE_NS).contains(&delay);
    let count = |wanted| delays.iter().filter(|&&delay| near(delay, wanted)).count();
    let (short, long, all) = (count(SHORT_NS), count(LONG_NS), delays.len());
    println!(
        "{}: {swaps} swaps; of {all} packets {short} took 10 ms, {long} took 20 ms, the others up to {:.3} ms; the least {:.3} ms",
        context.engine(),
        delays.iter().max().copied().unwrap_or(0) as f64 / 1e6,
        least as f64 / 1e6
    );
    assert!(least >= SHORT_NS, "a packet took only {least} ns");
    assert!(delays.iter().all(|&delay| delay < 500_000_000), "a packet met the rule for all others");
    assert!((all - short - long) as f64 <= LATE_SHARE * all as f64, "{short} and {long} of {all}");
    assert!(short.min(long) * 4 >= all, "both halves took both delays: {short} and {long} of {all}");
}

/// A flow must go on at a pace that any path of 11 ms with a window of a few segments has.
const GOODPUT_MIN: f64 = 1e6;

fn changed(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    world.apply(context.engine(), &["--latency", "10ms"]);
    let changes = times(1000);
    let bulk = tcp::Bulk { warm_up: Duration::from_millis(100), duration: Duration::from_millis(900) };
    let train = ping::Train { count: 200, interval: Duration::from_millis(5), ..Default::default() };
    let load = || {
        thread::scope(|scope| {
            let flow = scope.spawn(|| world.tcp(1, &bulk));
            let pings = world.ping(&train).expect_all();
            (flow.join().expect("a flow does not panic"), pings)
        })
    };
    let found = under(load, || {
        for change in 0..changes {
            progress::note(format!("change {change} of {changes}"));
            let latency = if change % 2 == 0 { "11ms" } else { "10ms" };
            let output = world.apply(context.engine(), &["--latency", latency]);
            assert!(output.stdout.starts_with("changed"), "{output}");
        }
    });
    let least = found.iter().map(|(_, pings)| pings.min).fold(f64::INFINITY, f64::min);
    let slowest = found.iter().map(|(flow, _)| flow.goodput_bits_per_sec()).fold(f64::INFINITY, f64::min);
    println!(
        "{}: {changes} changes; of {} pings the least took {:.3} ms; the slowest second of TCP {:.1} Mbit/s",
        context.engine(),
        found.len() * train.count,
        least / 1e6,
        slowest / 1e6
    );
    assert!(least >= SHORT_NS as f64, "a ping took only {least} ns");
    assert!(slowest >= GOODPUT_MIN, "{slowest}");
}

/// Packets to two hosts are on their way when one of them loses its rule: those of both arrive in their time.
fn cleared(context: &Context) {
    for family in Family::ALL {
        let world = World::new();
        peers::join(&world, &[OWN]);
        let hosts = [family.near(PEER), family.near(OWN)];
        let unshaped_ns = hosts.map(|host| world.baseline_to(host));
        for host in hosts {
            world.apply(context.engine(), &["--to", &host.to_string(), "--latency", "600ms"]);
        }
        let objects = world.bpf_objects();
        let paths = hosts.map(|host| Path::out(&world, host));
        let train = udp::Train { count: 100, interval: Duration::from_millis(1), ..Default::default() };
        let [kept, gone] = thread::scope(|scope| {
            let sending = paths.each_ref().map(|path| scope.spawn(|| path.send(&train)));
            // The rule's own counters say that all are on their way.
            let to = hosts[1].to_string();
            shaper_netns_tests::wait::until("the packets were sent", Duration::from_secs(2), || {
                let show = world.show();
                let sent = hosts.map(|host| show.rule("egress", Some(&host.to_string())).counted("packets"));
                (sent.iter().all(|&sent| sent >= train.count as u64)).then_some(())
            });
            world.shaper("clear", &["--to", &to]).expect(Exit::Done);
            sending.map(|path| path.join().expect("a train does not panic"))
        });
        for report in [&kept, &gone] {
            assert_eq!(report.missing(), [0_usize; 0], "of {} packets on their way", report.sent());
            let delay = report.delay().expect("packets arrived");
            assert!(delay.min >= 600e6, "{delay:?}");
        }
        paths[0].expect_delay(unshaped_ns[0] / 2.0 + 600e6);
        assert!(
            paths[1].send(&train).delay().expect("packets arrived").p50 < tolerance::RTT_MEDIAN_NS * 10.0
        );
        let last = world.shaper("clear", &["--to", &hosts[0].to_string()]).expect(Exit::Done);
        assert_eq!(world.show().attachments(), 0, "{last}");
        let mut objects = objects;
        objects.extend(world.bpf_objects());
        shaper_netns_tests::wait::until("programs and maps are freed", Duration::from_secs(3), || {
            objects.are_gone().then_some(())
        });
        assert_eq!(world.shaper("clear", &["--to", &hosts[0].to_string()]).exit, Exit::Done, "again");
    }
}
