//! Two namespaces and the link between them, held by descriptors alone: whatever ends this process ends them too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::super::exit::{Code, Failure};
use super::super::failure;
use super::reading::Reading;
use crate::measure;
use crate::measure::ping::{Pinger, Train};
use crate::measure::stats::Summary;
use crate::measure::tcp::{self, Buffers, Bulk, Caller, Listener};
use crate::netlink::link::{self, Link, Settings};
use crate::netlink::{Socket, address};
use crate::target::netns::Netns;
use crate::tc::{Handle, filter, qdisc};

/// Name of the link in both namespaces.
const LINK: &str = "eth0";
/// The network of documentation (RFC 5737, TEST-NET-1): nobody's addresses.
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PREFIX_LEN: u8 = 24;

/// The two namespaces.
#[derive(Debug)]
pub(super) struct World {
    client: End,
    server: End,
}

/// One of them, with a socket in it.
#[derive(Debug)]
struct End {
    netns: Netns,
    socket: Socket,
}

/// Everything that a shape could leave on a namespace's links; counters aside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    links: Vec<Link>,
    /// Link, kind, handle, parent and options of each qdisc.
    qdiscs: Vec<(u32, String, Handle, Handle, Vec<u8>)>,
    filters: usize,
}

impl World {
    /// Makes the namespaces, the link and its addresses.
    pub(super) fn create() -> Result<Self, Failure> {
        let (mut client, mut server) = (End::create()?, End::create()?);
        let named = Settings { name: Some(LINK.to_owned()), ..Settings::default() };
        let peer = Settings { netns: Some(server.netns.as_fd()), ..named.clone() };
        client.socket.request(link::add_veth(&named, &peer)).map_err(failure::netlink)?;
        client.set_up(CLIENT)?;
        server.set_up(SERVER)?;
        let world = Self { client, server };
        // The first packet waits for neighbour discovery, and is not measured.
        world.ping(&Train { count: 1, ..Train::default() })?;
        Ok(world)
    }

    /// The path by which another process of this user can open the first namespace.
    pub(super) fn client_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.client.netns.as_fd().as_raw_fd())
    }

    /// Pings the second namespace from the first.
    pub(super) fn ping(&self, train: &Train) -> Result<Reading, Failure> {
        let pinger = self.client.inside(|| Pinger::open(IpAddr::V4(SERVER)))?;
        let replies = pinger.run(train).map_err(measuring)?;
        let rtt = Summary::of(replies.iter().copied().flatten());
        Ok(Reading::new(replies.len(), rtt.as_ref()))
    }

    /// Bits per second that one TCP flow carries from the first namespace to the second.
    pub(super) fn goodput(&self, bulk: &Bulk) -> Result<u64, Failure> {
        let buffers = Buffers::default();
        let listener = self.server.inside(|| Listener::open(SocketAddr::from((SERVER, 0)), buffers))?;
        let caller = self.client.inside(|| Caller::open(listener.address(), buffers))?;
        let report = tcp::run(&listener, vec![caller], bulk).map_err(measuring)?;
        Ok(report.goodput_bits_per_sec().round() as u64)
    }

    /// What is on the first namespace's links.
    pub(super) fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        let socket = &mut self.client.socket;
        let links = link::dump(socket).map_err(failure::netlink)?;
        let qdiscs = qdisc::dump(socket).map_err(failure::netlink)?;
        let mut filters = 0;
        for link in &links {
            for hook in [Handle::EGRESS, Handle::INGRESS] {
                filters += filter::dump(socket, &link.device(), hook).map_err(failure::netlink)?.len();
            }
        }
        let qdiscs =
            qdiscs.into_iter().map(|it| (it.ifindex, it.kind, it.handle, it.parent, it.options)).collect();
        Ok(Snapshot { links, qdiscs, filters })
    }
}

impl End {
    fn create() -> Result<Self, Failure> {
        let netns = Netns::create().map_err(failure::netns)?;
        let socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
        Ok(Self { netns, socket })
    }

    fn set_up(&mut self, local: Ipv4Addr) -> Result<(), Failure> {
        let device = link::by_name(&mut self.socket, LINK).map_err(failure::netlink)?.device();
        let up = Settings { up: Some(true), ..Settings::default() };
        let messages = vec![address::add(&device, local.into(), PREFIX_LEN), link::set(&device, &up)];
        self.socket.batch(messages).map_err(failure::netlink)
    }

    fn inside<T: Send>(&self, open: impl FnOnce() -> Result<T, measure::Error> + Send) -> Result<T, Failure> {
        self.netns.run(open).map_err(failure::netns)?.map_err(measuring)
    }
}

fn measuring(error: measure::Error) -> Failure {
    Failure::new(Code::Failed, error).context("cannot measure the link")
}
