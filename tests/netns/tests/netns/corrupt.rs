//! Damage: one bit of as many packets as asked, and checksums that are finished first, so that the receiver sees it.

use shaper::measure::udp;
use shaper::measure::wire::{self, Checked};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::snmp::Snmp;
use shaper_netns_tests::tolerance::UDP_HEADERS;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("corrupt_1%_is_refused_by_checksums", Load::Alone, |c| refused(c, "1%", 0.01)),
        Case::each_engine("corrupt_10%_is_refused_by_checksums", Load::Alone, |c| refused(c, "10%", 0.1)),
        Case::each_engine("corrupt_flips_one_bit_on_the_wire", Load::Alone, on_the_wire),
    ]
}

fn world(context: &Context, corrupt: &str) -> World {
    let world = World::new();
    world.baseline_ns();
    world.apply(context.engine(), &["--corrupt", corrupt, "--seed", "3"]);
    world
}

/// The share of a frame's bits whose damage keeps the packet from arriving: with our core all of them, which are those behind the
/// Ethernet header; netem takes any, and the sender's address (and the receiver's multicast bit) is nobody's concern.
fn refused_share(engine: Engine, payload: usize) -> f64 {
    const UNNOTICED_BITS: f64 = 48.0 + 1.0;
    match engine {
        Engine::Edt | Engine::Relay => 1.0,
        Engine::Netem => 1.0 - UNNOTICED_BITS / (8.0 * (payload + UDP_HEADERS) as f64),
    }
}

/// No damaged packet reaches a socket, and the counters of the receiver's kernel say why: the checksum of UDP (or a length that
/// is no longer the packet's), or that of IP.
fn refused(context: &Context, corrupt: &str, probability: f64) {
    let world = world(context, corrupt);
    let train = fates::train(context.engine());
    let probability = probability * refused_share(context.engine(), train.payload);
    dice::cast(context.engine(), || {
        let before = Snmp::of(&world.peer);
        // Nothing of it is delivered: that is checked there.
        let report = fates::send(&world, Way::Out, &train);
        let after = Snmp::of(&world.peer);
        let grown = |protocol, counter| after.ipv4(protocol, counter) - before.ipv4(protocol, counter);
        let (by_udp, by_ip) = (grown("Udp", "InErrors"), grown("Ip", "InHdrErrors"));
        let (sum, n) = (grown("Udp", "InCsumErrors"), report.sent());
        let lost = report.missing().len() as u64;
        println!("{}: {lost} did not arrive: {by_udp} by UDP ({sum} sums), {by_ip} by IP", context.engine());
        assert_eq!(report.duplicates(), 0, "no packet comes twice");
        if context.engine() == Engine::Netem {
            assert!(by_udp + by_ip <= lost, "others were damaged in the Ethernet header");
        } else {
            assert_eq!(by_udp + by_ip, lost, "the receiver has seen each");
        }
        dice::within(&format!("refused of {n}"), lost, tolerance::count(n, probability))
    });
}

fn on_the_wire(context: &Context) {
    const PROBABILITY: f64 = 0.1;
    let world = world(context, "10%");
    // The packet socket has no more room than this.
    let all = fates::train(context.engine());
    let train = udp::Train { count: all.count.min(40_000), ..all };
    let frame_len = train.payload + UDP_HEADERS;
    dice::cast(context.engine(), || {
        let tap = world.peer.run(wire::Tap::open).unwrap_or_else(|error| panic!("{error}"));
        let report = fates::send(&world, Way::Out, &train);
        let frames = tap.frames(frame_len).unwrap_or_else(|error| panic!("{error}"));
        let n = report.sent();
        assert_eq!(frames.len(), n, "each packet reaches the wire");
        // By their addresses most are whole, so the middle one in order is.
        let mut headers: Vec<&Vec<u8>> = frames.iter().collect();
        headers.sort_unstable_by_key(|frame| frame[26..34].to_vec());
        let like = headers[n / 2].clone();
        let count = |wanted| frames.iter().filter(|frame| wire::check(frame, &like) == wanted).count();
        let [sound, unfinished, one, more] =
            [Checked::Sound, Checked::Unfinished, Checked::OneBit, Checked::More].map(count);
        let said = format!("{one} frames with one bit changed, {sound} sound, {unfinished} left to hardware");
        println!("{}: {said}", context.engine());
        assert_eq!(more, 0, "no frame has more than one bit changed: {said}");
        let behind = (frame_len - 14) as f64 / frame_len as f64;
        let share = if context.engine() == Engine::Netem { behind } else { 1.0 };
        dice::within(&format!("one bit of {n}"), one as u64, tolerance::count(n, PROBABILITY * share))
    });
}
