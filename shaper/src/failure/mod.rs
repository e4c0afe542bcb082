//! Why something could not be done: a chain of causes, what kind of failure it is, and what the user can do about it.

mod causes;

use std::fmt;

use crate::{rules, shape};

pub(crate) use causes::{bpf, docker, engine, netlink, netns, probe, report, wanted};

/// What the exit code of `shaper` means; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// What was asked for is now so.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The command line asks for something that cannot be; nothing was tried.
    Usage = 2,
    /// A capability is missing; the message names it.
    Permission = 3,
    /// This kernel lacks what it takes; the message says what, and which engine would work.
    Unsupported = 4,
    /// The agent, or the container runtime, does not answer.
    Unreachable = 5,
}

impl Code {
    /// Each, with the word by which the API tells it from others.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Failed, "failed"),
        (Self::Usage, "usage"),
        (Self::Permission, "permission"),
        (Self::Unsupported, "unsupported"),
        (Self::Unreachable, "unreachable"),
    ];
}

/// Why a command failed: a chain of causes, the exit code, and what the user can do about it.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure with the exit code `code`, caused by `error` and its own causes.
    pub fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// Puts `what`, the operation that failed, before the chain of causes.
    #[must_use]
    pub fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self { error: self.error.context(what), ..self }
    }

    /// Adds what the user can do about it; a hint given before is replaced.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The chain of causes, without the hint.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{:#}", self.error)
    }

    /// What the user can do about it.
    #[must_use]
    pub fn what_to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

/// `operation: cause: cause of the cause`, and the hint on a line of its own.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<rules::Error> for Failure {
    fn from(error: rules::Error) -> Self {
        Self::new(Code::Usage, error)
    }
}

impl From<shape::Error> for Failure {
    fn from(error: shape::Error) -> Self {
        Self::new(Code::Usage, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_chain_and_then_the_hint() {
        let cause = std::io::Error::from_raw_os_error(libc::EPERM);
        let failure =
            Failure::new(Code::Permission, cause).context("cannot enter `inst-1`").hint("run it as root");
        assert_eq!(
            failure.to_string(),
            "cannot enter `inst-1`: Operation not permitted (os error 1)\nhint: run it as root"
        );
    }
}
