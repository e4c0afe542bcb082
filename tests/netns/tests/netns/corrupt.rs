//! Damage: one bit of as many packets as asked, and checksums that are finished first, so that the receiver sees it.

use shaper::measure::udp;
use shaper::measure::wire::{self, Checked};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::snmp::Snmp;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("corrupt_1%_is_refused_by_checksums", Load::Alone, |c| refused(c, "1%", 0.01)),
        Case::each_engine("corrupt_10%_is_refused_by_checksums", Load::Alone, |c| refused(c, "10%", 0.1)),
        Case::each_engine("corrupt_flips_one_bit_on_the_wire", Load::Alone, on_the_wire),
    ]
    .map(Case::each_family)
    .into()
}

fn world(context: &Context, corrupt: &str) -> World {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &["--corrupt", corrupt, "--seed", "3"]);
    world
}

/// The first byte that may be damaged: netem takes any, our core those behind the Ethernet header.
fn first_byte(engine: Engine) -> usize {
    match engine {
        Engine::Edt | Engine::Relay => ETHERNET,
        Engine::Netem => 0,
    }
}

/// The counters of IP for what it refuses. The checksum of IPv4 sees all; of IPv6 what is damaged may look like another destination,
/// protocol or length.
fn by_ip(family: Family) -> &'static [&'static str] {
    match family {
        Family::V4 => &["InHdrErrors"],
        Family::V6 => &["InHdrErrors", "InAddrErrors", "InNoRoutes", "InUnknownProtos", "InTruncatedPkts"],
    }
}

/// No damaged packet reaches a socket, but for damage that nobody looks at, and the counters of the receiver's kernel say why: the
/// checksum of UDP (or a length that is no longer the packet's), or IP.
fn refused(context: &Context, corrupt: &str, probability: f64) {
    let world = world(context, corrupt);
    let train = fates::train(context.engine());
    let family = context.family();
    let probability = probability * fates::refused_share(family, first_byte(context.engine()), train.payload);
    dice::cast(context.engine(), || {
        let before = Snmp::of(&world.peer);
        // Nothing of it is delivered: that is checked there.
        let report = fates::send(&world, Way::Out, &train);
        let after = Snmp::of(&world.peer);
        let grown = |protocol, counter| {
            after.counter(family, protocol, counter) - before.counter(family, protocol, counter)
        };
        let by_udp = grown("Udp", "InErrors");
        let by_ip: u64 = by_ip(family).iter().map(|counter| grown("Ip", counter)).sum();
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
    let frame_len = train.payload + tolerance::udp_headers(context.family());
    dice::cast(context.engine(), || {
        let tap = world.peer.run(wire::Tap::open).unwrap_or_else(|error| panic!("{error}"));
        let report = fates::send(&world, Way::Out, &train);
        let frames = tap.frames(frame_len).unwrap_or_else(|error| panic!("{error}"));
        let n = report.sent();
        assert_eq!(frames.len(), n, "each packet reaches the wire");
        let like = wire::whole(&frames).expect("packets were sent");
        let count = |wanted| frames.iter().filter(|frame| wire::check(frame, like) == wanted).count();
        let [sound, unfinished, one, more] =
            [Checked::Sound, Checked::Unfinished, Checked::OneBit, Checked::More].map(count);
        let said = format!("{one} frames with one bit changed, {sound} sound, {unfinished} left to hardware");
        println!("{}: {said}", context.engine());
        assert_eq!(more, 0, "no frame has more than one bit changed: {said}");
        let share = (frame_len - ETHERNET) as f64 / (frame_len - first_byte(context.engine())) as f64;
        dice::within(&format!("one bit of {n}"), one as u64, tolerance::count(n, PROBABILITY * share))
    });
}
