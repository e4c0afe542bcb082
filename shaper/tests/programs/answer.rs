//! `shaper_answer`: a rejected frame in, the answer out, its checksums computed here once more.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya_obj::generated::{bpf_insn, bpf_map_type};
use shaper::bpf::Maps;
use shaper::bpf::sys::{self, MapDef, TestRun};
use shaper_common::abi::{self, Direction, Link, program};
use shaper_common::random::{Purpose, draw};

use super::{LO, PASS, SK_BUFF_LEN, TC_ACT_REDIRECT, TC_ACT_STOLEN, object};

/// `packet::ANSWER` of the programs, `packet::SHAPED`, and a value of somebody else's.
const TOKEN: i32 = 0x5a5c;
const SHAPED: i32 = 0x5a5a;
const NO_TOKEN: i32 = 0x5a5d;
/// `struct __sk_buff` of uapi/linux/bpf.h: where three of its fields are.
const SK_BUFF_TC_INDEX: i16 = 44;
const SK_BUFF_GSO_SEGS: usize = 164;
const SK_BUFF_GSO_SIZE: usize = 176;
/// Any other link; nothing looks whether it is there.
const ETH0: u32 = 7;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

const MAC_OF_SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC_OF_RECEIVER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The program, behind one that marks the packet: a test run takes no `tc_index`.
struct Bench {
    marking: OwnedFd,
    _answer: OwnedFd,
    _place: OwnedFd,
    maps: Maps,
}

impl Bench {
    /// `None` as [`object`] is.
    fn new(token: i32) -> Option<Self> {
        let (object, maps) = object()?;
        let programs = object.bind(&maps).unwrap();
        let answer = programs.load(program::ANSWER).unwrap_or_else(|error| panic!("{error:?}"));
        let map_type = bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY as u32;
        let def = MapDef { map_type, key_size: 4, value_size: 4, max_entries: 1, flags: 0 };
        let place = sys::map_create("answer", &def).unwrap();
        sys::map_update(place.as_fd(), &[0; 4], &answer.as_raw_fd().to_ne_bytes()).unwrap();
        let marking = sys::prog_load("marking", c"GPL", &marking(token, place.as_raw_fd())).unwrap();
        let bench = Self { marking, _answer: answer, _place: place, maps };
        bench.on(ETH0, Direction::Egress);
        Some(bench)
    }

    /// From here on, the filter is on this link.
    fn on(&self, ifindex: u32, direction: Direction) {
        let link =
            Link { abi_version: abi::ABI_VERSION, ifindex, direction: direction as u32, ..Link::default() };
        self.maps.set_link(&link).unwrap();
    }

    fn run(&self, frame: &[u8]) -> TestRun {
        sys::prog_test_run(self.marking.as_fd(), frame, &[], 1).unwrap()
    }

    fn answer(&self, frame: &[u8]) -> Vec<u8> {
        let run = self.run(frame);
        assert_eq!(run.verdict, TC_ACT_REDIRECT);
        assert_eq!(run.data[..6], MAC_OF_SENDER);
        assert_eq!(run.data[6..12], MAC_OF_RECEIVER);
        assert_eq!(run.data[12..14], frame[12..14]);
        run.data
    }
}

/// `skb->tc_index = token`, then the first program of `place`; 0 when there is none.
fn marking(token: i32, place: i32) -> Vec<bpf_insn> {
    let insn = |code, dst, src, off, imm| {
        let mut insn = bpf_insn { code, _bitfield_align_1: [], _bitfield_1: Default::default(), off, imm };
        insn.set_dst_reg(dst);
        insn.set_src_reg(src);
        insn
    };
    const MAP_FD: u8 = 1;
    const TAIL_CALL: i32 = 12;
    vec![
        insn(0xb7, 2, 0, 0, token),            // r2 = token
        insn(0x63, 1, 2, SK_BUFF_TC_INDEX, 0), // *(u32 *)(r1 + tc_index) = r2
        insn(0x18, 2, MAP_FD, 0, place),       // r2 = place
        insn(0, 0, 0, 0, 0),                   //
        insn(0xb7, 3, 0, 0, 0),                // r3 = 0
        insn(0x85, 0, 0, 0, TAIL_CALL),        // tail_call(r1, r2, r3)
        insn(0xb7, 0, 0, 0, 0),                // r0 = 0
        insn(0x95, 0, 0, 0, 0),                // exit
    ]
}

