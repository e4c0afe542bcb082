//! Why the agent does not do what it was asked to.

use crate::failure::{Code, Failure};
use crate::journal;
use crate::states;

/// Why the agent does not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no instance of that name.
    #[error("there is no instance `{name}`; there are: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NotFound {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The name is that of another registration.
    #[error("instance `{name}` is registered as another one: delete that first")]
    Taken {
        /// The name.
        name: String,
    },
    /// What was said makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There are too many instances.
    #[error(
        "no room for another instance: {} are there, which is as many as are legal",
        super::INSTANCES_MAX
    )]
    Full,
    /// The worker has too much to do.
    #[error("instance `{name}` has {} orders waiting: come again later", super::worker::ORDERS_MAX)]
    Busy {
        /// The instance.
        name: String,
    },
    /// The namespace is gone, or the agent ends.
    #[error("instance `{name}` is gone")]
    Gone {
        /// The instance.
        name: String,
    },
    /// It cannot be made to outlive the agent, and was not done.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A state or a topic.
    #[error(transparent)]
    States(#[from] states::Error),
    /// It was tried and cannot be.
    #[error("{0}")]
    Failure(Box<Failure>),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Failure(failure) => *failure,
            Error::Usage(_) => Self::new(Code::Usage, error),
            _ => Self::new(Code::Failed, error),
        }
    }
}
