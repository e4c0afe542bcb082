//! Settings of links: what rules need, what is asked for, and that it is given back.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use shaper::measure::tcp;
use shaper::netlink::link::{self, Settings};
use shaper::relay::tap;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::named::Name;
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;

use crate::trace::Tracing;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("the_mtu_is_set_kept_and_given_back", Load::Light, mtu),
        Case::each_engine("a_refused_mtu_is_said_and_leaves_nothing", Load::Light, refused_mtu),
        Case::each_engine("what_comes_in_is_single_packets", Load::Light, ingress).each_family(),
        Case::each_engine("a_hidden_peer_is_said", Load::Light, hidden),
        Case::each_engine("what_the_loopback_sends_is_single_packets", Load::Light, loopback),
    ]
}

fn mtu(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let is = |mtu: u32| assert_eq!(world.inst.link("eth0").mtu, mtu);
    let apply = |args: &[&str]| drop(world.apply(context.engine(), args));
    apply(&["--mtu", "1400"]);
    is(1400);
    let shown = world.shaper("show", &["--json"]).expect(Exit::Done).json();
    assert_eq!(shown["attachments"][0]["mtu"], 1400, "{shown:#}");
    let text = world.shaper("show", &[]).expect(Exit::Done).stdout;
    assert!(text.contains(", mtu 1400\n"), "{text}");
    let file = world.shaper("show", &["--as", "toml"]).expect(Exit::Done).stdout;
    assert!(file.contains("mtu = 1400\n"), "{file}");

    apply(&["--to", "10.0.0.9", "--latency", "1ms"]);
    is(1400);
    apply(&["--down"]);
    is(1400);
    apply(&["--latency", "1ms", "--mtu", "1300", "--direction", "both"]);
    is(1300);
    // It is in the record of one direction, whichever asks for it then.
    apply(&["--latency", "1ms", "--mtu", "1350", "--direction", "ingress"]);
    is(1350);
    apply(&["--latency", "1ms"]);
    is(1500);
    apply(&["--latency", "1ms", "--mtu", "9000"]);
    is(9000);
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);

    // What somebody else sets later is theirs.
    apply(&["--latency", "1ms", "--mtu", "9000"]);
    let device = world.inst.device("eth0");
    world.inst.request(link::set(&device, &Settings { mtu: Some(1450), ..Settings::default() }));
    world.clear();
    is(1450);
}

/// A TAP takes no packets of more than 65521 bytes, and says so itself.
fn refused_mtu(context: &Context) {
    let world = World::new();
    let tap = world.inst.run(|| tap::open("wide0")).expect("a TAP can be made");
    let device = world.inst.device(&tap.name);
    world.inst.request(link::set(&device, &Settings { up: Some(true), ..Settings::default() }));
    let before = world.snapshot();
    let wide =
        |mtu: &str| world.try_apply(context.engine(), &["--dev", "wide0", "--latency", "1ms", "--mtu", mtu]);
    let refused = wide("65535").expect(Exit::Failed);
    assert!(refused.stderr.contains("mtu 65535") && refused.stderr.contains("EINVAL"), "{refused}");
    world.expect_restored(&before, &Default::default());

    wide("1400").expect(Exit::Done);
    wide("65535").expect(Exit::Failed);
    assert_eq!(world.inst.link("wide0").mtu, 1400, "what was asked for before stays");
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
}

/// Traces what a TCP sender on the other end sends while a shape acts on each packet: how many frames came, and the most packets of one.
fn largest_frame(world: &World) -> (usize, u64) {
    let tracing = Tracing::start(world, &["--json", "--direction", "ingress"]);
    let buffers = tcp::Buffers::default();
    let listener = world.inst.tcp_listener(world.origin(), buffers);
    let callers = world.peer.tcp_callers(&listener, 1, buffers);
    let bulk = tcp::Bulk { warm_up: Duration::from_millis(200), duration: Duration::from_millis(600) };
    tcp::run(&listener, callers, &bulk).unwrap_or_else(|error| panic!("{error}"));
    tracing.signal(Signal::SIGTERM);
    let (exit, stdout, stderr) = tracing.end();
    assert_eq!(exit, Exit::Done, "{stderr}");
    let packets = |line: &str| -> u64 {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["packets"].as_u64().unwrap_or(1)
    };
    let frames: Vec<u64> = stdout.lines().map(packets).collect();
    (frames.len(), frames.into_iter().max().unwrap_or(0))
}

