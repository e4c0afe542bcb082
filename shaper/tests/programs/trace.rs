//! The events that a tracer is told, which are those that happened.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use shaper::bpf::SharedWords;
use shaper::bpf::ring::{Ring, Taken};
use shaper_common::trace::{Event, HEAD, RING_BYTES, fate};

use super::*;

/// The events of a bench, and the words of its lease.
struct Tracer {
    ring: Ring,
    lease: SharedWords,
}

impl Tracer {
    /// Wants events for ever.
    fn new(bench: &Bench) -> Self {
        let map = |name| bench.maps.fd(name).unwrap();
        let lease = SharedWords::map(map(abi::map::LEASE), NonZeroUsize::new(3).unwrap()).unwrap();
        lease.words()[0].store(u64::MAX, Ordering::SeqCst);
        Self { ring: Ring::map(map(abi::map::TRACE), RING_BYTES as usize).unwrap(), lease }
    }

    fn missed(&self) -> u64 {
        self.lease.words()[2].load(Ordering::SeqCst)
    }

    fn events(&self) -> Vec<Event> {
        std::iter::from_fn(|| match self.ring.take() {
            Taken::Record(event) => Some(event),
            Taken::Nothing => None,
            Taken::ByAnother => panic!("nobody else reads this"),
        })
        .collect()
    }
}

/// A frame in which no two bytes in a row are the same.
fn numbered(ethertype: [u8; 2], len: usize) -> Vec<u8> {
    let mut bytes = frame(ethertype, 17, len);
    for (number, byte) in bytes.iter_mut().enumerate().skip(24) {
        *byte = number as u8;
    }
    bytes
}

#[test]
fn a_tracer_is_told_of_each_fate() {
    const SECOND: u64 = 1_000_000_000;
    let always = u32::MAX;
    let latency = Rule { latency_ns: SECOND, ..Rule::default() };
    let slow =
        Rule { rate_bytes_per_sec: 1_000, queue_ns: 3 * SECOND / 2, ecn_ns: SECOND / 2, ..Rule::default() };
    let lost = Rule { loss_model: Model::Random as u32, loss: [always, 0, 0, 0, 0], ..latency };
    let delayed = |delay_ns, fates| Event { delay_ns, fates: fates | fate::DELAYED, ..Event::EMPTY };
    let only = |fates| Event { fates, ..Event::EMPTY };
    let all = fate::DUPLICATED | fate::CORRUPTED | fate::COPY_CORRUPTED | fate::REORDERED;
    let copied = Event { copy_delay_ns: SECOND, ..delayed(0, all) };
    let everything = Rule { duplicate: always, corrupt: always, reorder: always, ..latency };
    let expired = Rule { expires_ns: 1, ..latency };
    for (name, rule, expected) in [
        (program::STEER, latency, vec![delayed(SECOND, 0), delayed(SECOND, 0)]),
        (program::EDT, latency, vec![delayed(SECOND, 0), delayed(SECOND, 0)]),
        (program::STEER, lost, vec![only(fate::LOST)]),
        (program::EDT, lost, vec![only(fate::LOST)]),
        (program::STEER, everything, vec![copied]),
        // The second finds the queue full.
        (program::STEER, slow, vec![delayed(SECOND, 0), only(fate::QUEUE_FULL)]),
        (
            program::STEER,
            Rule { duplicate: always, ..slow },
            vec![delayed(SECOND, fate::COPY_QUEUE_FULL), only(fate::QUEUE_FULL)],
        ),
        (program::STEER, expired, vec![only(fate::PASSED_EXPIRED)]),
        (program::NETEM, expired, vec![only(fate::PASSED_EXPIRED)]),
        (program::NETEM, latency, vec![only(fate::GIVEN_TO_NETEM)]),
        // Those that are diverted are told of on the ifb.
        (program::DIVERT, latency, vec![]),
    ] {
        for ethertype in [ETH_IPV4, ETH_IPV6] {
            let Some(bench) = Bench::new(name, rule) else { return };
            let tracer = Tracer::new(&bench);
            let frame = numbered(ethertype, 1_000);
            let told = Event {
                wire_bytes: 1_000,
                wire_packets: 1,
                head_len: HEAD as u32,
                head: *frame.first_chunk().unwrap(),
                ..Event::EMPTY
            };
            for (packet, expected) in expected.iter().enumerate() {
                bench.run(&frame);
                let [event] = tracer.events()[..] else { panic!("{name}: one event for each packet") };
                assert!(event.arrival_ns > 0);
                let Event { fates, mut delay_ns, copy_delay_ns, .. } = *expected;
                if rule.rate_bytes_per_sec > 0 && delay_ns > 0 {
                    assert!((delay_ns..2 * delay_ns).contains(&event.delay_ns), "{event:?}");
                    delay_ns = event.delay_ns;
                }
                let (arrival_ns, slot) = (event.arrival_ns, 1);
                let expected = Event { arrival_ns, slot, fates, delay_ns, copy_delay_ns, ..told };
                assert_eq!(event, expected, "{name}, packet {packet}");
            }
            if expected.is_empty() {
                bench.run(&frame);
                assert_eq!(tracer.events(), []);
            }
            assert_eq!(tracer.missed(), 0);
        }
    }
}