fn ethernet(ethertype: u16) -> Vec<u8> {
    let mut frame = [MAC_OF_RECEIVER, MAC_OF_SENDER].concat();
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// A packet from 10.0.0.1 to 10.0.0.2, with so many words of options.
fn v4(protocol: u8, options: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    let header = 20 + 4 * options;
    let [high, low] = (u16::from(header) + payload.len() as u16).to_be_bytes();
    frame.extend([0x45 + options, 0, high, low, 0x12, 0x34, 0, 0, 61, protocol, 0xab, 0xcd]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(vec![1; usize::from(4 * options)]);
    frame.extend(payload);
    frame
}

/// A packet from fd00::1 to fd00::2.
fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    let [high, low] = (payload.len() as u16).to_be_bytes();
    frame.extend([0x60, 1, 2, 3, high, low, next, 61]);
    for host in [1, 2] {
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    frame.extend(payload);
    frame
}

/// A segment from port 1000 to port 2000, sequence number 100, acknowledging 200, with one word of options.
fn tcp(flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x03, 0xe8, 0x07, 0xd0, 0, 0, 0, 100, 0, 0, 0, 200, 0x60, flags, 1, 1, 9, 9, 0, 0];
    segment.extend([1; 4]);
    segment.extend(data);
    segment
}

/// The one's complement sum, with a carry added at once; 0xffff where a checksum in it is right.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u16;
    for (index, byte) in parts.concat().iter().enumerate() {
        let word = if index % 2 == 0 { u16::from(*byte) << 8 } else { u16::from(*byte) };
        let (wrapped, carry) = sum.overflowing_add(word);
        sum = wrapped + u16::from(carry);
    }
    sum
}

/// What follows the IPv4 header, after a look at that.
fn payload_v4(answer: &[u8], protocol: u8) -> &[u8] {
    let (ip, payload) = answer[ETHERNET..].split_at(20);
    assert_eq!((ip[0], ip[9]), (0x45, protocol));
    assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), answer.len() - ETHERNET);
    assert_eq!(ip[12..20], [10, 0, 0, 2, 10, 0, 0, 1], "from whom it went to");
    assert_eq!(ip[6..8], [0x40, 0], "no fragment");
    assert_eq!(ip[8], 64);
    assert_eq!(sum(&[ip]), 0xffff);
    if protocol == ICMP {
        assert_eq!(sum(&[payload]), 0xffff);
    } else {
        assert_eq!(sum(&[&ip[12..], &[0, protocol, 0, payload.len() as u8], payload]), 0xffff);
    }
    payload
}

fn payload_v6(answer: &[u8], next: u8) -> &[u8] {
    let (ip, payload) = answer[ETHERNET..].split_at(40);
    assert_eq!((ip[0], ip[6], ip[7]), (0x60, next, 64));
    assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), payload.len());
    assert_eq!((ip[8], ip[23], ip[24], ip[39]), (0xfd, 2, 0xfd, 1), "from whom it went to");
    assert_eq!(sum(&[&ip[8..], &[0, next, 0, payload.len() as u8], payload]), 0xffff);
    payload
}

/// Sequence number, acknowledgement, flags.
fn reset(tcp: &[u8]) -> (u32, u32, u8) {
    assert_eq!(tcp.len(), 20);
    assert_eq!(tcp[..4], [0x07, 0xd0, 0x03, 0xe8]);
    assert_eq!(tcp[12], 0x50);
    assert_eq!((&tcp[14..16], &tcp[18..]), (&[0, 0][..], &[0, 0][..]), "window, urgent pointer");
    let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
    (word(4), word(8), tcp[13])
}

#[test]
fn tcp_is_answered_with_the_reset_that_its_sender_accepts() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    for (flags, data, expected) in [
        (SYN, 0, (0, 101, RST | ACK)),
        (SYN, 7, (0, 108, RST | ACK)),
        (FIN, 3, (0, 104, RST | ACK)),
        (0, 1, (0, 101, RST | ACK)),
        (SYN | ACK, 0, (200, 0, RST)),
        (ACK, 0, (200, 0, RST)),
        (ACK, 1_000, (200, 0, RST)),
        // As long as one is that is to be segmented.
        (ACK, 3_000, (200, 0, RST)),
        (FIN | ACK, 0, (200, 0, RST)),
    ] {
        let segment = tcp(flags, &vec![0xaa; data]);
        for options in [0, 1, 10] {
            let mut frame = v4(TCP, options, &segment);
            // What the link may have padded it with is none of it.
            frame.extend([0xff; 6]);
            let answer = bench.answer(&frame);
            assert_eq!(reset(payload_v4(&answer, TCP)), expected, "{flags:#x}, {data} bytes, IPv4");
        }
        let answer = bench.answer(&v6(TCP, &segment));
        assert_eq!(reset(payload_v6(&answer, TCP)), expected, "{flags:#x}, {data} bytes, IPv6");
    }
}

