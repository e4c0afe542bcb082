//! Instruments that demo, bench and the tests measure a link with.
//!
//! Each instrument is a socket opened by a call made *inside* a namespace (see [`crate::target::netns`]) and used from any
//! thread afterwards: a socket stays in the namespace it was opened in. Both ends run on one machine, so one clock
//! ([`clock::now_ns`]) times departure and arrival, and one-way delays need no synchronisation.
//!
//! Nothing here knows of shapes or engines: the instruments read what packets got, not what was asked.

pub mod clock;
pub mod ping;
pub mod stats;
mod sys;
pub mod tcp;
pub mod udp;
pub mod wire;

use std::net::SocketAddr;

use nix::errno::Errno;

/// An instrument's socket could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be opened; a raw socket needs `CAP_NET_RAW`.
    #[error("cannot open a {socket} socket")]
    Open {
        /// Which socket.
        socket: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// An option of the socket could not be set or read.
    #[error("cannot use socket option {option}")]
    Option {
        /// The option, as the kernel names it.
        option: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// The socket could not be bound.
    #[error("cannot bind to {address}")]
    Bind {
        /// Where to.
        address: SocketAddr,
        /// The kernel's answer.
        source: Errno,
    },
    /// The destination could not be reached or does not listen.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// The kernel's answer.
        source: Errno,
    },
    /// A connection announced by the kernel could not be taken.
    #[error("cannot accept a connection")]
    Accept {
        /// The kernel's answer.
        source: Errno,
    },
    /// A packet or a piece of a stream could not be sent.
    #[error("cannot send {socket} data")]
    Send {
        /// Which socket.
        socket: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// Waiting for, or taking, received data failed.
    #[error("cannot receive {socket} data")]
    Receive {
        /// Which socket.
        socket: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// More was asked than the instrument's packet format can number or hold.
    #[error("{what} must be {min} to {max}, not {asked}")]
    OutOfRange {
        /// The parameter.
        what: &'static str,
        /// The least value.
        min: usize,
        /// The greatest value.
        max: usize,
        /// The value given.
        asked: usize,
    },
}
