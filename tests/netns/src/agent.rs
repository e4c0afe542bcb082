//! `shaper agent`, run in a node's network.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::directory::Directory;
use crate::node::Node;
use crate::{http, progress, wait};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A running agent; dropped, it is told to end. It does not outlive the thread that started it, even when that is killed.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    directory: Arc<Directory>,
    /// Bytes of the log that those said who were here before.
    said_before: u64,
}

impl Agent {
    /// Runs `command`, the binary without arguments, as an agent in the network of `node`, and waits until it is ready. `args` are
    /// more than `--listen` and `--json`.
    ///
    /// # Panics
    /// When it ends, or is not ready within 20 s; with what it said.
    #[track_caller]
    pub fn start(node: &Node, command: Command, args: &[&str]) -> Self {
        Self::start_in(Arc::new(Directory::new()), node, command, args)
    }

    /// Kills it, and starts another one in its place, as [`Agent::start`] does: at the same socket, with what this one had written down.
    ///
    /// # Panics
    /// As [`Agent::start`].
    #[track_caller]
    pub fn killed_and_started(self, node: &Node, command: Command, args: &[&str]) -> Self {
        let directory = Arc::clone(&self.directory);
        self.end_by(Signal::SIGKILL);
        Self::start_in(directory, node, command, args)
    }

    #[track_caller]
    fn start_in(directory: Arc<Directory>, node: &Node, mut command: Command, args: &[&str]) -> Self {
        let log = log(&directory);
        let said_before = fs::metadata(&log).map_or(0, |log| log.len());
        let log = OpenOptions::new().create(true).append(true).open(&log);
        let log = log.expect("a file can be made in a directory of our own");
        command
            .args(["agent", "--json", "--listen"])
            .arg(format!("unix:{}", socket(&directory).display()))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be duplicated"))
            .stderr(log);
        node.host(&mut command);
        progress::note("starting the agent");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start the agent: {error}"));
        let mut agent = Self { child, directory, said_before };
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
    pub fn register(&self, name: &str, instance: &Value) {
        let target = format!("/v1/instances/{name}");
        let (status, body) = self.call("PUT", &target, &instance.to_string());
        assert!(matches!(status, 200..300), "PUT {target} with {instance}: {status} {body}");
    }

    /// Makes a call of the API, and returns the status code and the body of the answer.
    ///
    /// # Panics
    /// When no answer comes within 20 s; with what the agent said.
    #[track_caller]
    pub fn call(&self, method: &str, target: &str, body: &str) -> (u16, String) {
        progress::note(format!("{method} {target}"));
        http::call(&self.socket(), method, target, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}\n{}", self.log()))
    }

    /// Returns the path of its Unix socket.
    pub fn socket(&self) -> PathBuf {
        socket(&self.directory)
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Returns what it said so far.
    pub fn log(&self) -> String {
        let all = fs::read(log(&self.directory)).unwrap_or_default();
        let before = usize::try_from(self.said_before).expect("a log fits into memory").min(all.len());
        String::from_utf8_lossy(&all[before..]).into_owned()
    }

    /// Ends it by a signal, and waits until it has ended.
    ///
    /// # Panics
    /// When that takes longer than 5 s.
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) {
        progress::note(format!("ending the agent by {signal}"));
        let _gone = kill(Pid::from_raw(self.pid()), signal);
        wait::until("the agent has ended", STOPPED_WITHIN, || {
            self.child.try_wait().expect("our own child can be waited for").map(drop)
        });
    }
}

/// By force where SIGTERM does not; a failing trial says what it said.
impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("=== the agent said:\n{}", self.log());
        }
        // Its number may be another's once it was waited for.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        }
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < STOPPED_WITHIN {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn socket(directory: &Directory) -> PathBuf {
    directory.path().join("agent.sock")
}

fn log(directory: &Directory) -> PathBuf {
    directory.path().join("agent.log")
}
