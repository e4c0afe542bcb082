//! Which rule a packet meets: frames with addresses, ports and protocols through the programs, and a list of rules that is read from
//! end to end to say what they should have found.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, OwnedFd};

use shaper::bpf::object::Room;
use shaper::bpf::{Maps, sys};
use shaper::plan::set::{Circumstances, Set, Wish};
use shaper::rules::{Filter, Prefix, Protocol, Rule, RuleParts, RuleSet, To};
use shaper_common::abi::{self, Counters, Direction, Link, link_flag, program};
use shaper_common::random::{Purpose, draw};

use super::{
    ETH_ARP, ETH_IPV4, ETH_IPV6, LO, NEVER_STALE, NO_MATCH, PASS, SK_BUFF_LEN, SK_BUFF_PRIORITY,
    TC_ACT_REDIRECT, TC_ACT_STOLEN, object_with,
};

const HTB: u32 = 0x5a00_0000;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;
const SCTP: u8 = 132;
const PORTED: [u8; 3] = [TCP, UDP, SCTP];
const DECIDERS: [&str; 3] = [program::STEER, program::EDT, program::NETEM];

/// Numbers that are the same in every run.
struct Numbers {
    seed: u64,
    index: u64,
}

impl Numbers {
    fn new(seed: u64) -> Self {
        Self { seed, index: 0 }
    }

    /// The next one, below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.index += 1;
        draw(self.seed, 0, self.index, Purpose::Jitter) as usize % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A program with the maps of a set.
struct Bench {
    program: OwnedFd,
    maps: Maps,
    slots: u32,
}

impl Bench {
    /// `None` as [`object_with`] is.
    fn new(name: &str, direction: Direction, flags: u32, set: &Set) -> Option<Self> {
        let (object, maps) = object_with(&Room::for_set(set))?;
        maps.fill(set).unwrap();
        maps.set_link(&Link {
            abi_version: abi::ABI_VERSION,
            ifindex: LO,
            holder_ifindex: LO,
            htb: HTB,
            rules: 1,
            stale_after_ns: NEVER_STALE,
            direction: direction as u32,
            flags,
            ..Link::default()
        })
        .unwrap();
        let program = object.bind(&maps).unwrap().load(name).unwrap_or_else(|error| panic!("{error:?}"));
        Some(Self { program, maps, slots: set.slots() })
    }

    /// The verdict, and `skb->priority`; `None` for a frame that the kernel takes for none.
    fn run(&self, frame: &[u8]) -> Option<(i32, u32)> {
        let run = sys::prog_test_run(self.program.as_fd(), frame, &[0; SK_BUFF_LEN], 1).ok()?;
        let priority = run.ctx[SK_BUFF_PRIORITY..][..4].try_into().unwrap();
        Some((run.verdict, u32::from_ne_bytes(priority)))
    }

    fn counters(&self) -> Vec<Counters> {
        (0..self.slots).map(|slot| self.maps.counters(slot).unwrap()).collect()
    }
}

/// Rules without a time limit are in force, those with one are over: at boot it was one millisecond away.
fn set_of(rules: &[Rule]) -> Set {
    let wish = Wish::Whole(RuleSet::new(rules.iter().copied()).unwrap());
    let circumstances = Circumstances { direction: Direction::Egress, now_ns: 0, seed: 5 };
    Set::of(&wish, &[], &circumstances).unwrap()
}

fn rule(to: Option<&str>, shape: &[(&str, &str)]) -> Rule {
    let mut json: serde_json::Map<_, _> =
        shape.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    json.extend(to.map(|to| ("to".into(), to.into())));
    Rule::new(serde_json::from_value::<RuleParts>(json.into()).unwrap()).unwrap()
}

/// What of a packet the rules look at, on its way from `source` to `destination`.
#[derive(Clone, Copy, Debug)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    /// 32-bit words of IPv4 options.
    options: u8,
    /// An IPv4 fragment behind the first has no ports.
    is_later_fragment: bool,
}

