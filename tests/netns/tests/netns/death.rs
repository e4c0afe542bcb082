//! kill -9 at any time: traffic goes on, `show` says what happened, `apply` repairs and `clear` cleans up.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{bpf, kernel, process, progress, wait};

/// Within this after the death of the relay, packets pass again. The kernel takes the TAP away with the process and the heartbeat
/// goes stale; both are promised within a second.
const FAIL_OPEN_WITHIN: Duration = Duration::from_secs(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("a_killed_relay_lets_packets_pass_and_is_reported", Load::Timing, |c| {
            killed_relay(c, "egress")
        })
        .only(Engine::Relay)
        .each_family(),
        Case::each_engine("a_killed_ingress_relay_lets_packets_pass_and_is_reported", Load::Timing, |c| {
            killed_relay(c, "ingress");
        })
        .only(Engine::Relay)
        .each_family(),
        Case::each_engine("a_stopped_relay_lets_packets_pass", Load::Timing, stopped_relay)
            .only(Engine::Relay)
            .each_family(),
        Case::each_engine("clear_after_a_killed_relay_restores_the_link", Load::Light, clear_after_kill)
            .only(Engine::Relay),
        Case::each_engine(
            "a_killed_apply_leaves_nothing_that_clear_does_not_take",
            Load::Light,
            killed_apply,
        )
        .deadline(Duration::from_secs(120)),
        Case::each_engine(
            "a_killed_clear_leaves_nothing_that_clear_does_not_take",
            Load::Light,
            killed_clear,
        )
        .deadline(Duration::from_secs(120)),
        Case::each_engine("a_killed_replacement_keeps_a_shape", Load::Timing, killed_replacement)
            .deadline(Duration::from_secs(120)),
        Case::each_engine("clear_when_the_link_is_gone_cleans_up", Load::Light, link_gone),
    ]
}

fn killed_relay(context: &Context, direction: &str) {
    let world = World::over(context.family());
    let baseline_ns = world.baseline_ns();
    let before = world.snapshot();
    let args = ["--latency", "30ms", "--direction", direction];
    world.apply(context.engine(), &args);
    let mut objects = world.bpf_objects();
    let relay = only_process(&world);
    world.expect_rtt(baseline_ns + 30e6);

    process::kill_now(relay);
    let probe = ping::Train { count: 1, timeout: Duration::from_millis(20), ..Default::default() };
    let (rtt_ns, took) = wait::until("a packet passes", FAIL_OPEN_WITHIN, || {
        world.ping(&probe).rtt_ns.first().copied().flatten()
    });
    println!("{direction}: passes {took:?} after the relay's death, in {:.3} ms", rtt_ns as f64 / 1e6);
    world.expect_rtt(baseline_ns);
    let show = world.show();
    assert!(show.says_relay_gone(direction), "{show:?}");

    world.apply(context.engine(), &args);
    objects.extend(world.bpf_objects());
    assert_ne!(only_process(&world), relay);
    world.expect_rtt(baseline_ns + 30e6);
    assert!(!world.show().says_relay_gone(direction), "{:?}", world.show());
    world.clear();
    world.expect_restored(&before, &objects);
}

/// A relay that is alive but does not run holds packets for ever, were it not for the heartbeat.
fn stopped_relay(context: &Context) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let world = World::over(context.family());
    let before = world.snapshot();
    world.baseline_ns();
    world.apply(context.engine(), &["--latency", "30ms"]);
    let objects = world.bpf_objects();
    let relay = Pid::from_raw(only_process(&world));
    kill(relay, Signal::SIGSTOP).expect("the relay is there");
    let probe = ping::Train { count: 1, timeout: Duration::from_millis(20), ..Default::default() };
    let (_, took) = wait::until("a packet passes", 3 * FAIL_OPEN_WITHIN, || {
        world.ping(&probe).rtt_ns.first().copied().flatten()
    });
    println!("passes {took:?} after the relay stopped");
    assert!(world.show().says_relay_gone("egress"), "{:?}", world.show());
    kill(relay, Signal::SIGCONT).expect("the relay is there");
    wait::until("the relay holds packets again", GONE_WITHIN, || {
        (!world.show().says_relay_gone("egress")).then_some(())
    });
    world.clear();
    world.expect_restored(&before, &objects);
}

fn clear_after_kill(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "30ms", "--jitter", "3ms", "--direction", "both"]);
    let objects = world.bpf_objects();
    world.processes().into_iter().for_each(process::kill_now);
    world.clear();
    world.expect_restored(&before, &objects);
}

