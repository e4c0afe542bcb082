//! Why what is wanted cannot be had.

use std::net::IpAddr;

use crate::shape::{Direction, Named as _};
use crate::target::{link, netns};
use crate::{engine, netlink, probe};

/// Why what is wanted cannot be had; all is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No engine here can do it, or a capability is missing.
    #[error(transparent)]
    Probe(#[from] probe::Error),
    /// The namespace is not there, or not ours to open.
    #[error(transparent)]
    Netns(#[from] netns::Error),
    /// The namespace cannot be held.
    #[error(transparent)]
    Open(Box<engine::Error>),
    /// The kernel does not say what is there.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// No link is meant, or several.
    #[error("namespace `{namespace}`")]
    Link {
        /// Where.
        namespace: String,
        /// Why.
        source: link::Error,
    },
    /// The rules.
    #[error("cannot shape {} of `{link}` in `{namespace}`", .direction.name())]
    Shape {
        /// Which packets.
        direction: Direction,
        /// The link.
        link: String,
        /// Where.
        namespace: String,
        /// Why.
        source: Box<engine::Error>,
    },
    /// The address.
    #[error("cannot give `{link}` in `{namespace}` address {address}")]
    Address {
        /// The address.
        address: IpAddr,
        /// The link.
        link: String,
        /// Where.
        namespace: String,
        /// Why.
        source: Box<engine::Error>,
    },
    /// The routing policy.
    #[error("cannot set the routing policy of `{namespace}`")]
    Policy {
        /// Where.
        namespace: String,
        /// Why.
        source: Box<engine::Error>,
    },
    /// Undoing what was done failed, too.
    #[error("{error}; undoing it failed too: {undo}")]
    Undo {
        /// Why it was to be undone.
        error: Box<Error>,
        /// Why the undoing failed.
        undo: Box<engine::Error>,
    },
}
