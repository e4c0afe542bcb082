//! The kernel programs through `BPF_PROG_TEST_RUN`: a frame in, a verdict, counters and a departure time out.
//!
//! Needs root, no namespace and no link. `SHAPER_BPF_OBJECT` names another build of the object than the committed one.

use std::os::fd::{AsFd as _, OwnedFd};

use shaper::bpf::sys::{self, TestRun};
use shaper::bpf::{Maps, Object};
use shaper_common::abi::{self, Counters, Link, Rule, program};
use shaper_common::jitter::{self, Distribution};
use shaper_common::random::{Purpose, draw};

/// `TC_ACT_UNSPEC`: the next filter decides.
const PASS: i32 = -1;
/// cls_bpf without direct-action: the filter's own action is run, or not.
const MATCH: i32 = -1;
const NO_MATCH: i32 = 0;
const TC_ACT_SHOT: i32 = 2;
const TC_ACT_STOLEN: i32 = 4;
const TC_ACT_REDIRECT: i32 = 7;
/// `struct __sk_buff` of uapi/linux/bpf.h: its size, and where two of its fields are.
const SK_BUFF_LEN: usize = 192;
const SK_BUFF_PRIORITY: usize = 32;
const SK_BUFF_CB: usize = 48;
/// The loopback device: it is there, so the relay's device check passes.
const LO: u32 = 1;
const NEVER_STALE: u64 = u64::MAX;

const ETH_IPV4: [u8; 2] = [0x08, 0x00];
const ETH_IPV6: [u8; 2] = [0x86, 0xdd];
const ETH_ARP: [u8; 2] = [0x08, 0x06];

/// A program with maps of its own.
struct Bench {
    program: OwnedFd,
    maps: Maps,
}

impl Bench {
    /// `None`, with the reason printed, without the right to load programs.
    fn new(name: &str, rule: Rule) -> Option<Self> {
        let object = match std::env::var_os("SHAPER_BPF_OBJECT") {
            Some(path) => Object::parse(&std::fs::read(path).unwrap()).unwrap(),
            None => Object::committed().unwrap(),
        };
        let maps = match object.create_maps() {
            Ok(maps) => maps,
            Err(error) if error.errno() == Some(libc::EPERM) => {
                println!("SKIP: {error}: no right to load BPF programs");
                return None;
            }
            Err(error) => panic!("{error:?}"),
        };
        let program = object.bind(&maps).unwrap().load(name).unwrap_or_else(|error| panic!("{error:?}"));
        maps.set_rule(&rule).unwrap();
        maps.set_link(&Link {
            abi_version: abi::ABI_VERSION,
            ifindex: LO,
            holder_ifindex: LO,
            classid: 0x5a00_0001,
            stale_after_ns: NEVER_STALE,
            ..Link::default()
        })
        .unwrap();
        Some(Self { program, maps })
    }

    fn run(&self, frame: &[u8]) -> TestRun {
        let ctx = vec![0; SK_BUFF_LEN];
        sys::prog_test_run(self.program.as_fd(), frame, &ctx, 1).unwrap()
    }

    fn counters(&self) -> Counters {
        self.maps.counters().unwrap()
    }
}

/// A minimal frame: an IP header of `next` over an ethernet header, padded to `len`.
fn frame(ethertype: [u8; 2], next: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[12..14].copy_from_slice(&ethertype);
    if ethertype == ETH_IPV4 {
        frame[14] = 0x45;
        frame[23] = next;
    } else if ethertype == ETH_IPV6 {
        frame[14] = 0x60;
        frame[20] = next;
    }
    frame
}

fn udp(len: usize) -> Vec<u8> {
    frame(ETH_IPV4, 17, len)
}

fn departure_ns(run: &TestRun) -> u64 {
    u64::from_ne_bytes(run.ctx[SK_BUFF_CB..][..8].try_into().unwrap())
}

#[test]
fn every_program_passes_the_verifier() {
    for name in
        [program::EDT, program::NETEM, program::STEER, program::STAMP, program::RETURN, program::DIVERT]
    {
        if Bench::new(name, Rule::default()).is_none() {
            return;
        }
    }
}

#[test]
fn steer_gives_each_packet_the_delay_that_the_core_gives_it() {
    for distribution in
        [Distribution::Uniform, Distribution::Normal, Distribution::Pareto, Distribution::ParetoNormal]
    {
        let rule = Rule {
            latency_ns: 50_000_000,
            jitter_ns: 10_000_000,
            seed: 7,
            distribution: distribution as u32,
            ..Rule::default()
        };
        let Some(bench) = Bench::new(program::STEER, rule) else { return };
        let mut before = 0;
        for index in 0..500 {
            assert_eq!(bench.run(&udp(64)).verdict, TC_ACT_REDIRECT);
            let sum = bench.counters().delay_ns_sum;
            let bits = draw(rule.seed, rule.id, index, Purpose::Jitter);
            let expected = jitter::delay_ns(rule.latency_ns, rule.jitter_ns, rule.distribution, bits);
            assert_eq!(sum - before, expected, "{distribution:?}, packet {index}");
            before = sum;
        }
        assert_eq!(bench.maps.state().unwrap().unwrap().packets, 500);
    }
}

