//! What Testground's SDKs expect of the network that they run in.
//!
//! `sync` in their words is a service with counters and topics ([`crate::states`]), spoken to over a WebSocket: [`protocol`] is what is said,
//! [`server`] and [`client`] say it, [`keys`] are the names in it. [`config`] is what an instance asks of its network, and [`link`] what
//! that comes to for its data link.

pub mod client;
pub mod config;
pub mod keys;
pub mod link;
pub mod protocol;
pub mod remote;
pub mod server;

mod socket;
