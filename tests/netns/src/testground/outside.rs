//! A web server in the hub, on an address that is on no network of the instances.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::thread::JoinHandle;

use nix::sys::socket::{Shutdown, shutdown};

use crate::node::Node;

const ANSWER: &[u8] = b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello world\n";

/// The server; dropped, it ends.
#[derive(Debug)]
pub(super) struct Outside {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Outside {
    /// Listens on an address of `node`.
    ///
    /// # Panics
    /// When it has no such address.
    #[track_caller]
    pub(super) fn open(node: &Node, address: SocketAddrV4) -> Self {
        let listener = node.run(|| TcpListener::bind(address));
        let listener = listener.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let accepting = listener.try_clone().expect("a descriptor can be duplicated");
        let thread = std::thread::spawn(move || {
            for stream in accepting.incoming() {
                let Ok(stream) = stream else { return };
                // One who went away before the answer does not miss it.
                let _broken = answer(stream);
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    // What was not read when the connection is closed would reset it, and take the answer along.
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    stream.write_all(ANSWER)
}

impl Drop for Outside {
    fn drop(&mut self) {
        // What waits in accept() returns with an error.
        let _not_connected = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
