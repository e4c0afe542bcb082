//! The sync service over loopback TCP: what its contract says of the wire, by clients that write frames by hand, and by ours.

mod barriers;
mod client;
mod connections;
mod frames;
mod garbage;
mod topics;
mod world;
