//! What a shape takes on a link: pure arithmetic, no kernel.

pub mod capable;
pub mod gso;
pub mod limits;
pub mod rule;