impl Packet {
    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0; 14];
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame[12..].copy_from_slice(&ETH_IPV4);
                let fragment = if self.is_later_fragment { 185 } else { 0 };
                frame.extend([0x45 + self.options, 0, 0, 60, 0, 0, 0, fragment, 64, self.protocol, 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                frame.extend([1, 1, 1, 1].repeat(self.options.into()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame[12..].copy_from_slice(&ETH_IPV6);
                frame.extend([0x60, 0, 0, 0, 0, 20, self.protocol, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            (source, destination) => panic!("{source} to {destination}"),
        }
        frame.extend(self.source_port.to_be_bytes());
        frame.extend(self.destination_port.to_be_bytes());
        frame.extend([0; 16]);
        frame
    }

    fn matches(&self, to: &To, direction: Direction) -> bool {
        let (address, port) = match direction {
            Direction::Egress => (self.destination, self.destination_port),
            Direction::Ingress => (self.source, self.source_port),
        };
        let has_ports = PORTED.contains(&self.protocol) && !self.is_later_fragment;
        to.prefix().contains(address)
            && to.protocol().is_none_or(|protocol| protocol.number() == self.protocol)
            && to.port().is_none_or(|asked| has_ports && asked.get() == port)
    }
}

/// The rule that the packet should meet, read from end to end: of those for it the one with the longest prefix, of these port and
/// protocol, the port, the protocol, neither; and of all the first without a time limit, or if all have one the first.
fn met<'a>(rules: &'a [Rule], packet: &Packet, direction: Direction) -> Option<&'a Rule> {
    let rank = |rule: &&Rule| {
        let of = |to: To| (1 + u32::from(to.prefix().length()), to.port().is_some(), to.protocol().is_some());
        Reverse(rule.to().map_or((0, false, false), of))
    };
    let is_for = |rule: &&Rule| rule.to().is_none_or(|to| packet.matches(&to, direction));
    let mut candidates: Vec<_> = rules.iter().filter(is_for).collect();
    candidates.sort_by_key(rank);
    candidates.iter().find(|rule| rule.time_limit().is_none()).or(candidates.first()).copied()
}

/// Few addresses, ports and protocols, so that rules and packets meet.
fn address(numbers: &mut Numbers, is_ipv4: bool) -> IpAddr {
    let mut byte = || numbers.one_of(&[0_u8, 1, 2, 127, 128, 255]);
    if is_ipv4 {
        Ipv4Addr::new(10, byte(), byte(), byte()).into()
    } else {
        let mut bytes = [0; 16];
        bytes[0] = 0xfd;
        [3, 7, 8, 15].iter().for_each(|place| bytes[*place] = byte());
        Ipv6Addr::from(bytes).into()
    }
}

fn port(numbers: &mut Numbers) -> u16 {
    numbers.one_of(&[53, 80, 443, 65_535])
}

fn any_rule(numbers: &mut Numbers) -> Rule {
    let is_ipv4 = numbers.below(2) == 0;
    let address = address(numbers, is_ipv4);
    let length = if is_ipv4 {
        numbers.one_of(&[0, 8, 9, 16, 23, 24, 31, 32])
    } else {
        numbers.one_of(&[0, 8, 32, 63, 64, 65, 127, 128])
    };
    let bits = |address: u128, of: u32| address & u128::MAX.checked_shl(of - u32::from(length)).unwrap_or(0);
    let network = match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(bits(address.to_bits().into(), 32) as u32).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(bits(address.to_bits(), 128)).into(),
    };
    let (port, protocol) = match numbers.below(6) {
        0 => (Some(port(numbers)), Some(numbers.one_of(&PORTED))),
        1 => (Some(port(numbers)), None),
        2 => (None, Some(numbers.one_of(&[ICMP, TCP, UDP, GRE]))),
        _ => (None, None),
    };
    let port = port.and_then(NonZeroU16::new);
    let to =
        To::new(Prefix::new(network, length).unwrap(), port, protocol.map(Protocol::from_number)).unwrap();
    let has_filter = numbers.below(8) == 0;
    let latency = (!has_filter).then(|| format!("{}us", 1 + numbers.below(900)).parse().unwrap());
    let limit = (numbers.below(12) == 0).then(|| "1ms".parse().unwrap());
    let mut parts = RuleParts { to: Some(to), time_limit: limit, ..RuleParts::default() };
    parts.filter = has_filter.then_some(Filter::Drop);
    parts.shape.latency = latency;
    Rule::new(parts).unwrap()
}

fn any_packet(numbers: &mut Numbers) -> Packet {
    let is_ipv4 = numbers.below(2) == 0;
    Packet {
        source: address(numbers, is_ipv4),
        destination: address(numbers, is_ipv4),
        protocol: numbers.one_of(&[ICMP, TCP, UDP, GRE, SCTP]),
        source_port: port(numbers),
        destination_port: port(numbers),
        options: if is_ipv4 { numbers.one_of(&[0, 0, 1, 10]) } else { 0 },
        is_later_fragment: is_ipv4 && numbers.below(6) == 0,
    }
}

