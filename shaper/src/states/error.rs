//! Why a counter or a topic did not do what it was asked to.

use std::sync::Arc;

/// Why a counter or a topic did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What would have been counted by the state was refused or failed: the target may never be reached.
    #[error("state `{state}` was refused: {why}")]
    Refused {
        /// The state.
        state: Arc<str>,
        /// The first reason that was given.
        why: Arc<str>,
    },
    /// The run that the name belongs to is over.
    #[error("`{name}` is of a run that is over")]
    Forgotten {
        /// The state or the topic.
        name: Arc<str>,
    },
    /// The name is too long.
    #[error("a name of {bytes} bytes; up to {limit} are legal")]
    Name {
        /// Its length.
        bytes: usize,
        /// What is legal.
        limit: usize,
    },
    /// There is no room for another state.
    #[error("no room for another state: {limit} are there, which is as many as are legal")]
    States {
        /// What is legal.
        limit: usize,
    },
    /// There is no room for another topic.
    #[error("no room for another topic: {limit} are there, which is as many as are legal")]
    Topics {
        /// What is legal.
        limit: usize,
    },
    /// There is no room for another item.
    #[error("no room for an item of {bytes} bytes: topics hold {held} bytes, up to {limit} are legal")]
    Bytes {
        /// What the item takes.
        bytes: usize,
        /// What is held by all topics.
        held: usize,
        /// What is legal.
        limit: usize,
    },
    /// It cannot be made to outlive this process, and was not done.
    #[error("{why}")]
    Journal {
        /// Why not.
        why: Arc<str>,
    },
    /// The server that keeps them does not do what it should.
    #[error("cannot {operation} the server of states: {why}")]
    Server {
        /// What was tried, such as `read from`.
        operation: &'static str,
        /// Why it failed.
        why: Arc<str>,
    },
}
