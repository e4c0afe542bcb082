//! What can go wrong between a message and its acknowledgement.

use nix::errno::Errno;

/// A netlink operation that failed, with the kernel's own words where it gave some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be made.
    #[error("cannot open a netlink socket: {}", cause(.errno, None))]
    Open {
        /// Why.
        errno: Errno,
    },
    /// The message did not reach the kernel, so nothing was done.
    #[error("cannot {operation}: sending to the kernel failed: {}", cause(.errno, None))]
    Send {
        /// What was tried.
        operation: String,
        /// Why.
        errno: Errno,
    },
    /// The message was sent and its answer could not be read, so what was done is unknown.
    #[error("cannot {operation}: no answer from the kernel: {}", cause(.errno, None))]
    Receive {
        /// What was tried.
        operation: String,
        /// Why; `ENODATA` for an answer without the expected content.
        errno: Errno,
    },
    /// The kernel read the message and said no.
    #[error("cannot {operation}: {}", cause(.errno, .ext_ack.as_deref()))]
    Refused {
        /// What was tried.
        operation: String,
        /// The kernel's error number.
        errno: Errno,
        /// The kernel's explanation (`NLMSGERR_ATTR_MSG`).
        ext_ack: Option<String>,
        /// Which message of the batch was refused, counted from zero; 0 for a single request.
        index: usize,
    },
    /// A dump that changed under the reader every time it was tried.
    #[error("cannot {operation}: the list kept changing while it was read")]
    Unstable {
        /// What was tried.
        operation: String,
    },
}

impl Error {
    /// Returns the error number; `EINTR` for a dump that never held still.
    pub fn errno(&self) -> Errno {
        match self {
            Error::Open { errno }
            | Error::Send { errno, .. }
            | Error::Receive { errno, .. }
            | Error::Refused { errno, .. } => *errno,
            Error::Unstable { .. } => Errno::EINTR,
        }
    }

    /// Returns the kernel's explanation, when it gave one.
    pub fn ext_ack(&self) -> Option<&str> {
        match self {
            Error::Refused { ext_ack, .. } => ext_ack.as_deref(),
            Error::Open { .. } | Error::Send { .. } | Error::Receive { .. } | Error::Unstable { .. } => None,
        }
    }

    /// Returns which message of a batch was refused, counted from zero.
    pub fn index(&self) -> Option<usize> {
        match self {
            Error::Refused { index, .. } => Some(*index),
            Error::Open { .. } | Error::Send { .. } | Error::Receive { .. } | Error::Unstable { .. } => None,
        }
    }
}

/// Prints `ENOENT: "kernel text"`, or the C library's text for want of the kernel's.
fn cause(errno: &Errno, ext_ack: Option<&str>) -> String {
    match ext_ack {
        Some(text) => format!("{errno:?}: \"{}\"", text.trim_end_matches('.')),
        None => format!("{errno:?}: {}", errno.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(ext_ack: Option<&str>) -> Error {
        Error::Refused {
            operation: "add qdisc `fq` to `eth0` (parent root)".into(),
            errno: Errno::ENOENT,
            ext_ack: ext_ack.map(String::from),
            index: 3,
        }
    }

    #[test]
    fn a_refusal_quotes_the_kernel() {
        let error = refused(Some("Specified qdisc kind is unknown."));
        assert_eq!(
            error.to_string(),
            "cannot add qdisc `fq` to `eth0` (parent root): ENOENT: \"Specified qdisc kind is unknown\""
        );
        assert_eq!(error.ext_ack(), Some("Specified qdisc kind is unknown."));
        assert_eq!(error.index(), Some(3));
        assert_eq!(error.errno(), Errno::ENOENT);
    }

    #[test]
    fn without_the_kernels_words_the_number_is_explained() {
        let error = refused(None);
        assert_eq!(
            error.to_string(),
            "cannot add qdisc `fq` to `eth0` (parent root): ENOENT: No such file or directory"
        );
    }
}