/// Rules of different peers; now and then one for all.
fn any_rules(numbers: &mut Numbers, count: usize) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    while rules.len() < count {
        let one = any_rule(numbers);
        if rules.iter().all(|rule| rule.to() != one.to()) {
            rules.push(one);
        }
    }
    if numbers.below(2) == 0 {
        rules.push(rule(None, &[("latency", "1us")]));
    }
    rules
}

/// What a packet that meets `rule` does to the counters of its slot, the delay aside, and its verdict.
fn effect(name: &str, rule: Option<&Rule>, len: usize) -> (Counters, i32) {
    let bytes = len as u64;
    let seen = Counters { packets: 1, bytes, ..Counters::default() };
    let shaped = Counters { delayed_packets: 1, delayed_bytes: bytes, delayed_frames: 1, ..seen };
    match rule {
        None => (Counters { passed_unmatched: 1, ..seen }, PASS),
        Some(rule) if rule.time_limit().is_some() => (Counters { passed_expired: 1, ..seen }, PASS),
        Some(rule) if rule.filter() == Filter::Drop => (Counters { filtered: 1, ..seen }, TC_ACT_STOLEN),
        Some(_) if name == program::NETEM => (shaped, PASS),
        Some(_) if name == program::EDT => (shaped, TC_ACT_STOLEN),
        Some(_) => (shaped, TC_ACT_REDIRECT),
    }
}

#[test]
fn each_packet_meets_the_rule_of_the_longest_prefix_then_port_then_protocol() {
    const SETS: u64 = 6;
    const PACKETS: usize = 250;
    let mut unmatched = 0;
    for seed in 0..SETS {
        let mut numbers = Numbers::new(seed);
        let rules = any_rules(&mut numbers, 4 + 12 * seed as usize);
        let set = set_of(&rules);
        let slot_of = |wanted: &Rule| {
            let position = set
                .rules
                .iter()
                .position(|slotted| shaper::plan::rule::to_of(&slotted.entry.asked) == wanted.to());
            set.rules[position.expect("every rule has a slot")].slot
        };
        for (name, direction) in
            DECIDERS.into_iter().flat_map(|name| [(name, Direction::Egress), (name, Direction::Ingress)])
        {
            let Some(bench) = Bench::new(name, direction, 0, &set) else { return };
            let mut before = bench.counters();
            for _ in 0..PACKETS {
                let packet = any_packet(&mut numbers);
                let frame = packet.frame();
                let rule = met(&rules, &packet, direction);
                unmatched += usize::from(rule.is_none());
                let slot = rule.map_or(0, slot_of);
                let (effect, verdict) = effect(name, rule, frame.len());
                let found = bench.run(&frame).expect("a whole frame");
                let what = || format!("{name} {direction:?}, set {seed}: {packet:?} should meet {rule:?}");
                assert_eq!(found.0, verdict, "{}", what());
                if name == program::NETEM {
                    let class = if effect.delayed_packets == 1 { slot } else { 0 };
                    assert_eq!(found.1, HTB | class, "{}", what());
                }
                let after = bench.counters();
                for (slot_seen, (after, before)) in after.iter().zip(&before).enumerate() {
                    let (delay_ns_sum, link_bytes) = (after.delay_ns_sum, after.link_bytes);
                    let expected = if slot_seen == slot as usize { before.plus(&effect) } else { *before };
                    let expected = Counters { delay_ns_sum, link_bytes, ..expected };
                    assert_eq!(*after, expected, "slot {slot_seen}; {}", what());
                }
                before = after;
            }
        }
    }
    assert!(unmatched > 0, "some packets meet no rule");
}

#[test]
fn a_link_that_is_down_takes_every_frame() {
    let set = set_of(&[rule(Some("10.0.0.1"), &[("latency", "1ms")])]);
    for name in DECIDERS {
        let Some(bench) = Bench::new(name, Direction::Egress, link_flag::DOWN, &set) else { return };
        for ethertype in [ETH_IPV4, ETH_IPV6, ETH_ARP, [0x88, 0xcc]] {
            let (verdict, _) = bench.run(&super::frame(ethertype, UDP, 64)).expect("a whole frame");
            assert_eq!(verdict, TC_ACT_STOLEN, "{name} {ethertype:02x?}");
        }
        assert_eq!(bench.maps.counters(0).unwrap().filtered, 4, "{name}");
    }
}

