//! Harness of the namespace tests: worlds, the real `shaper` binary, and what is compared before and after.
//!
//! A [`world::World`] is two network namespaces joined by veth links. It has no names: file descriptors of this process are
//! all that keeps it alive, so it is gone when the test ends, panics or is killed. Trials run in parallel, each in a world
//! of its own; those whose readings need the machine to themselves say so ([`case::Load::Alone`]).

pub mod agent;
pub mod bpf;
pub mod case;
pub mod classify;
pub mod contained;
pub mod dice;
pub mod directory;
pub mod docker;
pub mod engine;
pub mod family;
pub mod fates;
pub mod foreign;
pub mod fuzz;
pub mod http;
pub mod kernel;
pub mod named;
pub mod node;
pub mod pcapng;
pub mod peers;
pub mod process;
pub mod progress;
pub mod reading;
pub mod redis;
mod report;
mod retake;
pub mod runner;
pub mod shaper;
pub mod snapshot;
pub mod snmp;
pub mod testground;
pub mod tolerance;
pub mod undisturbed;
pub mod wait;
pub mod world;
