//! `shaper trace --pcapng`, as an independent reader reads it.

use std::fs;
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use shaper::attachment::Survey;
use shaper::bpf::SharedWords;
use shaper::measure::udp;
use shaper_common::abi;
use shaper_common::trace::{HEAD, Lease};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::pcapng::{Capture, Interface, Packet};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::tolerance;
use shaper_netns_tests::world::World;

use crate::trace::Tracing;

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::each_engine("trace_writes_pcapng", Load::Light, blocks).each_family()]
}

/// A file name of this trial's own.
struct Path(PathBuf);

impl Path {
    fn new() -> Self {
        static PATHS: AtomicUsize = AtomicUsize::new(0);
        let number = PATHS.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("shaper-test-{}-{number}.pcapng", std::process::id())))
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("a name that is text")
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // Where it was never written there is nothing to delete.
        let _ = fs::remove_file(&self.0);
    }
}

/// As many blocks as packets, each with its bytes and its fate, over standard output and into a file.
fn blocks(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(
        context.engine(),
        &["--latency", "20ms", "--loss", "50%", "--seed", "3", "--direction", "both"],
    );
    let path = Path::new();
    fs::write(&path.0, [b'x'; 1 << 17]).expect("a file can be written");

    let (both, out) = (["egress", "ingress"], udp_train(64));
    let tracing = Tracing::start(&world, &["--pcapng", "-"]);
    let refused = world.shaper("trace", &["--pcapng", path.text()]).expect(Exit::Failed);
    assert!(refused.stderr.contains("is being traced by process"), "{refused}");
    assert_eq!(
        fs::read(&path.0).expect("a file can be read").len(),
        1 << 17,
        "what was refused wrote nothing"
    );
    let sent = Sent::with(&world, Way::Out, &out);
    tracing.signal(Signal::SIGTERM);
    let (exit, stdout, stderr) = tracing.end_in_bytes();
    assert_eq!(exit, Exit::Done, "{stderr}");
    sent.expect_in(&stdout, context.engine(), &both);

    // Shorter than what is captured; the end of the file is that of the trace.
    let tracing = Tracing::start(&world, &["--direction", "ingress", "--pcapng", path.text()]);
    let sent = Sent::with(&world, Way::In, &udp_train(18));
    tracing.signal(Signal::SIGINT);
    let (exit, stdout, stderr) = tracing.end();
    assert_eq!((exit, stdout.as_str()), (Exit::Done, ""), "{stderr}");
    sent.expect_in(&fs::read(&path.0).expect("a file can be read"), context.engine(), &["ingress"]);

    let fate = if context.engine() == Engine::Netem { "given-to-netem" } else { "lost" };
    let few = ["--pcapng", "-", "--direction", "egress", "--fate", fate, "--count", "3"];
    let tracing = Tracing::start(&world, &few);
    miss(&world, 7);
    fates::send(&world, Way::Out, &out);
    let (exit, stdout, stderr) = tracing.end_in_bytes();
    assert_eq!(exit, Exit::Done, "{stderr}");
    assert!(stderr.ends_with("3 packets traced, 7 missed\n"), "{stderr}");
    let capture = Capture::read(&stdout).unwrap_or_else(|error| panic!("{error}"));
    let comments: Vec<&str> = capture.packets.iter().map(|packet| packet.comment.as_str()).collect();
    let described = &capture.interfaces;
    assert!(matches!(described[..], [Interface { dropped: Some((_, 7)), .. }]), "{described:?}");
    assert_eq!(comments, [fate.replace('-', " ").as_str(); 3]);

    let unwritable = world.shaper("trace", &["--pcapng", "/proc/none/file"]).expect(Exit::Failed);
    assert!(unwritable.stderr.contains("cannot write `/proc/none/file`"), "{unwritable}");
}

/// Says in the place of the egress program that so many packets found no room.
fn miss(world: &World, packets: u64) {
    let survey = Survey::take(&mut world.inst.socket()).expect("links can be listed");
    let mut found = survey.attachments.iter();
    let found = found.find(|found| found.direction == abi::Direction::Egress).expect("it is shaped");
    let lease =
        found.maps.as_ref().ok().and_then(|maps| maps.fd(abi::map::LEASE)).expect("its maps are there");
    let words = NonZeroUsize::new(size_of::<Lease>() / size_of::<u64>()).expect("it has fields");
    let lease = SharedWords::map(lease, words).expect("it can be mapped");
    lease.words()[offset_of!(Lease, missed) / size_of::<u64>()].fetch_add(packets, Ordering::SeqCst);
}

