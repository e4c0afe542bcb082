//! The task behind a client, and who waits for what it reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use super::super::protocol::{Ask, MAX_INBOUND_BYTES, Reply, Request, Response};
use super::{Error, MAX_HELD_BYTES, unasked};

/// Bytes of a message that is taken: an item of as many bytes as may be published, with every one escaped.
const MAX_MESSAGE_BYTES: usize = 16 * MAX_INBOUND_BYTES;

/// Where replies go.
pub(super) enum Kept {
    Once(oneshot::Sender<Reply>),
    Stream(mpsc::UnboundedSender<Result<Held, Error>>),
}

/// An item that is not read yet, whose bytes are counted as long as it is not.
pub(super) struct Held {
    payload: Arc<str>,
    board: Arc<Board>,
}

impl Held {
    pub(super) fn payload(&self) -> Arc<str> {
        self.payload.clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.board.held.fetch_sub(self.payload.len(), Ordering::Relaxed);
    }
}

/// Who waits, by id.
#[derive(Default)]
struct Board {
    waiting: Mutex<HashMap<Arc<str>, Kept>>,
    held: AtomicUsize,
    ended: OnceLock<Arc<str>>,
}

impl Board {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Arc<str>, Kept>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a reply to who waits for it; nothing, if nobody does.
    fn post(self: &Arc<Self>, Response { id, reply }: Response) {
        let mut waiting = self.waiting();
        let Some(Kept::Stream(items)) = waiting.get(&id) else {
            if let Some(Kept::Once(asker)) = waiting.remove(&id) {
                // Fails for one that is just being dropped.
                let _ = asker.send(reply);
            }
            return;
        };
        let item = match reply {
            Reply::Item(payload) => {
                let before = self.held.fetch_add(payload.len(), Ordering::Relaxed);
                let fits = before + payload.len() <= MAX_HELD_BYTES;
                let held = Held { payload, board: self.clone() };
                if fits { Ok(held) } else { Err(Error::Slow) }
            }
            // The stock service says nothing so when it ends a subscription.
            Reply::Reached => return,
            other => Err(unasked(other)),
        };
        let over = item.is_err();
        let _ = items.send(item);
        if over {
            waiting.remove(&id);
        }
    }
}

/// What the handles share.
pub(super) struct Shared {
    asks: mpsc::UnboundedSender<Request>,
    board: Arc<Board>,
    ids: AtomicU64,
}

impl Shared {
    pub(super) async fn start(stream: TcpStream, url: &str) -> Result<Arc<Self>, Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .write_buffer_size(16 << 10)
            .max_frame_size(Some(MAX_MESSAGE_BYTES))
            .max_message_size(Some(MAX_MESSAGE_BYTES));
        let handshake = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        let (ws, _) = handshake.await.map_err(|error| Error::Handshake(Arc::new(error)))?;
        let (asks, asked) = mpsc::unbounded_channel();
        let board = Arc::new(Board::default());
        tokio::spawn(run(ws, asked, board.clone()));
        Ok(Arc::new(Self { asks, board, ids: AtomicU64::new(0) }))
    }

    /// Asks; replies go to `kept` until what is returned is dropped.
    pub(super) fn ask(self: &Arc<Self>, ask: Ask, kept: Kept) -> Result<Asked, Error> {
        let id: Arc<str> = self.ids.fetch_add(1, Ordering::Relaxed).to_string().into();
        let lasts = matches!(ask, Ask::Subscribe { .. } | Ask::Barrier { .. });
        // Before it is sent: the reply may be there before we are, and the end of the connection, too.
        self.board.waiting().insert(id.clone(), kept);
        let asked = Asked { shared: self.clone(), id: id.clone(), lasts };
        self.asks.send(Request { id, ask }).map_err(|_gone| asked.closed())?;
        Ok(asked)
    }
}

/// A request whose replies somebody waits for.
pub(super) struct Asked {
    shared: Arc<Shared>,
    id: Arc<str>,
    lasts: bool,
}

impl Asked {
    /// Why there will be no reply.
    pub(super) fn closed(&self) -> Error {
        Error::Closed(self.shared.board.ended.get().cloned().unwrap_or_else(|| "it is over".into()))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let waited = self.shared.board.waiting().remove(&self.id).is_some();
        if waited && self.lasts {
            // Fails where the connection has ended.
            let _ = self.shared.asks.send(Request { id: self.id.clone(), ask: Ask::Cancel });
        }
    }
}

type Ws = WebSocketStream<TcpStream>;

/// Reads and writes until the connection ends or nobody holds a handle any more.
async fn run(ws: Ws, asked: mpsc::UnboundedReceiver<Request>, board: Arc<Board>) {
    let (sink, source) = ws.split();
    {
        let mut writes = std::pin::pin!(write(sink, asked));
        let why = tokio::select! {
            why = read(source, &board) => why,
            why = &mut writes => why,
        };
        let _ = board.ended.set(why);
    }
    // Nobody can ask any more, since the receiver is gone; who asked before learns it here.
    board.waiting().clear();
}

async fn read(mut source: SplitStream<Ws>, board: &Arc<Board>) -> Arc<str> {
    loop {
        let message = match source.next().await {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(Some(frame)))) => {
                return format!("{}: {}", frame.code, frame.reason).into();
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => return error.to_string().into(),
            None => return "by the service".into(),
        };
        match Response::read(&message) {
            Ok(response) => board.post(response),
            Err(error) => return error.to_string().into(),
        }
    }
}

async fn write(mut sink: SplitSink<Ws, Message>, mut asked: mpsc::UnboundedReceiver<Request>) -> Arc<str> {
    let mut unsent = false;
    loop {
        let request = tokio::select! {
            biased;
            request = asked.recv() => request,
            () = std::future::ready(()), if unsent => {
                unsent = false;
                match sink.flush().await {
                    Ok(()) => continue,
                    Err(error) => return error.to_string().into(),
                }
            }
        };
        let Some(request) = request else { break };
        if let Err(error) = sink.feed(Message::text(request.write())).await {
            return error.to_string().into();
        }
        unsent = true;
    }
    // The service may be gone already.
    let _ = sink.close().await;
    "by this side".into()
}
