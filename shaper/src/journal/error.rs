//! Why a journal cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process writes it.
    #[error("another agent has `{}` open", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A line is no record: somebody else wrote to the file.
    #[error("line {line} of `{}` is no record: {why}; take the file away to begin anew", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Which line, from 1 on.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// What the kernel refused.
    #[error("cannot {operation} `{}`: {source}", .path.display())]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
