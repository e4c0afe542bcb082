//! The flags that `apply` starts a relay with.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;

use super::value;
use crate::shape::Direction;

/// Flags of `shaper relay`; every descriptor is inherited.
#[derive(Args, Clone, Debug)]
pub struct RelayArgs {
    /// The TAP that packets to hold come from
    #[arg(long, value_name = "FD", value_parser = value::descriptor())]
    pub tap_fd: RawFd,
    /// The packet socket that they leave through, for egress
    #[arg(long, value_name = "FD", value_parser = value::descriptor())]
    pub packet_fd: Option<RawFd>,
    /// The BPF map to report in
    #[arg(long, value_name = "FD", value_parser = value::descriptor())]
    pub report_fd: RawFd,
    /// Written to once the relay holds packets, then closed
    #[arg(long, value_name = "FD", value_parser = value::descriptor())]
    pub ready_fd: RawFd,
    /// Which way the packets go: `egress` or `ingress`
    #[arg(long, value_name = "NAME", value_parser = value::one_direction)]
    pub direction: Direction,
    /// The shaped link
    #[arg(long, value_name = "N")]
    pub ifindex: u32,
    /// The file whose disappearance says that nobody wants the namespace any more
    #[arg(long, value_name = "PATH", requires_all = ["netns_dev", "netns_ino"])]
    pub tether: Option<PathBuf>,
    /// `st_dev` of the namespace
    #[arg(long, value_name = "N")]
    pub netns_dev: Option<u64>,
    /// `st_ino` of the namespace
    #[arg(long, value_name = "N")]
    pub netns_ino: Option<u64>,
}
