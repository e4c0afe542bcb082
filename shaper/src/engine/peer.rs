//! The other end of a veth, wherever it is.

use std::os::fd::AsFd as _;

use crate::netlink::link::{self, Link};
use crate::netlink::{self, Message, Socket, nsid};
use crate::target::netns;

use super::Session;

/// The kind of the links that have a peer.
const VETH: &str = "veth";

/// The other end of a veth, with a socket in its namespace.
pub(super) struct Peer {
    pub(super) link: Link,
    /// The link that it is the peer of.
    pub(super) of: Link,
    socket: Socket,
}

impl Peer {
    /// Finds the peer of a link of the session's namespace; `None` when the link is no veth, or when the peer is in a namespace that
    /// has neither a name nor a process that can be seen, or that cannot be entered.
    pub(super) fn find(session: &mut Session, link: &Link) -> Option<Self> {
        let peer = link.peer_ifindex.filter(|_| link.kind.as_deref() == Some(VETH))?;
        let mut socket = match link.peer_netnsid {
            None => session.netns().run(Socket::open),
            Some(number) if number >= 0 => {
                let is = |netns: &netns::Netns| {
                    nsid::of(session.socket(), netns.as_fd()).is_ok_and(|of| of == Some(number))
                };
                netns::find(is)?.run(Socket::open)
            }
            Some(_) => return None,
        }
        .ok()?
        .ok()?;
        let peer = link::by_index(&mut socket, peer).ok()?;
        let is_it = peer.peer_ifindex == Some(link.ifindex) && peer.kind.as_deref() == Some(VETH);
        is_it.then(|| Self { link: peer, of: link.clone(), socket })
    }

    /// Changes the peer.
    pub(super) fn send(&mut self, session: &mut Session, message: Message<'_>) -> Result<(), netlink::Error> {
        if session.effect(|| format!("where the peer is: {}", message.command())) {
            session.send_by(&mut self.socket, message)?;
        }
        Ok(())
    }
}
