//! Decision core of `shaper` and the ABI between its kernel programs and user space.
//!
//! Pure functions over integers: no allocation, no clock, no global state. The kernel program, the tests and the tools
//! run these very functions. [`lookup`] finds the rule for a packet's peer. Then it meets, in the order of a real path:
//!
//! 0. [`filter`], which may let it go no further;
//! 1. [`loss`]; then, as drawn by [`events`], a copy, and damage to one bit ([`corrupt`]);
//! 2. [`bottleneck`]: the rate, with a drop-tail queue in front of it, for what the packet takes there ([`framing`]);
//! 3. [`jitter`]: the propagation delay and its spread, which a reordered packet goes without.
//!
//! [`decide`] puts them together; [`random`] is where every draw comes from, [`memory`] what it remembers. [`trace`] is how
//! it is told, [`answer`] what is sent back where a packet is rejected.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod answer;
pub mod bottleneck;
pub mod corrupt;
pub mod decide;
pub mod events;
pub mod filter;
pub mod framing;
pub mod jitter;
pub mod lookup;
pub mod loss;
pub mod memory;
pub mod probability;
pub mod random;
pub mod trace;
