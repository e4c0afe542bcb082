//! Counters and topics that are kept by somebody else, who takes signals and publishes, and tells no more than what is waited for.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Error;

/// Whoever keeps them.
pub trait Elsewhere: Debug + Send + Sync {
    /// As [`super::States::signal`].
    fn signal<'a>(&'a self, state: &'a str) -> BoxFuture<'a, Result<u64, Error>>;

    /// As [`super::States::reached`].
    fn reached<'a>(&'a self, state: &'a str, target: u64) -> BoxFuture<'a, Result<(), Error>>;

    /// As [`super::States::publish`].
    fn publish<'a>(&'a self, topic: &'a str, payload: &'a str) -> BoxFuture<'a, Result<u64, Error>>;

    /// As [`super::States::subscribe`].
    fn subscribe(&self, topic: &str) -> Box<dyn Items>;
}

/// The items of a topic, from the first one on.
pub trait Items: Debug + Send {
    /// The next one, when it is there. Dropped, it loses none.
    fn next(&mut self) -> BoxFuture<'_, Result<Arc<str>, Error>>;
}

/// What cannot be asked of somebody else.
pub(super) fn cannot<T>(operation: &'static str) -> Result<T, Error> {
    Err(Error::Server {
        operation,
        why: "the sync service that the agent is connected to has no such request".into(),
    })
}
