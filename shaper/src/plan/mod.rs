//! What rules take on a link, and how a packet finds its own: pure, no kernel.

pub mod capable;
pub mod gso;
pub mod limits;
mod needs;
pub mod rule;
pub mod set;
pub mod table;

pub use needs::Needs;