#[test]
fn a_frame_that_was_to_be_segmented_is_none_afterwards() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let mut ctx = vec![0; SK_BUFF_LEN];
    let mut set = |at: usize, value: u32| ctx[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    set(SK_BUFF_GSO_SEGS, 3);
    set(SK_BUFF_GSO_SIZE, 1_000);
    for frame in [v4(TCP, 0, &tcp(ACK, &[0xaa; 3_000])), v4(UDP, 0, &[0xaa; 3_000])] {
        let run = sys::prog_test_run(bench.marking.as_fd(), &frame, &ctx, 1).unwrap();
        assert_eq!((run.verdict, run.data.len() < 100), (TC_ACT_REDIRECT, true));
        // The kernel forgets both together, and tells of this one.
        assert_eq!(run.ctx[SK_BUFF_GSO_SEGS..][..4], [0; 4]);
    }
}

#[test]
fn the_first_fragment_is_answered() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let mut frame = v4(UDP, 0, &[0xaa; 400]);
    frame[ETHERNET + 6] = 0x20;
    payload_v4(&bench.answer(&frame), ICMP);
    frame[ETHERNET + 7] = 50;
    assert_eq!(bench.run(&frame).verdict, TC_ACT_STOLEN);
}

#[test]
fn the_rest_is_answered_with_an_error_that_quotes_it() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let bytes: Vec<u8> = (1..=255).cycle().take(1_400).collect();
    let echo = |kind| [&[kind, 0, 0, 0][..], &bytes].concat();
    for len in [0, 1, 3, 8, 9, 79, 80, 81, 88, 89, 500, 1_400] {
        for options in [0, 1, 10] {
            let mut frame = v4(UDP, options, &bytes[..len]);
            let header = 20 + 4 * usize::from(options);
            let quoted = frame[ETHERNET..][..header + len.min(8)].to_vec();
            frame.extend([0xff; 20]);
            let answer = bench.answer(&frame);
            let error = payload_v4(&answer, ICMP);
            assert_eq!((error[0], error[1], &error[4..8]), (3, 13, &[0; 4][..]));
            assert_eq!(error[8..], quoted, "{len} bytes, {options} words of options");
        }
        let mut frame = v6(UDP, &bytes[..len]);
        let quoted = frame[ETHERNET..][..40 + len.min(88)].to_vec();
        if len > 0 {
            // The kernel takes a length of zero for one that is told elsewhere.
            frame.extend([0xff; 20]);
        }
        let answer = bench.answer(&frame);
        let error = payload_v6(&answer, ICMPV6);
        assert_eq!((error[0], error[1], &error[4..8]), (1, 1, &[0; 4][..]));
        assert_eq!(error[8..], quoted, "{len} bytes");
    }
    payload_v4(&bench.answer(&v4(ICMP, 0, &echo(8))), ICMP);
    payload_v6(&bench.answer(&v6(ICMPV6, &echo(128))), ICMPV6);
    // A fragment of IPv6, and TCP behind destination options.
    payload_v6(&bench.answer(&v6(44, &bytes)), ICMPV6);
    payload_v6(&bench.answer(&v6(60, &bytes)), ICMPV6);
}

