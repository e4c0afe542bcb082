//! What is said between the SDKs and the sync service: one JSON object per WebSocket message.
//!
//! Requests are read as Go's decoder reads them, which the SDKs were made for: keys in any case, `null` as if it were not there, of a
//! key that comes twice the last, unknown ones ignored. Responses are written so that the Rust SDK takes them: all five keys, and an
//! error that is itself a JSON text.

mod compact;
mod object;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::states::MAX_WHY_BYTES;

/// Bytes of a message that the server takes.
pub const MAX_INBOUND_BYTES: usize = 1 << 20;
/// Bytes of a message that every client takes: one in Go closes the connection when there are more, and ends its process.
pub const GO_BYTES: usize = 32_768;
/// Bytes of an `id`, at most: it comes back with each response, which is to stay below [`GO_BYTES`].
pub const MAX_ID_BYTES: usize = 256;
/// Bytes of an error's text; more are cut off. Twice encoded, they are still below [`GO_BYTES`].
const ERROR_BYTES: usize = 4 * MAX_WHY_BYTES;

/// Why a message is none of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON, or a value is of another type.
    #[error("not a message of the sync service: {0}")]
    Json(#[from] serde_json::Error),
    /// The `id` is too long.
    #[error("an id of {0} bytes; up to {MAX_ID_BYTES} are legal")]
    Id(usize),
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the responses will be known by.
    pub id: Arc<str>,
    /// What it wants.
    pub ask: Ask,
}

/// What a client can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To append to a topic. The payload is JSON, without white space or needless escapes.
    Publish {
        /// The topic.
        topic: String,
        /// What to append.
        payload: Arc<str>,
    },
    /// To be sent all items of a topic.
    Subscribe {
        /// The topic.
        topic: String,
    },
    /// To be told when a state is signalled so often.
    Barrier {
        /// The state.
        state: String,
        /// How often; what is negative on the wire is 0.
        target: u64,
    },
    /// To signal a state.
    Signal {
        /// The state.
        state: String,
    },
    /// To hear no more of the subscription or barrier with this id.
    Cancel,
    /// Nothing that there is: there is no reply.
    Nothing,
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// That of the request.
    pub id: Arc<str>,
    /// What became of it.
    pub reply: Reply,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The item's place in the topic, from 1 on.
    Published(u64),
    /// The new count.
    Signalled(u64),
    /// The target is reached.
    Reached,
    /// An item of the topic, as JSON.
    Item(Arc<str>),
    /// It was refused.
    Error(String),
}

impl Request {
    /// Reads a message. Fails where Go's decoder would, and for an id beyond [`MAX_ID_BYTES`].
    pub fn read(message: &[u8]) -> Result<Self, Error> {
        let keys = ["id", "is_cancel", "publish", "subscribe", "barrier", "signal_entry"];
        let [id, is_cancel, publish, subscribe, barrier, signal] = object::fields(message, keys)?;
        let id: Arc<str> = value::<String>(id)?.into();
        if id.len() > MAX_ID_BYTES {
            return Err(Error::Id(id.len()));
        }
        // All are read, so that a wrong type in any is an error.
        let is_cancel = value::<bool>(is_cancel)?;
        let publish = body(publish, ["topic", "payload"])?.map(|[topic, payload]| {
            let payload = payload.map_or("null", RawValue::get);
            Ok::<_, Error>(Ask::Publish { topic: value(topic)?, payload: compact::compact(payload).into() })
        });
        let subscribe = body(subscribe, ["topic"])?
            .map(|[topic]| Ok::<_, Error>(Ask::Subscribe { topic: value(topic)? }));
        let barrier = body(barrier, ["state", "target"])?.map(|[state, target]| {
            let target = u64::try_from(value::<i64>(target)?).unwrap_or(0);
            Ok::<_, Error>(Ask::Barrier { state: value(state)?, target })
        });
        let signal =
            body(signal, ["state"])?.map(|[state]| Ok::<_, Error>(Ask::Signal { state: value(state)? }));
        let mut ask = if is_cancel { Ask::Cancel } else { Ask::Nothing };
        for wanted in
            [publish.transpose()?, subscribe.transpose()?, barrier.transpose()?, signal.transpose()?]
        {
            if ask == Ask::Nothing {
                ask = wanted.unwrap_or(Ask::Nothing);
            }
        }
        Ok(Self { id, ask })
    }

