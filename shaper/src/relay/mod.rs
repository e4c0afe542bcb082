//! The process that holds packets until their departure time: the data plane of the engine `relay`.
//!
//! ```text
//! link's classifier ─redirect─▶ TAP ─classifier writes the departure time in front─▶ read ─▶ hold ─▶ send
//!                                                              egress:  packet socket, out of the link, below its classifier
//!                                                              ingress: back into the TAP, whose classifier gives it to the link
//! ```
//!
//! One thread, one frame held once: [`arena`] is where it is read to and sent from, [`hold`] the order of departure, [`pump`] the loop.
//! `apply` opens the descriptors ([`tap::open`], [`packet::open`]) inside the namespace; the process is outside of it and unprivileged.

mod arena;
mod damage;
mod hold;
mod intake;
mod memory;
mod pace;
pub mod packet;
mod privilege;
mod pump;
mod report;
pub mod tap;
mod tether;
mod vnet;
mod wait;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use caps::Capability;
use shaper_common::abi::Direction;

use crate::signals;

pub use report::widen;
pub use tether::Tether;

use pump::{Outlet, Parts, Pump};
use report::Report;

/// What a relay works on and how much it may hold.
#[derive(Debug)]
pub struct Config {
    /// The TAP, from [`tap::open`].
    pub tap: OwnedFd,
    /// The packet socket, from [`packet::open`]; needed for egress. For ingress, it lets the relay see that its link is gone.
    pub packet: Option<OwnedFd>,
    /// A mappable BPF array (or file) of one [`shaper_common::abi::RelayReport`].
    pub report: OwnedFd,
    /// Gets one byte, and is closed, when frames are being relayed.
    pub ready: Option<OwnedFd>,
    /// Which way the link is shaped.
    pub direction: Direction,
    /// The shaped link, in the packet socket's namespace.
    pub ifindex: u32,
    /// What the namespace hangs on.
    pub tether: Tether,
}

/// Why a relay could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Egress without a packet socket.
    #[error("a relay for egress needs a packet socket")]
    NoPacketSocket,
    /// The link's index is none.
    #[error("{ifindex} is not the index of a link")]
    Ifindex {
        /// The index.
        ifindex: u32,
    },
    /// The report could not be mapped.
    #[error("cannot map the relay's report")]
    MapReport {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Signals could not be set up.
    #[error("cannot take SIGTERM and SIGINT through a descriptor")]
    Signals {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Capabilities could not be dropped.
    #[error("cannot drop capabilities")]
    DropCapabilities {
        /// The failed step.
        source: caps::errors::CapsError,
    },
    /// Privileges could not be forbidden for good.
    #[error("cannot set no_new_privs")]
    NoNewPrivileges {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The timer or memory for frames could not be had.
    #[error("cannot prepare to hold frames")]
    Prepare {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Nobody took the news that the relay runs.
    #[error("cannot report readiness")]
    Ready {
        /// The kernel's reason.
        source: io::Error,
    },
    /// Reading the TAP, or memory for what was read, failed.
    #[error("cannot go on relaying")]
    Relay {
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Relays frames until the TAP or the link is gone, the namespace is nobody else's, or SIGTERM or SIGINT; then sends at once what it still
/// holds.
///
/// Takes over the process: its signals, its priority, and all its capabilities, for good.
///
/// # Errors
///
/// When it cannot start, or when the TAP cannot be read for another reason than being gone.
pub fn run(config: Config) -> Result<(), Error> {
    let Config { tap, packet, report, ready, direction, ifindex, tether } = config;
    let index = i32::try_from(ifindex).ok().filter(|index| *index > 0).ok_or(Error::Ifindex { ifindex })?;
    let link =
        packet.as_ref().map(OwnedFd::try_clone).transpose().map_err(|source| Error::Prepare { source })?;
    let link = link.map(|socket| packet::Link { socket, ifindex: index });
    let outlet = match direction {
        Direction::Egress => Outlet::Link(packet::Sender::new(packet.ok_or(Error::NoPacketSocket)?, index)),
        Direction::Ingress => Outlet::Tap,
    };
    let report = Report::map(report.as_fd()).map_err(|errno| Error::MapReport { source: errno.into() })?;
    let signals = signals::take().map_err(|errno| Error::Signals { source: errno.into() })?;
    // The default slack of 50 µs is how late every timer may be.
    nix::sys::prctl::set_timerslack(1).map_err(|errno| Error::Prepare { source: errno.into() })?;
    privilege::raise_priority();
    let kept: &[Capability] = match tether {
        Tether::Path { .. } => &[Capability::CAP_SYS_PTRACE],
        Tether::None => &[],
    };
    privilege::drop_all_but(kept).map_err(|source| Error::DropCapabilities { source })?;
    privilege::forbid_new_privileges().map_err(|errno| Error::NoNewPrivileges { source: errno.into() })?;
    let pump = Pump::new(Parts { tap, outlet, link, signals, tether, report })
        .map_err(|errno| Error::Prepare { source: errno.into() })?;
    if let Some(ready) = ready {
        nix::unistd::write(&ready, &[1]).map_err(|errno| Error::Ready { source: errno.into() })?;
    }
    pump.run().map_err(|errno| Error::Relay { source: errno.into() })
}