/// Times after which to kill a command, spread over what it takes when left alone and a little longer.
fn kill_times(undisturbed: Duration) -> impl Iterator<Item = Duration> {
    // Where a command takes ten times as long, each kill covers as much of it.
    let kills = if kernel::is_user_mode() { 10 } else { 30 };
    (0..kills).map(move |kill| undisturbed * 5 / 4 * kill / kills)
}

fn killed_apply(context: &Context) {
    let args = ["--latency", "20ms", "--jitter", "2ms", "--direction", "both"];
    let world = World::new();
    let before = world.snapshot();
    let undisturbed = world.apply(context.engine(), &args).took;
    let mut objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
    for (kill, after) in kill_times(undisturbed).enumerate() {
        kill_after(&world, after, &[&["apply", "--engine", context.engine().name()], &args[..]].concat());
        objects.extend(world.bpf_objects());
        // In turns: what was left is taken away at once, or completed first.
        if kill % 2 == 0 {
            world.apply(context.engine(), &args);
            objects.extend(world.bpf_objects());
        }
        world.clear();
        world.expect_restored(&before, &objects);
        objects = bpf::Objects::default();
    }
}

fn killed_clear(context: &Context) {
    let args = ["--latency", "20ms", "--jitter", "2ms", "--direction", "both"];
    let world = World::new();
    let before = world.snapshot();
    world.apply(context.engine(), &args);
    let undisturbed = world.clear().took;
    for after in kill_times(undisturbed) {
        world.apply(context.engine(), &args);
        let objects = world.bpf_objects();
        kill_after(&world, after, &["clear"]);
        world.clear();
        world.expect_restored(&before, &objects);
    }
}

/// Killed while it changes 20 ms to 40 ms, `apply` leaves the one or the other, never an unshaped link.
fn killed_replacement(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    world.baseline_ns();
    let engine = ["--engine", context.engine().name()];
    let old = ["--latency", "20ms"];
    let new = ["--latency", "40ms"];
    let undisturbed = world.apply(context.engine(), &old).took;
    let mut objects = world.bpf_objects();
    for after in kill_times(undisturbed) {
        world.apply(context.engine(), &old);
        kill_after(&world, after, &[&["apply"], &engine[..], &new[..]].concat());
        objects.extend(world.bpf_objects());
        for family in Family::ALL {
            let train = ping::Train { count: 3, ..Default::default() };
            let rtt = world.ping_to(world.peer.address(family, 0), &train).expect_all();
            assert!(rtt.min >= 20e6, "killed after {after:?}: a packet over {family:?} took {} ns", rtt.min);
        }
    }
    world.clear();
    world.expect_restored(&before, &objects);
}

/// The link is deleted under the shape: the namespace holds nothing of ours afterwards, and no process runs on.
fn link_gone(context: &Context) {
    let world = World::with_links(2);
    world.apply(context.engine(), &["--dev", "eth1", "--latency", "20ms", "--direction", "both"]);
    let objects = world.bpf_objects();
    let untouched = World::with_links(2);
    for world in [&world, &untouched] {
        world.inst.request(shaper::netlink::link::delete(&world.inst.device("eth1")));
    }
    world.clear();
    wait::until("no process of the world is left", GONE_WITHIN, || {
        world.processes().is_empty().then_some(())
    });
    wait::until("the programs and maps are freed", GONE_WITHIN, || objects.are_gone().then_some(()));
    let names = |world: &World| -> Vec<String> {
        let links =
            shaper::netlink::link::dump(&mut world.inst.socket()).unwrap_or_else(|error| panic!("{error}"));
        links.into_iter().map(|link| link.name).collect()
    };
    assert_eq!(names(&world), names(&untouched));
}

fn only_process(world: &World) -> i32 {
    let processes = world.processes();
    assert_eq!(processes.len(), 1, "one relay runs: {processes:?}");
    processes[0]
}

/// Starts a command and kills it, and nothing that it has started, after a time. It may have ended by then.
fn kill_after(world: &World, after: Duration, args: &[&str]) {
    progress::note(format!("killing `shaper {}` after {after:?}", args.join(" ")));
    let mut command = world.command();
    command.arg(args[0]).arg("--ns").arg(world.inst.path()).args(&args[1..]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    thread::sleep(after);
    child.kill().expect("our own child can be killed, even when it has ended");
    let status = child.wait().expect("our own child can be waited for");
    assert!(matches!(Exit::from(status.code()), Exit::Done | Exit::Other(None)), "{status}");
}
