//! The network namespace that things are tried in: held by descriptors, so it ends with them, whatever ends us.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::{Cap, Finding, Obstacle, Outcome};
use crate::netlink::Socket;
use crate::netlink::link::Device;
use crate::target::netns::{self, Netns};

/// A namespace of nobody else's, with a socket in it.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) netns: Netns,
    pub(super) socket: Socket,
}

impl Scratch {
    /// Makes one, or finds out why not.
    pub(super) fn create() -> Result<Self, Finding> {
        let not_tried = |obstacle| Finding {
            tried: "unshare(CLONE_NEWNET)".to_owned(),
            outcome: Outcome::NotTried(obstacle),
        };
        let failed = |error: netns::Error| match error {
            netns::Error::Permission { errno, .. } => {
                not_tried(Obstacle::Permission { takes: Cap::SysAdmin.name(), refusal: errno.into() })
            }
            error => not_tried(Obstacle::Failed(error.to_string())),
        };
        let netns = Netns::create().map_err(failed)?;
        let socket = netns.run(Socket::open).map_err(failed)?;
        let socket = socket.map_err(|error| not_tried(Obstacle::Failed(error.to_string())))?;
        Ok(Self { netns, socket })
    }

    /// The loopback, which is there from the start and down, so that no qdisc on it ever sees a packet.
    pub(super) fn lo() -> Device {
        Device { ifindex: 1, name: "lo".to_owned() }
    }
}

/// Gives this process a user namespace of its own, in which it may make network namespaces; for good.
///
/// Qdiscs and links can be tried there without root, programs cannot: those are for the initial user namespace.
///
/// # Errors
///
/// `EINVAL` once the process has another thread; `EPERM`, `ENOSPC` where the system forbids it.
pub fn enter_user_namespace() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWUSER)
}
