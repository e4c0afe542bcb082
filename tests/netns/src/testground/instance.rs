//! One instance: its networks, and what a process needs to be one of it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::{SYNC, join, route_by_hub};
use crate::node::Node;

/// A namespace with a control and a data link, and a host name.
#[derive(Debug)]
pub(super) struct Instance {
    node: Node,
    hostname: String,
    control: Ipv4Addr,
}

impl Instance {
    /// Makes instance `number`, from 1, and joins it to the hub's bridges.
    pub(super) fn new(hub: &Node, number: u8) -> Self {
        // The first address of each network is that of its router.
        let host = number + 1;
        let node = Node::new("an instance", host);
        let control = Ipv4Addr::new(192, 18, 0, host);
        join(hub, &node, "eth0", "control", &format!("control{number}"), control);
        join(hub, &node, "eth1", "data", &format!("data{number}"), Ipv4Addr::new(16, 0, 0, host));
        route_by_hub(&node);
        Self { node, hostname: format!("i{number}"), control }
    }

    /// Returns the host name, which is also what the agent calls the instance.
    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Returns a path to the network namespace.
    pub(super) fn netns_path(&self) -> PathBuf {
        self.node.path()
    }

    /// Makes `command` run as a process of the instance; it is killed when the calling thread ends.
    pub(super) fn enter(&self, command: &mut Command) {
        self.node.host(command);
        let hostname = OsString::from(&self.hostname);
        let (service, control, own) = (SYNC.ip(), self.control, &self.hostname);
        // The Rust SDK asks for the sync service by this name, whatever the environment says.
        let hosts = format!("127.0.0.1 localhost\n{service} testground-sync-service\n{control} {own}\n");
        let enter = move || enter(&hostname, &hosts);
        // SAFETY: between fork and exec this makes system calls only, with values it owns.
        unsafe { command.pre_exec(enter) };
    }
}

/// Puts the calling process, which is in the instance's network, into namespaces of its own for host name and mounts.
fn enter(hostname: &OsString, hosts: &str) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNS)?;
    sethostname(hostname)?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    // A file that nobody else sees and that goes with the namespace; what was in /tmp is there again at once.
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), nothing)?;
    fs::write("/tmp/hosts", hosts)?;
    mount(Some("/tmp/hosts"), "/etc/hosts", nothing, MsFlags::MS_BIND, nothing)?;
    Ok(umount2("/tmp", MntFlags::MNT_DETACH)?)
}