#[test]
fn what_must_not_be_answered_is_dropped() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let edited = |frame: &[u8], at: usize, byte: u8| {
        let mut frame = frame.to_vec();
        frame[at] = byte;
        frame
    };
    let (udp4, udp6) = (v4(UDP, 0, &[0; 64]), v6(UDP, &[0; 64]));
    let (syn4, syn6) = (v4(TCP, 0, &tcp(SYN, &[])), v6(TCP, &tcp(SYN, &[])));
    let (ip, tcp4, tcp6) = (ETHERNET, ETHERNET + 20, ETHERNET + 40);
    let mut dropped = vec![
        ("a TCP reset", edited(&syn4, tcp4 + 13, RST)),
        ("a TCP reset that acknowledges", edited(&syn4, tcp4 + 13, RST | ACK)),
        ("a TCP header that is too short", edited(&syn4, tcp4 + 12, 0x40)),
        ("a TCP header that is too long", edited(&syn4, tcp4 + 12, 0xf0)),
        ("half a TCP header", v4(TCP, 0, &tcp(SYN, &[])[..12])),
        ("a TCP reset, IPv6", edited(&syn6, tcp6 + 13, RST)),
        ("half a TCP header, IPv6", v6(TCP, &tcp(SYN, &[])[..12])),
        ("a frame to a group", edited(&udp4, 0, 1)),
        ("a frame to a group, IPv6", edited(&udp6, 0, 0x33)),
        ("a frame to a group, TCP", edited(&syn4, 0, 1)),
        ("to a group", edited(&udp4, ip + 16, 224)),
        ("to everybody", edited(&udp4, ip + 16, 255)),
        ("from nobody", edited(&udp4, ip + 12, 0)),
        ("a later fragment", edited(&syn4, ip + 7, 4)),
        ("longer than it is", edited(&udp4, ip + 2, 1)),
        ("shorter than its header", edited(&udp4, ip + 3, 19)),
        ("to a group, IPv6", edited(&udp6, ip + 24, 0xff)),
        ("longer than it is, IPv6", edited(&udp6, ip + 4, 1)),
        ("no IP", ethernet(0x0806)),
    ];
    for kind in [3, 4, 5, 11, 12] {
        dropped.push(("an ICMP error", v4(ICMP, 0, &[kind; 36])));
        dropped.push(("an ICMP error behind options", v4(ICMP, 3, &[kind; 36])));
    }
    for kind in [1, 2, 3, 4, 127, 137] {
        dropped.push(("an ICMPv6 error", v6(ICMPV6, &[kind; 60])));
    }
    for (reason, frame) in dropped {
        let run = sys::prog_test_run(bench.marking.as_fd(), &[frame, vec![0; 20]].concat(), &[], 1).unwrap();
        assert_eq!(run.verdict, TC_ACT_STOLEN, "{reason}");
    }
}

#[test]
fn the_way_back_is_over_the_link_but_on_the_loopback() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let frame = v4(UDP, 0, &[0; 64]);
    for direction in [Direction::Egress, Direction::Ingress] {
        bench.on(ETH0, direction);
        assert_eq!(bench.run(&frame).verdict, TC_ACT_REDIRECT);
        bench.on(LO, direction);
        let run = bench.run(&frame);
        assert_eq!(run.verdict, PASS, "both ends are where the packet goes");
        payload_v4(&run.data, ICMP);
    }
}

#[test]
fn what_is_not_marked_is_none_of_its_business() {
    for token in [0, SHAPED, NO_TOKEN] {
        let Some(bench) = Bench::new(token) else { return };
        for frame in [v4(UDP, 0, &[0; 64]), v6(TCP, &tcp(SYN, &[]))] {
            let run = bench.run(&frame);
            assert_eq!((run.verdict, run.data), (PASS, frame));
        }
    }
}

#[test]
fn whatever_the_bytes_there_is_a_verdict() {
    let Some(bench) = Bench::new(TOKEN) else { return };
    let byte = |index: u64| (draw(5, 0, index, Purpose::Loss) >> 56) as u8;
    let mut answered = [0; 2];
    for len in 14..=128usize {
        for round in 0..40u64 {
            let mut frame: Vec<u8> =
                (0..len as u64).map(|at| byte((len as u64) << 20 | round << 10 | at)).collect();
            let version = round as usize % 2;
            let (ethertype, first) = [([0x08, 0], 0x40), ([0x86, 0xdd], 0x60)][version];
            frame[12..14].copy_from_slice(&ethertype);
            // Half of them as likely as can be to be answered.
            if round % 4 < 2 && len > ETHERNET + 20 {
                frame[0] = 0;
                frame[ETHERNET] = first | frame[ETHERNET] & 0x0f;
                let total = if version == 0 { len - ETHERNET } else { len.saturating_sub(ETHERNET + 40) };
                let at = if version == 0 { 2 } else { 4 };
                frame[ETHERNET + at..][..2].copy_from_slice(&(total as u16).to_be_bytes());
                if version == 0 {
                    frame[ETHERNET + 6..][..2].fill(0);
                    frame[ETHERNET + 9] = [TCP, UDP, ICMP][round as usize / 4 % 3];
                } else {
                    frame[ETHERNET + 6] = [TCP, UDP, ICMPV6][round as usize / 4 % 3];
                }
            }
            // The kernel refuses test frames shorter than the header they say they have.
            let Ok(run) = sys::prog_test_run(bench.marking.as_fd(), &frame, &[], 1) else {
                assert!(len < ETHERNET + 40, "{len}");
                continue;
            };
            match run.verdict {
                TC_ACT_REDIRECT => answered[version] += 1,
                TC_ACT_STOLEN => {}
                verdict => panic!("{len} bytes: {verdict}"),
            }
        }
    }
    assert!(answered.iter().all(|count| *count > 100), "{answered:?}");
}
