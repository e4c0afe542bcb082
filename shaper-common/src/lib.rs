//! Decision core of `shaper` and the ABI between its kernel programs and user space.
//!
//! Pure functions over integers: no allocation, no clock, no global state. The kernel program, the tests and the tools
//! run these very functions. A packet meets, in the order of a real path:
//!
//! 1. [`bottleneck`]: the rate, with a drop-tail queue in front of it;
//! 2. [`jitter`]: the propagation delay and its spread.
//!
//! [`decide`] puts them together; [`random`] is where every draw comes from.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod bottleneck;
pub mod decide;
pub mod jitter;
pub mod random;
