//! Counters (*states*) that processes signal and wait for, and topics that they publish to and read.
//!
//! [`memory`] is what they are; this is a handle to them, in the memory of this process, with a journal or without, or in a server that
//! several share. In memory all is kept until [`States::forget`]: nothing expires by time, for a run may wait for a state that was signalled
//! hours ago.

pub mod memory;

mod elsewhere;
mod error;
mod local;
mod record;
mod redis;
mod waiters;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::journal;
pub use elsewhere::{Elsewhere, Items};
pub use error::Error;
use memory::Limits;
pub use waiters::Ticket;

/// Bytes of the name of a state or topic, at most. Keys hold the names of run, plan and case, and one of the user's.
pub const MAX_NAME_BYTES: usize = 1024;
/// States, at most: ten for each of ten thousand instances, and some.
pub const MAX_STATES: usize = 1 << 17;
/// Topics, at most.
pub const MAX_TOPICS: usize = 1 << 17;
/// Bytes that all topics hold, at most.
pub const MAX_BYTES: usize = 512 << 20;
/// Bytes that an item takes beside its payload.
pub const ITEM_BYTES: usize = 64;
/// Reasons that a state keeps of those for which it was refused; more are counted.
pub const MAX_REFUSALS: usize = 8;
/// Bytes of a reason, at most; more are cut off.
pub const MAX_WHY_BYTES: usize = 1024;
/// Changes that are kept for who watches, at most; more are missed, oldest first.
pub const CHANGES: usize = 4096;

/// What is known of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// How often it was signalled.
    pub count: u64,
    /// How often it was refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Why: the first [`MAX_REFUSALS`] reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Arc<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One item of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the topic, from 1 on.
    pub seq: u64,
    /// What was published.
    pub payload: Arc<str>,
}

/// What happened to a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was signalled.
    Count {
        /// The state.
        state: Arc<str>,
        /// The new count.
        count: u64,
    },
    /// It was refused.
    Refused {
        /// The state.
        state: Arc<str>,
        /// The reason.
        why: Arc<str>,
    },
    /// All states were forgotten whose names begin so.
    Forgotten {
        /// How they begin.
        prefix: Arc<str>,
    },
    /// So many changes are not told, because the reader was more than [`CHANGES`] behind.
    Missed(u64),
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Number of states.
    pub states: usize,
    /// Number of topics.
    pub topics: usize,
    /// Bytes of all items, [`ITEM_BYTES`] for each included.
    pub bytes: usize,
    /// Number of subscriptions.
    pub subscribers: u64,
    /// Number of those who wait for a state or an item.
    pub waiters: usize,
}

/// A handle to counters and topics; its clones are handles to the same.
#[derive(Clone, Debug)]
pub struct States {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local(Arc<local::Local>),
    Redis(Arc<redis::Redis>),
    Elsewhere(Arc<dyn Elsewhere>),
}

impl States {
    /// Counters and topics in the memory of this process, gone with the last handle.
    #[must_use]
    pub fn memory() -> Self {
        Self::limited(Limits::default())
    }

    /// As [`Self::memory`], with other limits.
    #[must_use]
    pub fn limited(limits: Limits) -> Self {
        Self { backend: Backend::Local(Arc::new(local::Local::new(limits))) }
    }

    /// As [`Self::memory`], with a journal at `path`: who opens it after this process ended, however it did, has all that was acknowledged.
    /// The file takes about what the items take, twice that at most. Fails when another process has it open.
    pub fn journalled(path: &Path) -> Result<Self, journal::Error> {
        let local = local::Local::journalled(Limits::default(), path)?;
        Ok(Self { backend: Backend::Local(Arc::new(local)) })
    }

    /// Counters and topics in a Redis or Valkey server, such as `redis://:password@host:6379/0`, shared with all who are connected to the
    /// same. They are kept there for a day after they were last changed. In a runtime. Fails when the server does not answer.
    pub async fn redis(url: &str) -> Result<Self, Error> {
        Ok(Self { backend: Backend::Redis(Arc::new(redis::Redis::connect(url).await?)) })
    }

    /// Counters and topics that somebody else keeps: what is signalled, published, waited for and read goes there, and nothing else can be asked.
    #[must_use]
    pub fn elsewhere(keeper: impl Elsewhere + 'static) -> Self {
        Self { backend: Backend::Elsewhere(Arc::new(keeper)) }
    }

    /// Counts one more; the new count. Fails beyond [`MAX_STATES`] or [`MAX_NAME_BYTES`].
    pub async fn signal(&self, state: &str) -> Result<u64, Error> {
        match &self.backend {
            Backend::Local(local) => local.signal(state, None),
            Backend::Redis(redis) => redis.signal(state, None).await,
            Backend::Elsewhere(keeper) => keeper.signal(state).await,
        }
    }

    /// As [`Self::signal`], but only the first time that it is said with `once`, by whichever process; else the count of that time. Somebody
    /// else's sync service cannot tell, and always counts. Fails also beyond [`MAX_BYTES`].
    pub async fn signal_once(&self, state: &str, once: &str) -> Result<u64, Error> {
        match &self.backend {
            Backend::Local(local) => local.signal(state, Some(once)),
            Backend::Redis(redis) => redis.signal(state, Some(once)).await,
            Backend::Elsewhere(keeper) => keeper.signal(state).await,
        }
    }

