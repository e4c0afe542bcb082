//! Makes a real network behave badly on purpose, and exactly as asked.

pub mod achieved;
pub mod agent;
pub mod api;
pub mod attachment;
pub mod bpf;
pub mod cli;
pub mod client;
pub mod docker;
pub mod engine;
pub mod failure;
pub mod http;
mod init;
pub mod journal;
pub mod json;
pub mod measure;
pub mod netlink;
pub mod plan;
pub mod policy;
pub mod probe;
mod prose;
pub mod relay;
pub mod report;
pub mod rules;
#[cfg(test)]
mod scratch;
mod seldom;
pub mod shape;
mod signals;
pub mod states;
pub mod target;
pub mod tc;
pub mod testground;
pub mod trace;
pub mod units;
pub mod wanted;
