//! One client's connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

use super::super::protocol::{Ask, MAX_INBOUND_BYTES, Reply, Request, Response};
use super::super::socket;
use super::pending::{On, Pending, Wait};
use super::{MAX_PENDING, Server};

/// How long a client may take until it has said that it wants a WebSocket.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that is sent away may take until it has read why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Replies that wait to be written, at most; then no more requests are read.
const REPLIES: usize = 64;
/// Bytes that are read at once, and kept for each connection.
const READ_BYTES: usize = 4096;
/// Bytes that are gathered before they are written, when there are more to come.
const WRITE_BYTES: usize = 16 << 10;
/// Bytes of the reason in a Close frame, at most (RFC 6455, 5.5).
const REASON_BYTES: usize = 123;

type Ws = WebSocketStream<TcpStream>;

/// What the reading half tells the writing half.
enum Told {
    Say(Response),
    Wait(Box<Wait>),
    Cancel(Arc<str>),
}

/// Serves one client until it goes, is sent away, or takes too long to read.
pub(super) async fn serve(server: Server, stream: TcpStream, peer: SocketAddr) {
    // Options of a socket fail for one that is gone, which the handshake finds out.
    let _ = socket::prepare(&stream);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_frame_size(Some(MAX_INBOUND_BYTES))
        .max_message_size(Some(MAX_INBOUND_BYTES));
    let handshake = Box::pin(tokio_tungstenite::accept_async_with_config(stream, Some(config)));
    let Ok(Ok(ws)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else { return };
    let (mut sink, mut source) = ws.split();
    let (tell, told) = mpsc::channel(REPLIES);
    let sent_away = {
        let mut writes = std::pin::pin!(write(&mut sink, told, server.write_timeout));
        tokio::select! {
            biased;
            sent_away = read(&server, peer, &mut source, tell) => match sent_away {
                // What was answered before is still said.
                Some(why) => writes.await.ok().map(|()| why),
                None => None,
            },
            _ = &mut writes => None,
        }
    };
    if let Some(why) = sent_away
        && let Ok(ws) = sink.reunite(source)
    {
        let _ = timeout(FAREWELL_TIMEOUT, Box::pin(farewell(ws, why))).await;
    }
}

/// Carries out requests as they come; why the client is to be sent away, or nothing if it went.
async fn read(
    server: &Server,
    peer: SocketAddr,
    source: &mut SplitStream<Ws>,
    tell: mpsc::Sender<Told>,
) -> Option<CloseFrame> {
    let room = Arc::new(Semaphore::new(MAX_PENDING));
    loop {
        let message = match source.next().await? {
            Ok(Message::Text(text)) => text.into(),
            Ok(Message::Binary(bytes)) => bytes,
            // Pings are answered below us, and so is a Close.
            Ok(_) => continue,
            Err(error) => return why(&error),
        };
        let request = match Request::read(&message) {
            Ok(request) => request,
            Err(error) => return Some(close(CloseCode::Invalid, &error.to_string())),
        };
        drop(message);
        // Taken first, so that nobody is told of an effect before the one who caused it.
        let place = tell.reserve().await.ok()?;
        if let Some(told) = carry_out(server, peer, &room, request).await {
            place.send(told);
        }
    }
}

async fn carry_out(
    server: &Server,
    peer: SocketAddr,
    room: &Arc<Semaphore>,
    request: Request,
) -> Option<Told> {
    let Request { id, ask } = request;
    let states = &server.states;
    let reply = match ask {
        Ask::Publish { topic, payload } => match server.gate.publish(peer, &topic) {
            Ok(()) => {
                states.publish(&topic, payload).await.map(Reply::Published).map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        },
        Ask::Signal { state } => match server.gate.signal(peer, &state) {
            Ok(()) => states.signal(&state).await.map(Reply::Signalled).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        },
        Ask::Subscribe { topic } => {
            match (room.clone().try_acquire_owned(), states.subscribe(&topic).await) {
                (Ok(room), Ok(subscription)) => {
                    return Some(Told::Wait(Box::new(Wait { id, on: On::Topic(subscription), room })));
                }
                (Err(_), _) => Err(full()),
                (_, Err(error)) => Err(error.to_string()),
            }
        }
        Ask::Barrier { state, target } => match room.clone().try_acquire_owned() {
            Ok(room) => {
                let on = On::State(states.clone(), state, target);
                return Some(Told::Wait(Box::new(Wait { id, on, room })));
            }
            Err(_) => Err(full()),
        },
        Ask::Cancel => return Some(Told::Cancel(id)),
        Ask::Nothing => return None,
    };
    Some(Told::Say(Response { id, reply: reply.unwrap_or_else(Reply::Error) }))
}

fn full() -> String {
    format!(
        "{MAX_PENDING} subscriptions and barriers of this connection are not over, which is as many as are legal"
    )
}

/// Writes what is to be said, until nobody tells any more. Fails when the client does not read for too long, or is gone.
async fn write(
    sink: &mut SplitSink<Ws, Message>,
    mut told: mpsc::Receiver<Told>,
    limit: Duration,
) -> Result<(), Gone> {
    let mut pending = Pending::default();
    let mut unsent = false;
    loop {
        let response = tokio::select! {
            biased;
            told = told.recv() => match told {
                Some(Told::Say(response)) => response,
                Some(Told::Wait(wait)) => {
                    pending.add(*wait);
                    continue;
                }
                Some(Told::Cancel(id)) => {
                    pending.cancel(&id);
                    continue;
                }
                None => break,
            },
            response = pending.next() => response,
            () = std::future::ready(()), if unsent => {
                timeout(limit, sink.flush()).await??;
                unsent = false;
                continue;
            }
        };
        timeout(limit, sink.feed(Message::text(response.write()))).await??;
        unsent = true;
    }
    Ok(timeout(limit, sink.flush()).await??)
}

/// Nobody is there to write to.
struct Gone;

impl From<tokio::time::error::Elapsed> for Gone {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self
    }
}

impl From<WsError> for Gone {
    fn from(_: WsError) -> Self {
        Self
    }
}

/// The Close frame for what is wrong with a client's frames; none, if the client is gone.
fn why(error: &WsError) -> Option<CloseFrame> {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => {
            Some(close(CloseCode::Size, &format!("a message may have {MAX_INBOUND_BYTES} bytes")))
        }
        WsError::Utf8(_) => Some(close(CloseCode::Invalid, "a text that is not UTF-8")),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(error) => Some(close(CloseCode::Protocol, &error.to_string())),
        _ => None,
    }
}

fn close(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame { code, reason: reason[..reason.floor_char_boundary(REASON_BYTES)].into() }
}

/// Says why, and reads on until the client has gone: what lies unread when we close makes the kernel send a reset, which takes the
/// reason away from a client that is still sending.
async fn farewell(mut ws: Ws, why: CloseFrame) {
    // The other side may be gone already, which the reading below finds out.
    let _ = ws.close(Some(why)).await;
    let stream = ws.get_ref();
    if shutdown(stream.as_raw_fd(), Shutdown::Write).is_err() {
        return;
    }
    let mut scrap = vec![0; READ_BYTES];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut scrap) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
}
