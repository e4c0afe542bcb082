//! Why a call has no answer.

use std::io;
use std::path::PathBuf;

use hyper::StatusCode;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens there, or not for us.
    #[error("cannot connect to `{}`: {source}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// `NotFound`, `ConnectionRefused`, `PermissionDenied` or another.
        source: io::Error,
    },
    /// The connection broke, or what came was no answer.
    #[error("cannot {operation} `{}`: {source}", .path.display())]
    Broken {
        /// What was tried.
        operation: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer, or a line of it, is longer than anything we ask for.
    #[error("`{}` answered with more than {limit} bytes", .path.display())]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// What is read.
        limit: usize,
    },
    /// The answer says that there is none.
    #[error("`{}` answered {status}", .path.display())]
    Status {
        /// The socket.
        path: PathBuf,
        /// What it said.
        status: StatusCode,
    },
}
