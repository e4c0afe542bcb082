//! Trains that are counted: every packet that does not arrive is the link's doing, and the instrument's none.

use std::net::IpAddr;
use std::time::Duration;

use shaper::measure::udp;

use crate::engine::Engine;
use crate::family::Family;
use crate::node::Node;
use crate::world::World;
use crate::{kernel, progress, tolerance};

/// The way of a train over link 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From `inst`: what `--direction egress` shapes.
    Out,
    /// To `inst`: what `--direction ingress` shapes.
    In,
}

impl Way {
    /// The sending node, the receiving one, and its address.
    pub fn ends(self, world: &World) -> (&Node, &Node, IpAddr) {
        match self {
            Self::Out => (&world.inst, &world.peer, world.destination()),
            Self::In => (&world.peer, &world.inst, world.origin()),
        }
    }
}

/// As many packets as tell a rare event from chance, as fast as the receiver takes them.
///
/// The processor of User-mode Linux needs 0.1 ms to send and receive a packet, and as much again for a relay to hold it.
pub fn train(engine: Engine) -> udp::Train {
    let count = match (kernel::is_user_mode(), engine) {
        (false, _) => 100_000,
        (true, Engine::Edt | Engine::Netem) => 12_000,
        (true, Engine::Relay) => 8000,
    };
    udp::Train { count, interval: Duration::ZERO, window: Some(256), drain: DRAIN, ..Default::default() }
}

/// For packets that nothing delays: what a busy machine takes to let a relay and the receiver run.
pub const DRAIN: Duration = Duration::from_millis(200);

/// Packets at their time, for delays that are not those of the queue in front of the receiver.
pub fn timed(engine: Engine) -> udp::Train {
    let (count, interval) = match (kernel::is_user_mode(), engine) {
        (false, _) => (100_000, Duration::from_micros(20)),
        (true, Engine::Edt | Engine::Netem) => (3000, Duration::from_micros(500)),
        (true, Engine::Relay) => (2000, Duration::from_millis(1)),
    };
    udp::Train { count, interval, drain: DRAIN, ..Default::default() }
}

/// Sends `train` and checks that neither end lost any of it.
///
/// # Panics
/// When the sender's kernel refused a packet, or the receiving socket was full, or a packet was delivered damaged.
#[track_caller]
pub fn send(world: &World, way: Way, train: &udp::Train) -> udp::Report {
    let (from, to, address) = way.ends(world);
    let receiver = to.udp_receiver(address);
    let sender = from.udp_sender(&receiver);
    progress::note(format!("counting a train of {} packets", train.count));
    let report = udp::run(&sender, &receiver, train).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.refused, 0, "the sender must not be told of anything");
    assert_eq!(report.receiver_drops, 0, "the instrument must keep up");
    assert_eq!(report.damaged, 0, "checksums keep damage away from sockets");
    report
}

/// Whether the receiver's kernel keeps a packet from its socket when this bit of its frame is not as it was sent.
///
/// Nobody looks at the Ethernet source, and the bit that makes a destination multicast is no obstacle to IP. Of IPv4 all is under one
/// checksum or both. IPv6 has none of its own: traffic class, flow label and hop limit may be any (RFC 8200, section 3), the version
/// and what says what follows are looked at, and the addresses are in the checksum of UDP (section 8.1).
pub fn is_refused(family: Family, byte: usize, mask: u8) -> bool {
    const MULTICAST: u8 = 1;
    const VERSION: u8 = 0xf0;
    match (family, byte) {
        (_, 0) => mask != MULTICAST,
        (_, 6..12) => false,
        (Family::V6, 14) => mask & VERSION != 0,
        (Family::V6, 15..18 | 21) => false,
        _ => true,
    }
}

/// The share of the bits of a UDP frame from `first` on, counted in bytes, for which [`is_refused`] holds.
pub fn refused_share(family: Family, first: usize, payload: usize) -> f64 {
    let frame = first..payload + tolerance::udp_headers(family);
    let bits = frame.flat_map(|byte| (0..8).map(move |bit| is_refused(family, byte, 1 << bit)));
    let (refused, all) = bits.fold((0, 0), |(refused, all), is| (refused + u32::from(is), all + 1));
    f64::from(refused) / f64::from(all)
}
