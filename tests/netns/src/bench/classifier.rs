//! Time of the kernel programs by themselves, through `BPF_PROG_TEST_RUN`.

use std::os::fd::AsFd as _;

use shaper::bpf::object::Room;
use shaper::bpf::{Object, sys};
use shaper::plan::set::Set;
use shaper::target::netns::Netns;
use shaper_common::abi::{self, Link, Rule, program};
use shaper_common::jitter::Distribution;
use shaper_netns_tests::classify::{self, Classifier};
use shaper_netns_tests::family::Family;

use crate::record::{Metric, Recorder, attempt};

const GROUP: &str = "classifier";

/// The loopback device. In a namespace where it was never set up it takes a packet and drops it, which is the least that the
/// clone of `edt` can cost.
const LO: u32 = 1;

/// One run takes about this long; of several, the best is what the program needs when nobody disturbs it.
const RUN_NS: u32 = 30_000_000;
const RUNS: usize = 3;
const PILOT: u32 = 1_000;

/// A rate at which no frame ever waits: 100 Gbit/s.
const RATE: u64 = 12_500_000_000;

/// Names, entry points, and times that a packet meets the program: `edt` sees its own clone again.
const PROGRAMS: [(&str, &str, f64); 4] = [
    ("steer", program::STEER, 1.0),
    ("edt", program::EDT, 2.0),
    ("netem", program::NETEM, 1.0),
    ("divert", program::DIVERT, 1.0),
];

/// Measures every program with every kind of rule.
pub(crate) fn measure(is_wanted: impl Fn(&str) -> bool, recorder: &mut Recorder) {
    for (subject, name, passes) in PROGRAMS {
        if !is_wanted(&format!("{GROUP}/{subject}")) {
            continue;
        }
        let decides = matches!(subject, "steer" | "edt");
        for (metric, rule) in rules() {
            // The others look at no more of a rule than its time limit.
            if !decides && rule.jitter_ns + rule.rate_bytes_per_sec > 0 {
                continue;
            }
            let nanos = attempt(|| time(name, &rule, &udp_frame()).map(|nanos| [nanos * passes]));
            recorder.write(GROUP, subject, [Metric::less(metric, "ns")], &nanos);
        }
        for hosts in classify::HOSTS {
            let [same, others] =
                ["over and over", "each once"].map(|how| format!("{hosts} hosts with rules, {how}"));
            let metrics = [Metric::less(&same, "ns"), Metric::less(&others, "ns")];
            let nanos = attempt(|| of_hosts(name, hosts));
            recorder.write(GROUP, subject, metrics, &nanos.map(|nanos| nanos.map(|nanos| nanos * passes)));
        }
        let nanos = attempt(|| time(name, &Rule::default(), &arp_frame()).map(|nanos| [nanos]));
        recorder.write(GROUP, subject, [Metric::less("ARP, which passes", "ns")], &nanos);
    }
}

/// Best of a few runs: the mean time of a packet to the same host, and the median of one to each of many.
fn of_hosts(name: &str, hosts: usize) -> Result<[f64; 2], String> {
    let classifier = Classifier::new(name, Family::V4, hosts)?;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        best[0] = best[0].min(classifier.same_ns()?);
        best[1] = best[1].min(classifier.others_ns()?);
    }
    Ok(best)
}

fn rules() -> [(&'static str, Rule); 6] {
    let latency = Rule { latency_ns: 50_000_000, seed: 7, ..Rule::default() };
    let jitter = |distribution| Rule { jitter_ns: 10_000_000, distribution: distribution as u32, ..latency };
    let rate = Rule { rate_bytes_per_sec: RATE, queue_ns: 1_000_000_000, ..latency };
    [
        ("latency", latency),
        ("jitter uniform", jitter(Distribution::Uniform)),
        ("jitter normal", jitter(Distribution::Normal)),
        ("jitter pareto", jitter(Distribution::Pareto)),
        ("rate", rate),
        (
            "jitter normal and rate",
            Rule { jitter_ns: 10_000_000, distribution: Distribution::Normal as u32, ..rate },
        ),
    ]
}

/// Mean nanoseconds of one run of the program on `frame`.
fn time(name: &str, rule: &Rule, frame: &[u8]) -> Result<f64, String> {
    let netns = Netns::create().map_err(|error| error.to_string())?;
    netns.run(|| time_here(name, rule, frame)).map_err(|error| error.to_string())?
}

fn time_here(name: &str, rule: &Rule, frame: &[u8]) -> Result<f64, String> {
    let link = Link {
        abi_version: abi::ABI_VERSION,
        ifindex: LO,
        holder_ifindex: LO,
        htb: 0x5a00_0000,
        rules: 1,
        // The heartbeat that nobody writes is fresh.
        stale_after_ns: u64::MAX,
        ..Link::default()
    };
    let load = || {
        let object = Object::committed()?;
        let maps = object.create_maps(&Room::default())?;
        maps.fill(&Set::for_all_peers(*rule))?;
        maps.set_link(&link)?;
        let program = object.bind(&maps)?.load(name)?;
        Ok((maps, program))
    };
    let (_maps, program) = load().map_err(|error: shaper::bpf::object::Error| error.to_string())?;
    let run = |repeat| {
        let run = sys::prog_test_run(program.as_fd(), frame, &[], repeat);
        run.map(|run| run.duration_ns).map_err(|error| error.to_string())
    };
    let repeat = (RUN_NS / run(PILOT)?.max(1)).clamp(PILOT, 1_000_000);
    let mut best = u32::MAX;
    for _ in 0..RUNS {
        best = best.min(run(repeat)?);
    }
    Ok(f64::from(best))
}

/// IPv4 with a UDP header, of the least size.
fn udp_frame() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[23] = 17;
    frame
}

fn arp_frame() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x06]);
    frame
}
