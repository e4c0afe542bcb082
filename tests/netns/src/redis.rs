//! A Redis or Valkey server in a node's network, which keeps what it acknowledges.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::directory::Directory;
use crate::node::Node;
use crate::{progress, wait};

const READY_WITHIN: Duration = Duration::from_secs(20);
const PORT: u16 = 6379;

/// Finds the program that `cargo xtask` found or installed.
///
/// # Errors
/// Why there is none, as a skipped trial prints it.
pub fn program() -> Result<PathBuf, String> {
    let value = std::env::var("SHAPER_REDIS");
    let value = value.map_err(|_unset| "no SHAPER_REDIS: `cargo xtask test` says where".to_owned())?;
    match value.strip_prefix("missing:") {
        Some(reason) => Err(reason.trim().to_owned()),
        None => Ok(value.into()),
    }
}

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub struct Redis<'n> {
    node: &'n Node,
    child: Child,
    directory: Directory,
}

impl<'n> Redis<'n> {
    /// Starts a server on the loopback of `node` and waits until it answers.
    ///
    /// # Panics
    /// When there is no program, or it does not answer within 20 s.
    #[track_caller]
    pub fn start(node: &'n Node) -> Self {
        let directory = Directory::new();
        let mut redis = Self { node, child: spawn(node, &directory), directory };
        redis.wait_until_ready();
        redis
    }

    /// Returns its URL, for who is in the same network.
    pub fn url(&self) -> String {
        format!("redis://{}/", address())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        progress::note("killing the server of states");
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Starts it again with what it kept, and waits until it answers.
    ///
    /// # Panics
    /// As [`Redis::start`].
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.node, &self.directory);
        self.wait_until_ready();
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        wait::until("the server of states answers", READY_WITHIN, || {
            if let Some(status) = self.child.try_wait().expect("our own child can be waited for") {
                panic!("the server of states ended with {status}");
            }
            // While it reads its files, it answers with an error.
            self.node.run(|| {
                let mut stream = TcpStream::connect(address()).ok()?;
                stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
                stream.write_all(b"PING\r\n").ok()?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).ok()?;
                (answer == *b"+PONG").then_some(())
            })
        });
    }
}

impl Drop for Redis<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

fn spawn(node: &Node, directory: &Directory) -> Child {
    let program = program().unwrap_or_else(|reason| panic!("{reason}"));
    let mut command = Command::new(program);
    command
        .arg0("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &PORT.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    node.host(&mut command);
    progress::note("starting the server of states");
    command.spawn().unwrap_or_else(|error| panic!("cannot start the server of states: {error}"))
}