#[test]
fn a_tracer_is_told_of_marks_and_of_what_is_not_shaped() {
    let ecn = Rule { rate_bytes_per_sec: 1_000, queue_ns: u64::MAX >> 1, ecn_ns: 1, ..Rule::default() };
    let Some(bench) = Bench::new(program::STEER, ecn) else { return };
    let tracer = Tracer::new(&bench);
    let mut capable = udp(100);
    capable[15] = 2;
    for frame in [&capable, &udp(100), &frame(ETH_ARP, 0, 60)] {
        bench.run(frame);
    }
    let events = tracer.events();
    let seen: Vec<_> = events.iter().map(|event| (event.fates, event.head[12..14].to_vec())).collect();
    assert_eq!(
        seen,
        [
            (fate::DELAYED | fate::MARKED, ETH_IPV4.to_vec()),
            (fate::DELAYED, ETH_IPV4.to_vec()),
            (fate::PASSED_NOT_IP, ETH_ARP.to_vec()),
        ]
    );
    // As it left: the mark is in it.
    assert_eq!([events[0].head[15], events[1].head[15]], [3, 0]);
    let link = bench.maps.link().unwrap();
    bench.maps.set_link(&Link { holder_ifindex: 0x7fff_fff0, ..link }).unwrap();
    bench.run(&capable);
    assert_eq!(tracer.events()[0].fates, fate::PASSED_UNHELD);
}

#[test]
fn a_tracer_is_told_as_many_bytes_as_there_are() {
    let rule = Rule { latency_ns: 1_000, expires_ns: 1, ..Rule::default() };
    for name in [program::STEER, program::EDT, program::NETEM] {
        let Some(bench) = Bench::new(name, rule) else { return };
        let tracer = Tracer::new(&bench);
        // Older kernels refuse test frames shorter than an IP header.
        for len in (34..=HEAD + 2).chain([1_514]) {
            let frame = numbered(ETH_IPV4, len);
            bench.run(&frame);
            let [event] = tracer.events()[..] else { panic!("{name}: one event for each packet") };
            assert_eq!(event.head(), &frame[..len.min(HEAD)], "{name}");
            assert_eq!((event.wire_bytes, event.slot, event.reserved), (len as u32, 1, 0));
        }
    }
}

#[test]
fn nobody_is_told_unasked_and_what_finds_no_room_is_counted() {
    let Some(bench) = Bench::new(program::STEER, Rule { latency_ns: 1_000, ..Rule::default() }) else {
        return;
    };
    let tracer = Tracer::new(&bench);
    for until_ns in [0, 1] {
        tracer.lease.words()[0].store(until_ns, Ordering::SeqCst);
        bench.run(&udp(64));
        assert_eq!((tracer.events(), tracer.missed()), (vec![], 0));
    }
    tracer.lease.words()[0].store(u64::MAX, Ordering::SeqCst);
    // Twice around, so that records cross the end; each takes its header's 8 bytes more.
    let room = u64::from(RING_BYTES) / (size_of::<Event>() as u64 + 8);
    for round in 1..3 {
        for _ in 0..room + 100 {
            bench.run(&udp(64));
        }
        let told = tracer.events().len() as u64;
        assert!((room - 1..=room).contains(&told), "{told} of {room}");
        assert_eq!((round * (room + 100) - tracer.missed()) / round, told);
    }
}