    /// Waits until the count is `target` or more; the count then. 0 is reached at once. Fails with [`Error::Refused`] when the target is not
    /// reached and the state is refused, now or later; with [`Error::Forgotten`] when it is forgotten; beyond [`MAX_STATES`] or
    /// [`MAX_NAME_BYTES`]. Dropped, it leaves nothing behind.
    pub async fn reached(&self, state: &str, target: u64) -> Result<u64, Error> {
        match &self.backend {
            Backend::Local(local) => local.reached(state, target).await,
            Backend::Redis(redis) => redis.reached(state, target).await,
            Backend::Elsewhere(keeper) => keeper.reached(state, target).await.map(|()| target),
        }
    }

    /// What would have been signalled was refused or failed: whoever waits, and whose target is not reached, learns why, now and later.
    /// Counts go on as before. Fails beyond [`MAX_STATES`] or [`MAX_NAME_BYTES`].
    pub async fn refuse(&self, state: &str, why: &str) -> Result<(), Error> {
        match &self.backend {
            Backend::Local(local) => local.refuse(state, why),
            Backend::Redis(redis) => redis.refuse(state, why).await,
            Backend::Elsewhere(_) => elsewhere::cannot("refuse in"),
        }
    }

    /// What is known of a state; nothing is made where there is none.
    pub async fn count(&self, state: &str) -> Result<Reading, Error> {
        match &self.backend {
            Backend::Local(local) => Ok(local.reading(state)),
            Backend::Redis(redis) => redis.reading(state).await,
            Backend::Elsewhere(_) => elsewhere::cannot("read from"),
        }
    }

    /// All states whose names begin with `prefix`, in the order of their names. Watch first, then read: what changes in between is then told
    /// twice and not missed.
    pub async fn readings(&self, prefix: &str) -> Result<Vec<(Arc<str>, Reading)>, Error> {
        match &self.backend {
            Backend::Local(local) => Ok(local.readings(prefix)),
            Backend::Redis(redis) => redis.readings(prefix).await,
            Backend::Elsewhere(_) => elsewhere::cannot("read from"),
        }
    }

    /// Appends to a topic; the item's place, from 1 on. Who reads it by way of [`crate::testground::server`] takes it for JSON. Fails beyond
    /// [`MAX_BYTES`], [`MAX_TOPICS`] or [`MAX_NAME_BYTES`].
    pub async fn publish(&self, topic: &str, payload: impl Into<Arc<str>>) -> Result<u64, Error> {
        match &self.backend {
            Backend::Local(local) => local.publish(topic, &payload.into()),
            Backend::Redis(redis) => redis.publish(topic, &payload.into()).await,
            Backend::Elsewhere(keeper) => keeper.publish(topic, &payload.into()).await,
        }
    }

    /// A reader of a topic, from its first item on. Fails beyond [`MAX_TOPICS`] or [`MAX_NAME_BYTES`].
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription, Error> {
        match &self.backend {
            Backend::Local(local) => Ok(Subscription { reader: Reader::Local(local.subscribe(topic)?) }),
            Backend::Redis(redis) => Ok(Subscription { reader: Reader::Redis(redis.subscribe(topic)?) }),
            Backend::Elsewhere(keeper) => {
                Ok(Subscription { reader: Reader::Elsewhere(keeper.subscribe(topic), 0) })
            }
        }
    }

    /// Every change from now on, of all states.
    pub async fn watch(&self) -> Result<Changes, Error> {
        match &self.backend {
            Backend::Local(local) => Ok(Changes { receiver: local.watch(), _states: self.clone() }),
            Backend::Redis(redis) => Ok(Changes { receiver: redis.watch(), _states: self.clone() }),
            Backend::Elsewhere(_) => elsewhere::cannot("watch"),
        }
    }

    /// Drops all states and topics whose names begin with `prefix`; how many. Who waits for one is told so, and a subscription of one ends.
    pub async fn forget(&self, prefix: &str) -> Result<u64, Error> {
        match &self.backend {
            Backend::Local(local) => local.forget(prefix),
            Backend::Redis(redis) => redis.forget(prefix).await,
            Backend::Elsewhere(_) => elsewhere::cannot("forget in"),
        }
    }

    /// How much is kept.
    pub async fn held(&self) -> Result<Held, Error> {
        match &self.backend {
            Backend::Local(local) => Ok(local.held()),
            Backend::Redis(redis) => Ok(redis.held()),
            Backend::Elsewhere(_) => Ok(Held::default()),
        }
    }
}

/// A reader of a topic, at its own pace: it holds an index, and keeps nobody waiting.
#[derive(Debug)]
pub struct Subscription {
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Local(local::Reader),
    Redis(redis::Reader),
    Elsewhere(Box<dyn Items>, u64),
}

impl Subscription {
    /// The next item, when it is there. Fails with [`Error::Forgotten`] when the topic is forgotten. Dropped, it loses no item.
    pub async fn next(&mut self) -> Result<Item, Error> {
        match &mut self.reader {
            Reader::Local(reader) => reader.next().await,
            Reader::Redis(reader) => reader.next().await,
            Reader::Elsewhere(items, seen) => {
                let payload = items.next().await?;
                *seen += 1;
                Ok(Item { seq: *seen, payload })
            }
        }
    }
}

/// A reader of changes.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Change>,
    /// As long as somebody may signal, there is something to wait for.
    _states: States,
}

impl Changes {
    /// The next change, or [`Change::Missed`] in the place of those that this reader was too slow for. Dropped, it loses none.
    pub async fn next(&mut self) -> Result<Change, Error> {
        match self.receiver.recv().await {
            Ok(change) => Ok(change),
            Err(broadcast::error::RecvError::Lagged(missed)) => Ok(Change::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => unreachable!("a handle to the states is held"),
        }
    }
}
