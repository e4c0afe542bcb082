//! The sync service: counters and topics for whoever speaks the SDKs' protocol over a WebSocket.
//!
//! A connection is one task with two halves. One reads requests and carries out what takes effect (publishes, signals) in the order in
//! which they came; the other writes, and asks subscriptions for their next item only when there is room for it. So a client that reads
//! slowly costs an index for each subscription, and its requests still take effect.

mod connection;
mod pending;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::states::States;

/// Subscriptions and barriers of one connection that are not over, at most; another one gets an error.
pub const MAX_PENDING: usize = 4096;
/// Connections, at most; more wait to be accepted until another one ends.
pub const MAX_CONNECTIONS: usize = 16_384;
/// How long a client may take to read so much that there is room for the next message.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may do what: an error is the client's answer.
pub trait Gate: Send + Sync {
    /// Whether the client at `peer` may publish to `topic`, a whole key.
    fn publish(&self, peer: SocketAddr, topic: &str) -> Result<(), String> {
        let _ = (peer, topic);
        Ok(())
    }

    /// Whether the client at `peer` may signal `state`, a whole key.
    fn signal(&self, peer: SocketAddr, state: &str) -> Result<(), String> {
        let _ = (peer, state);
        Ok(())
    }
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Gate for Open {}

/// A sync service.
#[derive(Clone)]
pub struct Server {
    states: States,
    gate: Arc<dyn Gate>,
    write_timeout: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("states", &self.states).finish_non_exhaustive()
    }
}

impl Server {
    /// One where everybody may do everything.
    #[must_use]
    pub fn new(states: States) -> Self {
        Self { states, gate: Arc::new(Open), write_timeout: WRITE_TIMEOUT }
    }

    /// The same, where `gate` is asked.
    #[must_use]
    pub fn gate(self, gate: impl Gate + 'static) -> Self {
        Self { gate: Arc::new(gate), ..self }
    }

    /// The same, with another [`WRITE_TIMEOUT`].
    #[must_use]
    pub fn write_timeout(self, write_timeout: Duration) -> Self {
        Self { write_timeout, ..self }
    }

    /// Serves until the listener fails; the error. Dropped, it ends all connections.
    pub async fn serve(self, listener: TcpListener) -> io::Error {
        let mut connections = JoinSet::new();
        loop {
            let room = connections.len() < MAX_CONNECTIONS;
            let accepted = tokio::select! {
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept(), if room => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection::serve(self.clone(), stream, peer));
                }
                // These were of a connection that is gone already.
                Err(error) if of_the_peer(&error) => {}
                // No descriptor, no memory: it may get better when a connection ends, of this process or another.
                Err(error) if of_the_moment(&error) => {
                    let _ = tokio::time::timeout(Duration::from_millis(100), connections.join_next()).await;
                }
                Err(error) => return error,
            }
        }
    }
}

fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
        || matches!(
            error.raw_os_error(),
            Some(libc::EPERM | libc::EPROTO | libc::ENETDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH)
        )
}

fn of_the_moment(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
