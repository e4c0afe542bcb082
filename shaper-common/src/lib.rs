//! Decision core of `shaper` and the ABI between its kernel programs and user space.
//!
//! Pure functions over integers: no allocation, no clock, no global state. The kernel program, the tests and the tools
//! run these very functions.
#![cfg_attr(not(test), no_std)]

pub mod abi;
