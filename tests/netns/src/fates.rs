//! Trains that are counted: every packet that does not arrive is the link's doing, and the instrument's none.

use std::net::IpAddr;
use std::time::Duration;

use shaper::measure::udp;

use crate::engine::Engine;
use crate::node::Node;
use crate::world::World;
use crate::{kernel, progress};

/// The way of a train over link 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From `inst` over IPv4: what `--direction egress` shapes.
    Out,
    /// From `inst` over IPv6.
    OutIpv6,
    /// To `inst` over IPv4: what `--direction ingress` shapes.
    In,
}

impl Way {
    /// The sending node, the receiving one, and its address.
    pub fn ends(self, world: &World) -> (&Node, &Node, IpAddr) {
        match self {
            Self::Out => (&world.inst, &world.peer, world.peer.ipv4(0)),
            Self::OutIpv6 => (&world.inst, &world.peer, world.peer.ipv6(0)),
            Self::In => (&world.peer, &world.inst, world.inst.ipv4(0)),
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
