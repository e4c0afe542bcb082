//! Several peers behind one link: more addresses of the node at the other end, in both families.

use std::net::{IpAddr, SocketAddr};

use shaper::measure::udp;
use shaper::netlink::address;

use crate::family::Family;
use crate::node::Node;
use crate::world::{GONE_WITHIN, World};
use crate::{progress, snapshot, tolerance, undisturbed, wait};

/// The host numbers that `inst` and `peer` have in both networks of link 0.
pub const INST: u8 = 1;
/// See [`INST`].
pub const PEER: u8 = 2;

/// Gives `peer` the near addresses of `hosts`, and both nodes one in the other network.
///
/// # Panics
/// When an address is there already.
pub fn join(world: &World, hosts: &[u8]) {
    for family in Family::ALL {
        let add = |node: &Node, address| add(node, address, family.prefix_len());
        hosts.iter().for_each(|host| add(&world.peer, family.near(*host)));
        add(&world.inst, family.far(INST));
        add(&world.peer, family.far(PEER));
    }
}

/// Gives link 0 of `node` an address, and waits until packets to it are delivered.
///
/// # Panics
/// When the address is there already.
#[track_caller]
pub fn add(node: &Node, address: IpAddr, prefix_len: u8) {
    node.request(address::add(&node.device("eth0"), address, prefix_len));
    wait::until("the address has its route", GONE_WITHIN, || {
        snapshot::is_delivered(node, address).then_some(())
    });
}

/// Sends packets to the addresses, so that their neighbours are known.
///
/// # Panics
/// When one does not answer.
#[track_caller]
pub fn warm_up(world: &World, addresses: &[IpAddr]) {
    for address in addresses {
        world.baseline_to(*address);
    }
}

/// `ADDRESS:REST`, as `--to` takes it.
pub fn at(address: IpAddr, rest: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{rest}"),
        IpAddr::V6(address) => format!("[{address}]:{rest}"),
    }
}

/// A way for packet trains, with the ports that it will always have.
#[derive(Debug)]
pub struct Path {
    sender: udp::Sender,
    receiver: udp::Receiver,
}

impl Path {
    /// From `inst` to an address of `peer`.
    #[track_caller]
    pub fn out(world: &World, address: IpAddr) -> Self {
        let receiver = world.peer.udp_receiver(address);
        Self { sender: world.inst.udp_sender(&receiver), receiver }
    }

    /// From `peer`, by the address that it takes for this family, to `inst`.
    #[track_caller]
    pub fn back(world: &World, family: Family) -> Self {
        let receiver = world.inst.udp_receiver(family.near(INST));
        Self { sender: world.peer.udp_sender(&receiver), receiver }
    }

    /// Where packets come from.
    pub fn source(&self) -> SocketAddr {
        self.sender.address().expect("a connected socket has an address")
    }

    /// Where packets go.
    pub fn destination(&self) -> SocketAddr {
        self.receiver.address().expect("a bound socket has an address")
    }

    /// Sends a train.
    ///
    /// # Panics
    /// When a socket fails, the sender is told of anything, or the receiver is too slow.
    #[track_caller]
    pub fn send(&self, train: &udp::Train) -> udp::Report {
        progress::note(format!("sending {} packets to {}", train.count, self.destination()));
        let report = udp::run(&self.sender, &self.receiver, train).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.refused, 0, "the sender must not be told of anything");
        assert_eq!(report.receiver_drops, 0, "the instrument must keep up");
        report
    }

    /// Sends a short train and expects a median delay of `expected_ns`, and that all arrive.
    ///
    /// # Panics
    /// When it is another, three times over.
    #[track_caller]
    pub fn expect_delay(&self, expected_ns: f64) {
        let train =
            udp::Train { count: 40, interval: std::time::Duration::from_millis(3), ..Default::default() };
        undisturbed::reading(|| {
            let report = self.send(&train);
            assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
            let delay = report.delay().expect("packets arrived");
            let is_good = (delay.p50 - expected_ns).abs() <= tolerance::RTT_MEDIAN_NS;
            undisturbed::check((), is_good, |()| format!("{expected_ns} ns expected: {delay:?}"))
        });
    }
}