fn ingress(context: &Context) {
    let world = World::over(context.family());
    let _visible = Name::give(&world.peer);
    let before = world.snapshot();
    for shape in [["--loss", "10%"], ["--bandwidth", "20mbit"]] {
        let output = world.apply(context.engine(), &[&shape[..], &["--direction", "ingress"]].concat());
        assert!(!output.stdout.contains("note"), "{output}");
        assert_eq!(world.peer.link("eth0").gso_max_segs, Some(1));
        let (frames, largest) = largest_frame(&world);
        println!("{}: {shape:?}: {frames} frames, the largest of {largest}", context.engine());
        assert!(frames > 20 && largest == 1, "{frames} frames, the largest of {largest} packets");
        // The same again is nothing new; what does not act on packets needs it no more.
        let again = world.apply(context.engine(), &[&shape[..], &["--direction", "ingress"]].concat());
        assert!(again.stdout.starts_with("unchanged"), "{again}");
        world.apply(context.engine(), &["--latency", "1ms", "--direction", "ingress"]);
        assert_ne!(world.peer.link("eth0").gso_max_segs, Some(1));
        world.apply(context.engine(), &[&shape[..], &["--direction", "both"]].concat());
        assert_eq!(world.peer.link("eth0").gso_max_segs, Some(1));
        let objects = world.bpf_objects();
        world.clear();
        world.expect_restored(&before, &objects);
    }
    // What somebody else sets later is theirs.
    world.apply(context.engine(), &["--loss", "10%", "--direction", "ingress"]);
    let settings = Settings { gso_max_segs: Some(17), ..Settings::default() };
    world.peer.request(link::set(&world.peer.device("eth0"), &settings));
    world.clear();
    assert_eq!(world.peer.link("eth0").gso_max_segs, Some(17));
}

/// The namespaces of a world have neither a name nor a process.
fn hidden(context: &Context) {
    const NOTE: &str = "GSO frames that come in have one fate for all their segments";
    let world = World::new();
    let before = world.snapshot();
    let shape = ["--bandwidth", "20mbit", "--direction", "ingress"];
    let output = world.apply(context.engine(), &shape);
    assert!(output.stdout.ends_with(&format!("note: {NOTE}\n")), "{output}");
    let output = world.apply(context.engine(), &[&shape[..], &["--json"]].concat());
    assert_eq!(output.json()["note"], NOTE, "{output}");
    let shown = world.shaper("show", &["--json"]).expect(Exit::Done).json();
    assert_eq!(shown["attachments"][0]["note"], NOTE, "{shown:#}");
    let text = world.shaper("show", &[]).expect(Exit::Done).stdout;
    assert!(text.contains(&format!("  note     {NOTE}\n")), "{text}");
    let (frames, largest) = largest_frame(&world);
    assert!(largest > 1, "the note is true: {frames} frames, the largest of {largest} packets");
    // Once it can be found, the same again sees to it.
    let _visible = Name::give(&world.peer);
    let output = world.apply(context.engine(), &shape);
    assert!(output.stdout.starts_with("changed") && !output.stdout.contains("note"), "{output}");
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
}

/// What comes into the loopback is what it sent: one setting serves both directions, and the last one gives it back.
fn loopback(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let apply = |args: &[&str]| world.apply(context.engine(), &[&["--dev", "lo"], args].concat());
    let is_single = || world.inst.link("lo").gso_max_segs == Some(1);
    let output = apply(&["--loss", "1%", "--direction", "both"]);
    assert!(is_single() && !output.stdout.contains("note"), "{output}");
    apply(&["--latency", "1ms"]);
    assert!(is_single(), "ingress needs it yet");
    let objects = world.bpf_objects();
    apply(&["--latency", "1ms", "--direction", "ingress"]);
    assert!(!is_single(), "nobody needs it");
    apply(&["--loss", "1%", "--direction", "ingress"]);
    assert!(is_single());
    world.clear();
    world.expect_restored(&before, &objects);
}
