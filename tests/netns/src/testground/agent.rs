//! `shaper agent`, run in the hub's network.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::http;
use crate::node::Node;
use crate::{progress, wait};

/// The slowest machine loads its programs in a second or two.
const READY_WITHIN: Duration = Duration::from_secs(20);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Agent {
    /// Runs `command`, the binary without arguments, as an agent in the network of `node`, and waits until it is ready; its
    /// socket and what it says are in `directory`.
    ///
    /// # Panics
    /// When it ends, or is not ready in time; with what it said.
    #[track_caller]
    pub(super) fn start(node: &Node, mut command: Command, sync: SocketAddrV4, directory: &Path) -> Self {
        let (socket, log) = (directory.join("agent.sock"), directory.join("agent.log"));
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("our own directory");
        command
            .args(["agent", "--json", "--sync", &sync.to_string()])
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor can be duplicated"))
            .stderr(file);
        let netns = node.netns().as_fd().try_clone_to_owned().expect("a descriptor can be duplicated");
        // SAFETY: between fork and exec this makes system calls only, with a value it owns.
        unsafe { command.pre_exec(move || enter(&netns)) };
        progress::note("starting the agent");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start the agent: {error}"));
        let mut agent = Self { child, socket, log };
        wait::until("the agent is ready", READY_WITHIN, || {
            let said = agent.log();
            if let Some(status) = agent.child.try_wait().expect("our own child can be waited for") {
                panic!("the agent ended with {status}:\n{said}");
            }
            said.contains(r#""ready":true"#).then_some(())
        });
        agent
    }

    /// Makes an instance known to the agent.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub(super) fn register(&self, name: &str, instance: &serde_json::Value) {
        progress::note(format!("registering `{name}`"));
        let target = format!("/v1/instances/{name}");
        let (status, body) = http::put(&self.socket, &target, &instance.to_string())
            .unwrap_or_else(|error| panic!("PUT {target}: {error}\n{}", self.log()));
        assert!(matches!(status, 200..300), "PUT {target} with {instance}: {status} {body}\n{}", self.log());
    }

    /// Returns what it said so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it, by force where SIGTERM does not.
    pub(super) fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let _gone = kill(pid, Signal::SIGTERM);
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < STOPPED_WITHIN {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn enter(netns: &OwnedFd) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    Ok(setns(netns, CloneFlags::CLONE_NEWNET)?)
}
