//! `shaper trace`: what it prints is what happened, and it leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use shaper::measure::ping;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::progress;
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::wait;
use shaper_netns_tests::world::World;

/// A tracer that is killed is forgotten after two seconds.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(3);
/// It looks every half second whether the shape is still there.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("trace_prints_each_packets_fate", Load::Light, fates).except(Engine::Netem),
        Case::each_engine("trace_says_what_is_given_to_netem", Load::Light, given).only(Engine::Netem),
        Case::each_engine("trace_is_one_process_at_a_time", Load::Light, one_at_a_time),
        Case::each_engine("trace_ends_when_the_shape_is_cleared", Load::Light, cleared),
        Case::each_engine("trace_ends_when_nobody_reads_it", Load::Light, unread),
        Case::once("trace_of_nothing_is_refused", Load::Light, nothing),
    ]
}

/// A `shaper trace` that has begun.
pub(crate) struct Tracing {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Tracing {
    pub(crate) fn start(world: &World, args: &[&str]) -> Self {
        progress::note(format!("running `shaper trace {}`", args.join(" ")));
        let mut command = world.command();
        command.args(["trace", "--ns"]).arg(world.inst.path()).args(args);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("stderr is readable");
        assert!(line.starts_with("tracing "), "{line}");
        Self { child, stderr }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("our own child is there");
    }

    /// How it ended, what it printed, and what it said after its first line.
    pub(crate) fn end(self) -> (Exit, String, String) {
        let (exit, stdout, stderr) = self.end_in_bytes();
        (exit, String::from_utf8(stdout).expect("stdout is text"), stderr)
    }

    pub(crate) fn end_in_bytes(mut self) -> (Exit, Vec<u8>, String) {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).expect("stdout is readable");
        }
        self.stderr.read_to_string(&mut stderr).expect("stderr is text");
        let status = self.child.wait().expect("our own child can be waited for");
        (Exit::from(status.code()), stdout, stderr)
    }
}

fn echoes(count: usize) -> ping::Train {
    ping::Train {
        count,
        interval: Duration::from_millis(2),
        timeout: Duration::from_millis(300),
        ..ping::Train::default()
    }
}

fn objects(stdout: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    stdout.lines().map(object).collect()
}

/// The packets that are lost in the trace are those without an answer, over IPv4 and IPv6.
fn fates(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    world.baseline_to(world.peer.ipv6(0));
    world.apply(context.engine(), &["--latency", "3ms", "--loss-pattern", "0010"]);
    for (destination, source, protocol) in
        [(world.peer.ipv4(0), world.inst.ipv4(0), "icmp"), (world.peer.ipv6(0), world.inst.ipv6(0), "icmpv6")]
    {
        let tracing = Tracing::start(&world, &["--json"]);
        let pings = world.ping_to(destination, &echoes(12));
        tracing.signal(Signal::SIGTERM);
        let (exit, stdout, stderr) = tracing.end();
        assert_eq!(exit, Exit::Done, "{stderr}");
        // Neighbour discovery is ICMPv6, too.
        let is_echo = |line: &Value| line["protocol"] == protocol && line["why"] != "not-ip";
        let traced: Vec<Value> = objects(&stdout).into_iter().filter(is_echo).collect();
        assert_eq!(traced.len(), pings.rtt_ns.len(), "{stdout}");
        for (line, answer) in traced.iter().zip(&pings.rtt_ns) {
            assert_eq!(
                (&line["version"], &line["link"], &line["direction"]),
                (&1.into(), &"eth0".into(), &"egress".into())
            );
            assert_eq!(line["source"], source.to_string());
            assert_eq!(line["destination"], destination.to_string());
            let (fate, delay) = match answer {
                Some(_) => ("delayed", "3ms".into()),
                None => ("lost", Value::Null),
            };
            assert_eq!((&line["fates"], &line["delay"]), (&serde_json::json!([fate]), &delay), "{line}");
        }
        let lost = pings.rtt_ns.iter().filter(|rtt| rtt.is_none()).count();
        assert!(stderr.ends_with(" packets traced, 0 missed\n"), "{stderr}");
        assert_eq!(lost, 3, "the third of every four");
    }

    let tracing = Tracing::start(&world, &["--fate", "lost", "--count", "2"]);
    world.ping(&echoes(12));
    let (exit, stdout, stderr) = tracing.end();
    assert_eq!((exit, stdout.lines().count()), (Exit::Done, 2), "{stdout}{stderr}");
    let flow = format!("{} > {} icmp ", world.inst.ipv4(0), world.peer.ipv4(0));
    for line in stdout.lines() {
        assert!(
            line.starts_with("eth0 egress ") && line.contains(&flow) && line.ends_with(": lost"),
            "{line}"
        );
    }
    assert_eq!(stderr, "2 packets traced, 0 missed\n");
}