#[test]
fn neighbours_meet_the_rule_for_all_where_asked() {
    let set = set_of(&[rule(None, &[("latency", "1ms")])]);
    for (flags, verdict) in [(0, PASS), (link_flag::SHAPE_NEIGHBOURS, TC_ACT_REDIRECT)] {
        let Some(bench) = Bench::new(program::STEER, Direction::Egress, flags, &set) else { return };
        let mut solicitation = super::frame(ETH_IPV6, 58, 86);
        solicitation[54] = 135;
        for frame in [super::frame(ETH_ARP, 0, 60), solicitation] {
            assert_eq!(bench.run(&frame).expect("a whole frame").0, verdict, "flags {flags}");
        }
        assert_eq!(bench.run(&super::frame([0x88, 0xcc], 0, 60)).expect("a whole frame").0, PASS);
    }
}

#[test]
fn what_nobody_can_hold_passes_or_is_dropped_as_asked() {
    let set = set_of(&[rule(Some("::/0"), &[("latency", "1ms")])]);
    let frame = super::frame(ETH_IPV6, UDP, 80);
    for (flags, verdict) in [(0, PASS), (link_flag::FAIL_CLOSED, TC_ACT_STOLEN)] {
        let Some(bench) = Bench::new(program::STEER, Direction::Egress, flags, &set) else { return };
        let link = bench.maps.link().unwrap();
        // The heartbeat that nobody writes is as old as the machine.
        bench.maps.set_link(&Link { stale_after_ns: 1, ..link }).unwrap();
        assert_eq!(bench.run(&frame).expect("a whole frame").0, verdict);
        let counters = bench.maps.counters(set.rules[0].slot).unwrap();
        assert_eq!(
            (counters.passed_unheld, counters.dropped_unheld),
            if flags == 0 { (1, 0) } else { (0, 1) }
        );
    }
}

/// Frames of every length whose headers say anything: one verdict each, counted once, under one rule or none.
#[test]
fn every_mutated_frame_gets_a_verdict_and_is_counted_once() {
    const MUTATIONS: usize = 24;
    let mut numbers = Numbers::new(99);
    let rules = any_rules(&mut numbers, 60);
    let set = set_of(&rules);
    for (name, direction, flags) in [
        (program::STEER, Direction::Egress, 0),
        (program::STEER, Direction::Ingress, link_flag::SHAPE_NEIGHBOURS | link_flag::FAIL_CLOSED),
        (program::EDT, Direction::Egress, 0),
        (program::NETEM, Direction::Ingress, link_flag::SHAPE_NEIGHBOURS),
    ] {
        let Some(bench) = Bench::new(name, direction, flags, &set) else { return };
        let (mut ran, mut all) = (0, 0);
        for len in 14..=128 {
            for _ in 0..MUTATIONS {
                let frame = mutated(&mut numbers, len);
                all += 1;
                let Some((verdict, _)) = bench.run(&frame) else { continue };
                ran += 1;
                let is_verdict = matches!(verdict, PASS | NO_MATCH | TC_ACT_REDIRECT | TC_ACT_STOLEN);
                assert!(is_verdict, "{name}: {verdict} for {frame:02x?}");
            }
        }
        let counted: u64 = bench.counters().iter().map(|counters| counters.packets).sum();
        assert_eq!(counted, ran, "{name}: each frame is counted once");
        // It takes no IP packet that is shorter than its header.
        assert!(ran * 4 >= all * 3, "{name}: the kernel took only {ran} of {all}");
        let met = bench.counters().iter().skip(1).filter(|counters| counters.packets > 0).count();
        assert!(met > 10, "{name}: only {met} rules were met");
    }
}

/// A frame of `len` bytes, of which a few are anything; sometimes of no kind at all.
fn mutated(numbers: &mut Numbers, len: usize) -> Vec<u8> {
    let mut frame = any_packet(numbers).frame();
    frame.resize(len, 0);
    for _ in 0..numbers.below(6) {
        let place = 12 + numbers.below(len.min(60) - 12);
        frame[place] =
            numbers.one_of(&[0, 0xff, frame[place] ^ 0x80, frame[place].wrapping_add(1), ICMP, 58]);
    }
    frame
}
