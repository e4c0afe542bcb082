//! rtnetlink: the only socket that configures the kernel's network, and the messages for links, addresses, routes and the rules that
//! choose among routing tables.
//!
//! A [`Message`] is built without touching the kernel and knows two texts: what it does (for errors) and the
//! iproute2 command that would do the same (for a dry run). A [`Socket`] sends it and keeps what the kernel answers,
//! its extended-ack text included. The messages of traffic control are in [`crate::tc`].
//!
//! Dumps are read leniently: an attribute this code does not know is skipped, so that a newer kernel never fails here.

pub mod address;
pub mod attr;
mod error;
mod family;
pub mod link;
mod message;
pub mod nsid;
pub mod route;
pub mod rule;
mod socket;
pub(crate) mod uapi;

pub use error::Error;
pub use family::Family;
pub use message::{Message, Reply};
pub use socket::Socket;
