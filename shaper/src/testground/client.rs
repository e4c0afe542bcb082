//! The other end: what an SDK does, for the agent that uses a sync service elsewhere, and for tests.

mod connection;

use std::fmt;
use std::io;
use std::sync::Arc;

use serde::Serialize;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, oneshot};

use super::protocol::{Ask, Reply};
use connection::{Asked, Held, Kept, Shared};

/// Bytes of items that a connection keeps for subscriptions that are not read, at most; beyond, the one that has no room ends.
pub const MAX_HELD_BYTES: usize = 64 << 20;

/// Why a sync service did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no service at that address.
    #[error("cannot connect to the sync service: {0}")]
    Connect(Arc<io::Error>),
    /// What is at that address is no WebSocket server.
    #[error("not a sync service: {0}")]
    Handshake(Arc<tokio_tungstenite::tungstenite::Error>),
    /// The connection ended; the caller may make another one.
    #[error("the connection to the sync service ended: {0}")]
    Closed(Arc<str>),
    /// The service says so.
    #[error("{0}")]
    Refused(String),
    /// The service answered something else than was asked.
    #[error("the sync service answered {0:?}, which was not asked for")]
    Unasked(Reply),
    /// The subscription was read too slowly, and ended.
    #[error("items of a subscription were not read until {MAX_HELD_BYTES} bytes were held")]
    Slow,
    /// The payload cannot be written as JSON.
    #[error("a payload that is no JSON: {0}")]
    Payload(Arc<serde_json::Error>),
}

/// A connection to a sync service; clones share it, and it ends with the last one and its subscriptions.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects. Fails when nobody listens there, or does not speak WebSocket. Needs a tokio runtime, on which it reads and writes.
    pub async fn connect(address: impl ToSocketAddrs) -> Result<Self, Error> {
        let connected = |error| Error::Connect(Arc::new(error));
        let stream = TcpStream::connect(address).await.map_err(connected)?;
        super::socket::prepare(&stream).map_err(connected)?;
        let url = format!("ws://{}/", stream.peer_addr().map_err(connected)?);
        Ok(Self { shared: Shared::start(stream, &url).await? })
    }

    /// Signals a state; the new count. Fails when the service refuses, or the connection ends.
    pub async fn signal(&self, state: &str) -> Result<u64, Error> {
        match self.once(Ask::Signal { state: state.into() }).await? {
            Reply::Signalled(count) => Ok(count),
            other => Err(unasked(other)),
        }
    }

    /// Publishes to a topic; the item's place in it, from 1 on. Fails when the service refuses, or the connection ends.
    pub async fn publish(&self, topic: &str, payload: &(impl Serialize + ?Sized)) -> Result<u64, Error> {
        let payload = serde_json::to_string(payload).map_err(|error| Error::Payload(Arc::new(error)))?;
        match self.once(Ask::Publish { topic: topic.into(), payload: payload.into() }).await? {
            Reply::Published(seq) => Ok(seq),
            other => Err(unasked(other)),
        }
    }

    /// Waits until a state was signalled `target` times or more. Fails when the service refuses, or the connection ends. Dropped, it cancels
    /// the barrier.
    pub async fn barrier(&self, state: &str, target: u64) -> Result<(), Error> {
        match self.once(Ask::Barrier { state: state.into(), target }).await? {
            Reply::Reached => Ok(()),
            other => Err(unasked(other)),
        }
    }

    /// Reads a topic from its first item on. Fails when the connection has ended; that the service refuses, which acknowledges nothing,
    /// is told by [`Subscription::next`].
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription, Error> {
        let (sender, items) = mpsc::unbounded_channel();
        let asked = self.shared.ask(Ask::Subscribe { topic: topic.into() }, Kept::Stream(sender))?;
        Ok(Subscription { items, asked })
    }

    async fn once(&self, ask: Ask) -> Result<Reply, Error> {
        let (sender, reply) = oneshot::channel();
        let asked = self.shared.ask(ask, Kept::Once(sender))?;
        reply.await.map_err(|_gone| asked.closed())
    }
}

/// Why a reply is not the one that was asked for.
fn unasked(reply: Reply) -> Error {
    match reply {
        Reply::Error(why) => Error::Refused(why),
        other => Error::Unasked(other),
    }
}

/// A reader of a topic. Dropped, it is cancelled.
pub struct Subscription {
    items: mpsc::UnboundedReceiver<Result<Held, Error>>,
    asked: Asked,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next item, as JSON. Fails when the service refuses, the connection ends, or [`MAX_HELD_BYTES`] were held; then there are no more.
    /// Dropped, it loses none.
    pub async fn next(&mut self) -> Result<Arc<str>, Error> {
        match self.items.recv().await {
            Some(item) => item.map(|held| held.payload()),
            None => Err(self.asked.closed()),
        }
    }
}
