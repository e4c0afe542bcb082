//! The kernel programs through `BPF_PROG_TEST_RUN`: a frame in, a verdict, counters and a departure time out.
//!
//! Needs root, no namespace and no link. `SHAPER_BPF_OBJECT` names another build of the object than the committed one.

#[path = "programs/answer.rs"]
mod answer;
#[path = "programs/rules.rs"]
mod rules;
#[path = "programs/trace.rs"]
mod trace;

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::AtomicU64;

use shaper::bpf::object::Room;
use shaper::bpf::sys::{self, TestRun};
use shaper::bpf::{Maps, Object};
use shaper::plan::set::Set;
use shaper::shape::Table;
use shaper_common::abi::{self, Counters, Link, Rule, program, rule_flag};
use shaper_common::decide::{Copied, Departure, Fate, Frame, State, decide};
use shaper_common::jitter::{self, Distribution};
use shaper_common::loss::Model;
use shaper_common::memory;
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

/// The object and its maps; `None`, with the reason printed, without the right to load programs.
fn object() -> Option<(Object, Maps)> {
    object_with(&Room::default())
}

fn object_with(room: &Room) -> Option<(Object, Maps)> {
    let object = match std::env::var_os("SHAPER_BPF_OBJECT") {
        Some(path) => Object::parse(&std::fs::read(path).unwrap()).unwrap(),
        None => Object::committed().unwrap(),
    };
    match object.create_maps(room) {
        Ok(maps) => Some((object, maps)),
        Err(error) if error.errno() == Some(libc::EPERM) => {
            println!("SKIP: {error}: no right to load BPF programs");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// A program with maps of its own.
struct Bench {
    program: OwnedFd,
    maps: Maps,
}

impl Bench {
    /// `None` as [`object`] is.
    fn new(name: &str, rule: Rule) -> Option<Self> {
        let (object, maps) = object()?;
        let program = object.bind(&maps).unwrap().load(name).unwrap_or_else(|error| panic!("{error:?}"));
        maps.fill(&Set::for_all_peers(rule)).unwrap();
        maps.set_link(&Link {
            abi_version: abi::ABI_VERSION,
            ifindex: LO,
            holder_ifindex: LO,
            htb: 0x5a00_0000,
            rules: 1,
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
        self.maps.counters(0).unwrap().plus(&self.maps.counters(1).unwrap())
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
    for name in [
        program::EDT,
        program::FINISH,
        program::NETEM,
        program::STEER,
        program::STAMP,
        program::RETURN,
        program::DIVERT,
        program::ANSWER,
    ] {
        if Bench::new(name, Rule::default()).is_none() {
            return;
        }
    }
}

#[test]
fn steer_gives_each_packet_the_delay_that_the_core_gives_it() {
    let kinds = [
        Distribution::Uniform,
        Distribution::Normal,
        Distribution::Pareto,
        Distribution::ParetoNormal,
        Distribution::Table,
    ];
    let table = bimodal();
    for distribution in kinds {
        let rule = Rule {
            table: table.number(),
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
            let expected =
                jitter::delay_ns(rule.latency_ns, rule.jitter_ns, rule.distribution, bits, |index| {
                    table.values()[index]
                });
            assert_eq!(sum - before, expected, "{distribution:?}, packet {index}");
            before = sum;
        }
        assert_eq!(memory::index(bench.maps.state(1).unwrap().unwrap().sequence), 500);
    }
}

/// Two delays, 70 to 30, and steps that show which index was drawn.
fn bimodal() -> &'static Table {
    Table::of(&std::array::from_fn(|nth| if nth < 2_867 { -5_000 } else { 12_000 } + nth as i16 % 64))
}

/// The tables of this process.
struct Known;

impl jitter::Tables for Known {
    fn value(&self, table: u32, index: usize) -> i16 {
        Table::numbered(table).map_or(0, |table| table.values()[index])
    }
}

/// Every impairment, alone and with the others, as the core decides them.
fn impairments() -> Vec<(&'static str, Rule)> {
    const HALF: u32 = 1 << 31;
    const THIRD: u32 = u32::MAX / 3;
    let base = Rule { latency_ns: 50_000_000, seed: 11, id: 1, ..Rule::default() };
    let loss = |model: Model, loss: [u32; 5]| Rule { loss_model: model as u32, loss, ..base };
    let jitter = Rule { jitter_ns: 10_000_000, distribution: Distribution::Normal as u32, ..base };
    let pattern = Rule { loss_pattern: 0b0100, loss_pattern_len: 4, ..loss(Model::Pattern, [0; 5]) };
    let all = Rule {
        loss_model: Model::FourState as u32,
        loss: [THIRD, HALF, THIRD, HALF, THIRD],
        duplicate: HALF,
        duplicate_correlation: THIRD,
        corrupt: HALF,
        corrupt_correlation: HALF,
        reorder: THIRD,
        reorder_correlation: HALF,
        reorder_gap: 3,
        jitter_correlation: HALF,
        ..jitter
    };
    vec![
        ("random loss", loss(Model::Random, [THIRD, 0, 0, 0, 0])),
        ("correlated loss", Rule { loss_correlation: HALF, ..loss(Model::Random, [THIRD, 0, 0, 0, 0]) }),
        ("Gilbert-Elliott", loss(Model::GilbertElliott, [THIRD, HALF, u32::MAX, 1 << 20, 0])),
        ("four states", loss(Model::FourState, [THIRD, HALF, THIRD, HALF, THIRD])),
        ("pattern", pattern),
        ("certain loss", loss(Model::Random, [u32::MAX, 0, 0, 0, 0])),
        ("duplicate", Rule { duplicate: THIRD, ..jitter }),
        ("corrupt", Rule { corrupt: THIRD, ..base }),
        ("reorder", Rule { reorder: THIRD, reorder_gap: 2, ..base }),
        ("correlated jitter", Rule { jitter_correlation: HALF, ..jitter }),
        ("table", Rule { distribution: Distribution::Table as u32, table: bimodal().number(), ..all }),
        ("all", all),
    ]
}

/// What the core says of the packets 0.. of a train, counted as the program counts.
fn counted(rule: &Rule, frames: u64, wire_bytes: u32) -> Counters {
    let [free_at_ns, sequence, last_at_ns] = [const { AtomicU64::new(0) }; 3];
    let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
    let mut counters = Counters::default();
    let corrupted = |departure: Departure| u64::from(departure.corrupt != 0);
    // Without a rate, no time but the distance from now matters.
    let now_ns = 1_000;
    for _ in 0..frames {
        counters.packets += 1;
        counters.bytes += u64::from(wire_bytes);
        match decide(rule, &state, &Known, Frame { wire_bytes, wire_packets: 1 }, now_ns) {
            Fate::Lost => counters.lost += 1,
            Fate::QueueFull => counters.queue_drops += 1,
            Fate::Depart { packet, copy, reordered, marked, crossing } => {
                counters.delayed_packets += 1;
                counters.delayed_frames += 1;
                counters.delayed_bytes += u64::from(wire_bytes);
                counters.delay_ns_sum += packet.at_ns - now_ns;
                counters.reordered_frames += reordered;
                counters.queue_ns_sum += crossing.sent_ns - now_ns;
                counters.link_bytes += crossing.bytes;
                counters.link_busy_ns += crossing.busy_ns;
                counters.link_idle_ns += crossing.idle_ns;
                counters.corrupted += corrupted(packet);
                counters.reordered += reordered;
                counters.marked += marked;
                if let Copied::Depart(copy) = copy {
                    counters.duplicated += 1;
                    counters.corrupted += corrupted(copy);
                }
            }
        }
    }
    counters
}

#[test]
fn every_packet_meets_the_fate_that_the_core_gives_it() {
    for (name, rule) in impairments() {
        let Some(bench) = Bench::new(program::STEER, rule) else { return };
        let frame = udp(64);
        for index in 1..=200 {
            bench.run(&frame);
            assert_eq!(bench.counters(), counted(&rule, index, 64), "{name}, {index} packets");
        }
    }
}

#[test]
fn both_engines_give_the_same_fates() {
    for (name, rule) in impairments() {
        let (Some(steer), Some(edt)) = (Bench::new(program::STEER, rule), Bench::new(program::EDT, rule))
        else {
            return;
        };
        let frame = udp(64);
        for _ in 0..200 {
            steer.run(&frame);
            edt.run(&frame);
        }
        assert_eq!(steer.counters(), edt.counters(), "{name}");
    }
}

#[test]
fn the_order_is_kept_where_asked() {
    let rule = Rule {
        latency_ns: 10_000_000_000,
        jitter_ns: 9_000_000_000,
        flags: rule_flag::KEEP_ORDER,
        ..Rule::default()
    };
    let Some(bench) = Bench::new(program::STEER, rule) else { return };
    let departures: Vec<u64> = (0..200).map(|_| departure_ns(&bench.run(&udp(64)))).collect();
    assert!(departures.is_sorted());
    assert!(departures[199] > departures[0]);
}

#[test]
fn what_waits_long_is_marked_when_its_sender_knows_ecn() {
    // 1 KB at 1 kB/s: each waits a second longer than the one before.
    let rule = Rule {
        rate_bytes_per_sec: 1_000,
        queue_ns: 60_000_000_000,
        ecn_ns: 1_500_000_000,
        ..Rule::default()
    };
    let Some(bench) = Bench::new(program::STEER, rule) else { return };
    let mut capable = udp(1_000);
    // The low bits of the traffic class: ECT(0).
    capable[15] = 2;
    for marked in [0, 1, 2] {
        let out = bench.run(&capable).data;
        assert_eq!(bench.counters().marked, marked);
        assert_eq!(out[15] & 3, if marked == 0 { 2 } else { 3 });
    }
    bench.run(&udp(1_000));
    assert_eq!(bench.counters().marked, 2, "a sender that does not know of ECN");
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
    for (name, shaped, passed) in [(program::STEER, TC_ACT_REDIRECT, PASS), (program::NETEM, PASS, PASS)] {
        let Some(bench) = Bench::new(name, rule) else { return };
        assert_eq!(bench.run(&frame(ETH_ARP, 0, 60)).verdict, passed, "{name}: ARP");
        assert_eq!(bench.run(&neighbour_solicitation).verdict, passed, "{name}: neighbour solicitation");
        assert_eq!(bench.counters().passed_not_ip, 2, "{name}");
        assert_eq!(bench.run(&echo).verdict, shaped, "{name}: ICMPv6 echo");
        assert_eq!(bench.run(&udp(64)).verdict, shaped, "{name}: UDP");
    }
}

#[test]
fn a_table_is_read_back_from_every_program_that_decides() {
    // One more than the process knows by then, so that its number is not its place.
    let _first_number = Table::of(&[1; jitter::TABLE_LEN]);
    let table = bimodal();
    for name in [program::STEER, program::EDT, program::NETEM] {
        let rule = Rule {
            jitter_ns: 1_000,
            distribution: Distribution::Table as u32,
            table: table.number(),
            ..Rule::default()
        };
        let Some(bench) = Bench::new(name, rule) else { return };
        assert_ne!(table.number(), 0);
        let id = sys::prog_id(bench.program.as_fd()).unwrap();
        let rules = Maps::of_program(id).unwrap().rules().unwrap();
        assert_eq!(rules[0].1.rule, rule, "{name}");
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
    for (name, passed) in [(program::STEER, PASS), (program::EDT, PASS), (program::NETEM, PASS)] {
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
fn everything_is_diverted_but_to_an_ifb_that_is_gone() {
    let Some(bench) = Bench::new(program::DIVERT, Rule { latency_ns: 1_000, ..Rule::default() }) else {
        return;
    };
    assert_eq!(bench.run(&udp(64)).verdict, MATCH);
    assert_eq!(bench.run(&frame(ETH_ARP, 0, 60)).verdict, MATCH);
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
    let (_, all) = *impairments().last().unwrap();
    for (name, rule) in [
        (program::STEER, Rule { latency_ns: 1_000, ..Rule::default() }),
        (program::STEER, all),
        (program::NETEM, all),
        (program::DIVERT, all),
    ] {
        let Some(bench) = Bench::new(name, rule) else { return };
        // The kernel refuses test frames shorter than an ethernet header.
        for len in 14..128 {
            for ethertype in [ETH_IPV4, ETH_IPV6, ETH_ARP, [0x88, 0xcc]] {
                let mut bytes = vec![0xff; len];
                bytes[12..14].copy_from_slice(&ethertype);
                let Ok(run) = sys::prog_test_run(bench.program.as_fd(), &bytes, &[], 1) else { continue };
                assert!(
                    matches!(run.verdict, PASS | NO_MATCH | TC_ACT_REDIRECT | TC_ACT_STOLEN),
                    "{name}, {len}: {}",
                    run.verdict
                );
            }
        }
    }
}