#[test]
fn steer_spaces_packets_at_the_rate_and_drops_what_the_queue_cannot_hold() {
    // 1 KB at 1 kB/s: a second each, so the time between two runs does not count.
    let rule = Rule { rate_bytes_per_sec: 1_000, queue_ns: 3_500_000_000, ..Rule::default() };
    let Some(bench) = Bench::new(program::STEER, rule) else { return };
    let first = departure_ns(&bench.run(&udp(1_000)));
    let second = departure_ns(&bench.run(&udp(1_000)));
    let third = departure_ns(&bench.run(&udp(1_000)));
    assert_eq!((second - first, third - second), (1_000_000_000, 1_000_000_000));
    assert_eq!(bench.run(&udp(1_000)).verdict, TC_ACT_STOLEN);
    let counters = bench.counters();
    assert_eq!((counters.packets, counters.delayed_packets, counters.queue_drops), (4, 3, 1));
    assert_eq!((counters.bytes, counters.delayed_bytes), (4_000, 3_000));
}

#[test]
fn neighbour_discovery_and_other_protocols_pass() {
    let rule = Rule { latency_ns: 1_000, ..Rule::default() };
    let mut neighbour_solicitation = frame(ETH_IPV6, 58, 86);
    neighbour_solicitation[54] = 135;
    let mut echo = frame(ETH_IPV6, 58, 86);
    echo[54] = 128;
    for (name, shaped, passed) in [
        (program::STEER, TC_ACT_REDIRECT, PASS),
        (program::NETEM, PASS, PASS),
        (program::DIVERT, MATCH, NO_MATCH),
    ] {
        let Some(bench) = Bench::new(name, rule) else { return };
        assert_eq!(bench.run(&frame(ETH_ARP, 0, 60)).verdict, passed, "{name}: ARP");
        assert_eq!(bench.run(&neighbour_solicitation).verdict, passed, "{name}: neighbour solicitation");
        assert_eq!(bench.counters().passed_not_ip, 2, "{name}");
        assert_eq!(bench.run(&echo).verdict, shaped, "{name}: ICMPv6 echo");
        assert_eq!(bench.run(&udp(64)).verdict, shaped, "{name}: UDP");
    }
}

#[test]
fn netem_picks_the_class_of_what_is_to_be_shaped() {
    let rule = Rule { latency_ns: 1_000, ..Rule::default() };
    let Some(bench) = Bench::new(program::NETEM, rule) else { return };
    let priority = |run: TestRun| u32::from_ne_bytes(run.ctx[SK_BUFF_PRIORITY..][..4].try_into().unwrap());
    assert_eq!(priority(bench.run(&udp(64))), 0x5a00_0001);
    assert_eq!(priority(bench.run(&frame(ETH_ARP, 0, 60))), 0x5a00_0000);
}

#[test]
fn an_expired_rule_passes_everything() {
    for (name, passed) in
        [(program::STEER, PASS), (program::EDT, PASS), (program::NETEM, PASS), (program::DIVERT, NO_MATCH)]
    {
        let Some(bench) = Bench::new(name, Rule { latency_ns: 1_000, expires_ns: 1, ..Rule::default() })
        else {
            return;
        };
        assert_eq!(bench.run(&udp(64)).verdict, passed, "{name}");
        assert_eq!(bench.counters().passed_expired, 1, "{name}");
    }
}

#[test]
fn nothing_is_steered_when_nobody_reads_the_tap() {
    let Some(bench) = Bench::new(program::STEER, Rule { latency_ns: 1_000, ..Rule::default() }) else {
        return;
    };
    let link = bench.maps.link().unwrap();
    bench.maps.set_link(&Link { holder_ifindex: 0x7fff_fff0, ..link }).unwrap();
    assert_eq!(bench.run(&udp(64)).verdict, PASS, "the TAP is gone");
    // The heartbeat was never written: it is as old as the machine.
    bench.maps.set_link(&Link { stale_after_ns: 1, ..link }).unwrap();
    assert_eq!(bench.run(&udp(64)).verdict, PASS, "the heartbeat is stale");
    assert_eq!(bench.counters().passed_unheld, 2);
    bench.maps.set_link(&link).unwrap();
    assert_eq!(bench.run(&udp(64)).verdict, TC_ACT_REDIRECT);
}

#[test]
fn nothing_is_diverted_to_an_ifb_that_is_gone() {
    let Some(bench) = Bench::new(program::DIVERT, Rule { latency_ns: 1_000, ..Rule::default() }) else {
        return;
    };
    assert_eq!(bench.run(&udp(64)).verdict, MATCH);
    let link = bench.maps.link().unwrap();
    bench.maps.set_link(&Link { holder_ifindex: 0x7fff_fff0, ..link }).unwrap();
    assert_eq!(bench.run(&udp(64)).verdict, NO_MATCH);
    assert_eq!(bench.counters().passed_unheld, 1);
}

#[test]
fn stamp_lets_nothing_onto_the_tap_that_was_not_steered() {
    let Some(bench) = Bench::new(program::STAMP, Rule::default()) else { return };
    assert_eq!(bench.run(&udp(64)).verdict, TC_ACT_SHOT);
}

#[test]
fn every_frame_length_and_header_gets_a_verdict() {
    for name in [program::STEER, program::NETEM, program::DIVERT] {
        let Some(bench) = Bench::new(name, Rule { latency_ns: 1_000, ..Rule::default() }) else { return };
        // The kernel refuses test frames shorter than an ethernet header.
        for len in 14..128 {
            for ethertype in [ETH_IPV4, ETH_IPV6, ETH_ARP, [0x88, 0xcc]] {
                let mut bytes = vec![0xff; len];
                bytes[12..14].copy_from_slice(&ethertype);
                let Ok(run) = sys::prog_test_run(bench.program.as_fd(), &bytes, &[], 1) else { continue };
                assert!(
                    matches!(run.verdict, PASS | NO_MATCH | TC_ACT_REDIRECT),
                    "{name}, {len}: {}",
                    run.verdict
                );
            }
        }
    }
}
