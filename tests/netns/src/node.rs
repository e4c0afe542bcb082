//! One namespace of a world: its links and addresses, and the instruments opened in it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use shaper::measure::{ping, tcp, udp};
use shaper::netlink::link::{self, Device};
use shaper::netlink::{Message, Socket};
use shaper::target::netns::Netns;

use crate::family::Family;

/// A namespace with a netlink socket in it.
pub struct Node {
    name: &'static str,
    host: u8,
    netns: Netns,
    socket: Mutex<Socket>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Node {
    /// Makes a namespace whose addresses end in `host`, with its loopback up.
    ///
    /// # Panics
    /// Without `CAP_SYS_ADMIN`.
    pub fn new(name: &'static str, host: u8) -> Self {
        let netns =
            Netns::create().unwrap_or_else(|error| panic!("cannot make a namespace for `{name}`: {error}"));
        let socket = netns
            .run(Socket::open)
            .unwrap_or_else(|error| panic!("cannot enter `{name}`: {error}"))
            .unwrap_or_else(|error| panic!("in `{name}`: {error}"));
        let node = Self { name, host, netns, socket: Mutex::new(socket) };
        let lo = node.device("lo");
        node.request(link::set(&lo, &link::Settings { up: Some(true), ..Default::default() }));
        node
    }

    /// Returns what messages call the node.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Returns a path to the namespace that any process may open as long as this one lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.netns.as_fd().as_raw_fd()).into()
    }

    /// Returns the node's address of `family` on the world's link number `link`.
    pub fn address(&self, family: Family, link: u8) -> IpAddr {
        family.of_link(link, self.host)
    }

    /// Returns the node's IPv4 address on the world's link number `link`.
    pub fn ipv4(&self, link: u8) -> IpAddr {
        self.address(Family::V4, link)
    }

    /// Returns the node's IPv6 address on the world's link number `link`.
    pub fn ipv6(&self, link: u8) -> IpAddr {
        self.address(Family::V6, link)
    }

    /// Returns the netlink socket of the namespace.
    pub fn socket(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one netlink request.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn request(&self, message: Message<'_>) {
        if let Err(error) = self.socket().request(message) {
            panic!("in `{}`: {error}", self.name);
        }
    }

    /// Returns number and name of a link.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn device(&self, name: &str) -> Device {
        self.link(name).device()
    }

    /// Returns a link as the kernel describes it.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn link(&self, name: &str) -> link::Link {
        let found = link::by_name(&mut self.socket(), name);
        found.unwrap_or_else(|error| panic!("in `{}`: {error}", self.name))
    }

    /// Runs `inside` in the namespace, on a thread of its own.
    ///
    /// # Panics
    /// When the namespace cannot be entered.
    #[track_caller]
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        self.netns.run(inside).unwrap_or_else(|error| panic!("cannot enter `{}`: {error}", self.name))
    }

    /// Makes a command that is to be started run in the namespace, and end with the thread that starts it, even when that is killed.
    pub fn host(&self, command: &mut Command) {
        let netns = self.netns.as_fd().try_clone_to_owned().expect("a descriptor can be duplicated");
        let enter = move || {
            set_pdeathsig(Signal::SIGKILL)?;
            Ok(setns(&netns, CloneFlags::CLONE_NEWNET)?)
        };
        // SAFETY: between fork and exec this makes system calls only, with a value it owns.
        unsafe { command.pre_exec(enter) };
    }

    /// Runs a program of the host in the namespace; `None` when it is not installed.
    pub fn output(&self, program: &str, args: &[&str]) -> Option<Output> {
        self.run(|| Command::new(program).args(args).output()).ok()
    }

    /// Opens a pinger.
    ///
    /// # Panics
    /// When `destination` is unreachable.
    #[track_caller]
    pub fn pinger(&self, destination: IpAddr) -> ping::Pinger {
        self.run(|| ping::Pinger::open(destination)).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// Opens the receiving end of packet trains.
    ///
    /// # Panics
    /// When the address is not the node's.
    #[track_caller]
    pub fn udp_receiver(&self, address: IpAddr) -> udp::Receiver {
        let address = SocketAddr::new(address, 0);
        self.run(|| udp::Receiver::open(address)).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// Opens the sending end of packet trains.
    ///
    /// # Panics
    /// When the receiver is unreachable.
    #[track_caller]
    pub fn udp_sender(&self, receiver: &udp::Receiver) -> udp::Sender {
        let open = || udp::Sender::open(receiver.address()?);
        self.run(open).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// Opens the receiving end of TCP flows.
    ///
    /// # Panics
    /// When the address is not the node's.
    #[track_caller]
    pub fn tcp_listener(&self, address: IpAddr, buffers: tcp::Buffers) -> tcp::Listener {
        let address = SocketAddr::new(address, 0);
        self.run(|| tcp::Listener::open(address, buffers)).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// Opens `count` sending ends of TCP flows.
    ///
    /// # Panics
    /// When sockets run out.
    #[track_caller]
    pub fn tcp_callers(
        &self,
        listener: &tcp::Listener,
        count: usize,
        buffers: tcp::Buffers,
    ) -> Vec<tcp::Caller> {
        let open = || (0..count).map(|_| tcp::Caller::open(listener.address(), buffers)).collect();
        let callers: Result<_, _> = self.run(open);
        callers.unwrap_or_else(|error: shaper::measure::Error| panic!("{}", chain(&error)))
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