fn given(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    world.apply(context.engine(), &["--latency", "3ms", "--direction", "both"]);
    let tracing = Tracing::start(&world, &["--json", "--fate", "given-to-netem", "--count", "2"]);
    world.ping(&echoes(1));
    let (exit, stdout, stderr) = tracing.end();
    assert_eq!(exit, Exit::Done, "{stderr}");
    let directions: Vec<Value> = objects(&stdout).into_iter().map(|line| line["direction"].clone()).collect();
    assert_eq!(directions, ["egress", "ingress"]);
}

fn one_at_a_time(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "1ms", "--direction", "both"]);
    let first = Tracing::start(&world, &["--direction", "egress"]);
    let refused = world.shaper("trace", &["--direction", "both"]).expect(Exit::Failed);
    let words = format!("egress of `eth0` is being traced by process {}", first.child.id());
    assert!(refused.stderr.contains(&words), "{refused}");
    // Another direction is another's, also after that refusal.
    let other = Tracing::start(&world, &["--direction", "ingress"]);
    other.signal(Signal::SIGINT);
    assert_eq!(other.end().0, Exit::Done);

    first.signal(Signal::SIGKILL);
    first.end();
    let ((), took) =
        wait::until("the killed one is forgotten", FORGOTTEN_WITHIN, || (!is_refused(&world)).then_some(()));
    println!("forgotten after {took:?}");
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
}

/// Traces until the first packet of a ping, or is refused.
fn is_refused(world: &World) -> bool {
    let mut command = world.command();
    command.args(["trace", "--direction", "egress", "--count", "1", "--ns"]).arg(world.inst.path());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let status = loop {
        world.ping(&echoes(1));
        if let Some(status) = child.try_wait().expect("our own child can be waited for") {
            break status;
        }
    };
    Exit::from(status.code()) != Exit::Done
}

fn cleared(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "1ms", "--direction", "both"]);
    let objects = world.bpf_objects();
    let mut tracing = Tracing::start(&world, &[]);
    world.clear();
    wait::until("the trace ends", SEEN_WITHIN, || {
        tracing.child.try_wait().expect("our own child can be waited for")
    });
    let (exit, _, stderr) = tracing.end();
    assert_eq!(exit, Exit::Done);
    for direction in ["egress", "ingress"] {
        assert!(stderr.contains(&format!("{direction} of `eth0` is shaped no more")), "{stderr}");
    }
    world.expect_restored(&before, &objects);
}

fn unread(context: &Context) {
    let world = World::new();
    world.baseline_ns();
    world.apply(context.engine(), &["--latency", "1ms"]);
    for form in [["--direction", "egress"], ["--pcapng", "-"]] {
        let mut tracing = Tracing::start(&world, &form);
        drop(tracing.child.stdout.take());
        world.ping(&echoes(1));
        let (exit, _, stderr) = tracing.end();
        assert_eq!(exit, Exit::Done, "{stderr}");
        assert!(!stderr.contains("cannot"), "{stderr}");
    }
}

fn nothing(_: &Context) {
    let world = World::new();
    let none = world.shaper("trace", &[]).expect(Exit::Failed);
    assert!(none.stderr.contains("no link in ") && none.stderr.contains("is shaped"), "{none}");
    let none = world.shaper("trace", &["--dev", "eth0", "--direction", "egress"]).expect(Exit::Failed);
    assert!(none.stderr.contains("egress of `eth0` in "), "{none}");
    let unknown = world.shaper("trace", &["--dev", "eth7"]).expect(Exit::Usage);
    assert!(unknown.stderr.contains("there is no link `eth7` here"), "{unknown}");
}
