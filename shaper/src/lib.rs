//! Makes a real network behave badly on purpose, and exactly as asked.

pub mod measure;
pub mod netlink;
pub mod relay;
pub mod shape;
pub mod target;
pub mod tc;
pub mod units;
