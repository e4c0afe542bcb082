//! As many rules as there may be: each destination has its own, and others take their place under load in no time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use shaper::measure::{ping, udp};
use shaper::rules::RULES_MAX;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::peers::{self, Path};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{kernel, progress};

/// On the one processor of User-mode Linux, where each of the kernel's calls takes 3 µs and more and a rule is some calls, as many as
/// `netem` can have.
const RULES_IN_USER_MODE: usize = 4096;

/// The most that `netem` is given.
const NETEM_RULES: usize = 4096;

/// How long a swap of as many rules as there may be may take the command, on a processor: with one to itself, that is the time on the
/// clock as well.
const SWAP_WITHIN: Duration = Duration::from_secs(1);

pub(crate) fn cases() -> Vec<Case> {
    let deadline = Duration::from_secs(120);
    vec![
        Case::each_engine("rules_by_the_thousands_take_effect_and_are_swapped_under_load", Load::Alone, many)
            .deadline(deadline),
        Case::each_engine("rules_beyond_netem_are_refused_with_who_can", Load::Light, beyond_netem)
            .only(Engine::Netem),
    ]
}

/// Host `n`: every second one of IPv4, every other of IPv6.
fn host(n: usize) -> IpAddr {
    let number = (n / 2) as u16;
    let [high, low] = number.to_be_bytes();
    if n.is_multiple_of(2) {
        Ipv4Addr::new(10, 80, high, low).into()
    } else {
        Ipv6Addr::new(0xfd00, 0x80, 0, 0, 0, 0, 0, number).into()
    }
}

/// The delay of host `n` in round `round`, from 5 to 54 ms.
fn latency_ms(n: usize, round: usize) -> usize {
    5 + (n * 7 + round * 23) % 50
}

/// Rules for `count` hosts, the delays of `round`.
fn file(count: usize, round: usize) -> String {
    let rule = |n| format!(r#"{{"to": "{}", "latency": "{}ms"}}"#, host(n), latency_ms(n, round));
    let rules: Vec<String> = (0..count).map(rule).collect();
    format!(r#"{{"rules": [{}]}}"#, rules.join(",\n"))
}

/// Numbers of hosts all over the set, both families, first and last.
fn sample(count: usize) -> Vec<usize> {
    let mut sample: Vec<usize> = (1..10).map(|n| n * 2_654_435_761_usize % count).collect();
    sample.extend([2, 3, count - 2, count - 1]);
    sample
}

fn many(context: &Context) {
    let count = match (kernel::is_user_mode(), context.engine()) {
        (true, _) => RULES_IN_USER_MODE,
        (false, Engine::Netem) => NETEM_RULES,
        (false, Engine::Edt | Engine::Relay) => RULES_MAX,
    };
    let world = World::new();
    let sample = sample(count);
    let network = |address: IpAddr| if address.is_ipv4() { 16 } else { 64 };
    [0, 1].map(host).into_iter().for_each(|address| peers::add(&world.inst, address, network(address)));
    sample.iter().map(|n| host(*n)).for_each(|address| peers::add(&world.peer, address, network(address)));
    let baselines: Vec<f64> = sample.iter().map(|&n| world.baseline_to(host(n))).collect();
    let expect = |round| {
        for (&n, baseline_ns) in sample.iter().zip(&baselines) {
            let train = ping::Train { count: 8, interval: Duration::from_millis(5), ..Default::default() };
            world.expect_rtt_to(host(n), &train, 1, baseline_ns + latency_ms(n, round) as f64 * 1e6);
        }
    };
    let files = [0, 1].map(|round| file(count, round));
    let first = world.apply_file(context.engine(), &files[0]);
    expect(0);
    let path = Path::out(&world, host(sample[0]));
    let train = udp::Train { count: 3000, interval: Duration::from_millis(1), ..Default::default() };
    progress::note("swapping all rules under load");
    let mut swaps = Vec::new();
    let report = std::thread::scope(|scope| {
        let sending = scope.spawn(|| path.send(&train));
        while !sending.is_finished() {
            let before = processor_time_of_children();
            let took = world.apply_file(context.engine(), &files[(swaps.len() + 1) % 2]).took;
            swaps.push((processor_time_of_children() - before, took));
        }
        sending.join().expect("a train does not panic")
    });
    let delay = report.delay().expect("packets arrived");
    let unchanged = world.apply_file(context.engine(), &files[swaps.len() % 2]);
    let shown = world.shaper("show", &["--json"]).expect(Exit::Done);
    let cleared = world.apply_file(context.engine(), &files[1]);
    expect(1);
    let clear = world.clear();
    println!(
        "{}: {count} rules: first apply {:?}, swaps (processor, clock) {swaps:?}, the same again {:?}, show {:?}, back {:?}, clear {:?}; delays under swaps {:.3} to {:.3} ms",
        context.engine(),
        first.took,
        unchanged.took,
        shown.took,
        cleared.took,
        clear.took,
        delay.min / 1e6,
        delay.max / 1e6,
    );
    assert!(unchanged.stdout.starts_with("unchanged"), "{unchanged}");
    assert_eq!(report.missing(), [0_usize; 0], "of {} packets under {} swaps", report.sent(), swaps.len());
    let least = latency_ms(sample[0], 0).min(latency_ms(sample[0], 1)) as f64 * 1e6;
    assert!(delay.min >= least, "a packet took only {} ns", delay.min);
    let (processor, _) = swaps.iter().min().expect("at least one swap");
    // Of the processor of User-mode Linux nothing can be said.
    if context.engine() != Engine::Netem && !kernel::is_user_mode() {
        assert!(*processor < SWAP_WITHIN, "the fastest swap took {processor:?}");
    }
}

/// The time that ended commands, of this process and no others, have spent on processors.
fn processor_time_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("RUSAGE_CHILDREN is known");
    let of = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    of(usage.user_time()) + of(usage.system_time())
}

fn beyond_netem(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let output = world.try_apply_file(context.engine(), &file(NETEM_RULES + 1, 0)).expect(Exit::Unsupported);
    for word in ["engine `netem` cannot do more than 4096 rules", "`edt`", "`relay` can"] {
        assert!(output.stderr.contains(word), "{word:?} is missing: {output}");
    }
    before.expect_same(&world.snapshot());
}