    /// The message, as the SDK in Go writes it.
    #[must_use]
    pub fn write(&self) -> String {
        let id = quoted(&self.id);
        let body = match &self.ask {
            Ask::Publish { topic, payload } => {
                format!(r#","publish":{{"topic":{},"payload":{payload}}}"#, quoted(topic))
            }
            Ask::Subscribe { topic } => format!(r#","subscribe":{{"topic":{}}}"#, quoted(topic)),
            Ask::Barrier { state, target } => {
                format!(r#","barrier":{{"state":{},"target":{target}}}"#, quoted(state))
            }
            Ask::Signal { state } => format!(r#","signal_entry":{{"state":{}}}"#, quoted(state)),
            Ask::Cancel | Ask::Nothing => String::new(),
        };
        format!(r#"{{"id":{id},"is_cancel":{}{body}}}"#, self.ask == Ask::Cancel)
    }
}

impl Response {
    /// The message, with a newline behind it. It is no longer than need be: an item's is beyond [`GO_BYTES`] only if the item is, twice
    /// encoded.
    #[must_use]
    pub fn write(&self) -> String {
        let id = quoted(&self.id);
        let seq = |seq| format!(r#"{{"seq":{seq}}}"#);
        let (null, empty) = (|| String::from("null"), || String::from(r#""""#));
        let (error, publish, subscribe, signal) = match &self.reply {
            Reply::Published(at) => (empty(), seq(at), empty(), null()),
            Reply::Signalled(count) => (empty(), null(), empty(), seq(count)),
            Reply::Reached => (empty(), null(), empty(), null()),
            Reply::Item(payload) => (empty(), null(), quoted(payload), null()),
            Reply::Error(why) => {
                (quoted(&quoted(&why[..why.floor_char_boundary(ERROR_BYTES)])), null(), empty(), null())
            }
        };
        format!(
            r#"{{"id":{id},"error":{error},"publish":{publish},"subscribe":{subscribe},"signal_entry":{signal}}}"#
        ) + "\n"
    }

    /// Reads a message; of the stock service, too, whose errors are plain text. Fails where it is no response.
    pub fn read(message: &[u8]) -> Result<Self, Error> {
        let keys = ["id", "error", "publish", "subscribe", "signal_entry"];
        let [id, error, publish, subscribe, signal] = object::fields(message, keys)?;
        let seq = |of| body(of, ["seq"])?.map(|[seq]| value::<u64>(seq)).transpose();
        let (error, item) = (value::<String>(error)?, value::<String>(subscribe)?);
        let reply = if !error.is_empty() {
            Reply::Error(serde_json::from_str(&error).unwrap_or(error))
        } else if let Some(at) = seq(publish)? {
            Reply::Published(at)
        } else if let Some(count) = seq(signal)? {
            Reply::Signalled(count)
        } else if item.is_empty() {
            Reply::Reached
        } else {
            Reply::Item(item.into())
        };
        Ok(Self { id: value::<String>(id)?.into(), reply })
    }
}

/// A value, or what Go has where there is none.
fn value<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> Result<T, Error> {
    let read = raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get())).transpose()?;
    Ok(read.flatten().unwrap_or_default())
}

/// The values of an object within a message; none where there is none.
fn body<'a, const N: usize>(
    raw: Option<&'a RawValue>,
    keys: [&str; N],
) -> Result<Option<[Option<&'a RawValue>; N]>, Error> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => Ok(Some(object::fields(text.as_bytes(), keys)?)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