fn udp_train(payload: usize) -> udp::Train {
    let interval = Duration::from_millis(1);
    udp::Train { count: 200, payload, interval, drain: Duration::from_millis(300), ..udp::Train::default() }
}

/// A train, and what was counted meanwhile.
struct Sent {
    way: Way,
    family: Family,
    payload: usize,
    report: udp::Report,
    shaped: u64,
    lost: u64,
}

impl Sent {
    fn with(world: &World, way: Way, train: &udp::Train) -> Self {
        let direction = direction_of(way);
        let (shaped, lost) = world.show().shaped_and_lost(direction);
        let report = fates::send(world, way, train);
        let (shaped_then, lost_then) = world.show().shaped_and_lost(direction);
        let (shaped, lost) = (shaped_then - shaped, lost_then - lost);
        Self { way, family: world.family(), payload: train.payload, report, shaped, lost }
    }

    #[track_caller]
    fn expect_in(&self, file: &[u8], engine: Engine, directions: &[&str]) {
        let capture = Capture::read(file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(capture.application, concat!("shaper ", env!("CARGO_PKG_VERSION")));
        assert!(capture.os.starts_with("Linux "), "{}", capture.os);
        let described: Vec<(&str, &str, u32)> = capture
            .interfaces
            .iter()
            .map(|interface| (interface.name.as_str(), interface.description.as_str(), interface.snaplen))
            .collect();
        assert_eq!(
            described,
            directions.iter().map(|direction| ("eth0", *direction, HEAD as u32)).collect::<Vec<_>>()
        );
        assert!(capture.interfaces.iter().all(|interface| matches!(interface.dropped, Some((_, 0)))));

        let direction = direction_of(self.way);
        let at = directions.iter().position(|one| *one == direction).expect("it is among them");
        let of_train: Vec<&Packet> = capture
            .packets
            .iter()
            .filter(|packet| packet.interface == at && is_udp(packet, self.family))
            .collect();
        assert_eq!(of_train.len(), self.report.sent(), "a block for each packet");
        let headers = tolerance::udp_headers(self.family);
        let len = headers + self.payload;
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_nanos();
        for ((sequence, copies), packet) in self.report.copies().iter().enumerate().zip(of_train) {
            assert_eq!((packet.original_len as usize, packet.bytes.len()), (len, len.min(HEAD)));
            assert_eq!(packet.bytes[headers + 4..][..4], (sequence as u32).to_be_bytes(), "in their order");
            assert_eq!(packet.direction, if direction == "egress" { 2 } else { 1 });
            assert!(now_ns - u128::from(packet.unix_ns) < 60_000_000_000, "{}", packet.unix_ns);
            let fate = match (engine, copies) {
                (Engine::Netem, _) => "given to netem",
                (_, 0) => "lost",
                _ => "delayed 20ms",
            };
            assert_eq!(packet.comment, fate, "packet {sequence}");
        }
        // Between the counts there may be packets of others, before and behind them of all that were traced.
        let all = |comment: &str| {
            let of_direction = capture.packets.iter().filter(|packet| packet.interface == at);
            of_direction.filter(|packet| packet.comment == comment).count() as u64
        };
        let (sent, gone) = (self.report.sent() as u64, self.report.lost() as u64);
        if engine == Engine::Netem {
            assert!((sent..=all("given to netem")).contains(&self.shaped), "{}", self.shaped);
        } else {
            assert!((1..sent).contains(&gone), "{gone} of {sent} lost");
            assert!((gone..=all("lost")).contains(&self.lost), "{}", self.lost);
            assert!((sent - gone..=all("delayed 20ms")).contains(&self.shaped), "{}", self.shaped);
        }
    }
}

fn is_udp(packet: &Packet, family: Family) -> bool {
    const UDP: u8 = 17;
    // Where the header names what is behind it.
    let protocol = match family {
        Family::V4 => 23,
        Family::V6 => 20,
    };
    packet.bytes[12..14] == family.ethertype() && packet.bytes[protocol] == UDP
}

fn direction_of(way: Way) -> &'static str {
    if way == Way::In { "ingress" } else { "egress" }
}
