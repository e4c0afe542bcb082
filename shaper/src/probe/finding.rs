//! What was found, and why it is believed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use nix::errno::Errno;

use super::Capability;
use crate::netlink;

/// What was asked of the kernel about one capability, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The request, as a command of iproute2, a system call or a file.
    pub tried: String,
    /// The answer.
    pub outcome: Outcome,
}

/// A kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there; what the kernel said where that is more than "done".
    Yes(Option<String>),
    /// It is not there.
    No(Refusal),
    /// Nobody could ask.
    NotTried(Obstacle),
}

/// How the kernel said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its error number; `None` when what it said was not an error.
    pub errno: Option<Errno>,
    /// Its explanation: an extended ack or the verifier's, where there was one.
    pub words: Option<String>,
}

/// Why nobody could ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// This process may not.
    Permission {
        /// What it takes, as `CAP_BPF`.
        takes: &'static str,
        /// The answer that it got.
        refusal: Refusal,
    },
    /// The request needs another capability, which is missing.
    Without(Capability),
    /// Anything else.
    Failed(String),
}

impl Finding {
    /// Says whether the capability is there.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self.outcome, Outcome::Yes(_))
    }

    /// `Some(true)` when it is there, `Some(false)` when it is not, `None` when nobody could ask.
    #[must_use]
    pub fn available(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Yes(_) => Some(true),
            Outcome::No(_) => Some(false),
            Outcome::NotTried(_) => None,
        }
    }
}

/// The evidence: the request, then the answer.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tried, self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes(None) => f.write_str("done"),
            Self::Yes(Some(words)) => f.write_str(words),
            Self::No(refusal) => refusal.fmt(f),
            Self::NotTried(obstacle) => obstacle.fmt(f),
        }
    }
}

impl Refusal {
    /// A refusal in words of ours, where the kernel gave no error.
    #[must_use]
    pub fn in_words(words: impl Into<String>) -> Self {
        Self { errno: None, words: Some(words.into()) }
    }

    /// Says whether what stood in the way is a right that another process could have.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno, Some(Errno::EPERM | Errno::EACCES))
    }
}

/// `ENOENT: "the kernel's words"`, or the C library's text for want of the kernel's.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.errno, &self.words) {
            (Some(errno), Some(words)) => write!(f, "{errno:?}: \"{}\"", words.trim_end_matches('.')),
            (Some(errno), None) => write!(f, "{errno:?}: {}", errno.desc()),
            (None, Some(words)) => f.write_str(words),
            (None, None) => f.write_str("no"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { takes, refusal } => write!(f, "{refusal}; takes {takes}"),
            Self::Without(capability) => write!(f, "not tried, for want of {capability}"),
            Self::Failed(words) => write!(f, "not tried: {words}"),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), words: None }
    }
}

impl From<&io::Error> for Refusal {
    fn from(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno::from_raw(number).into(),
            None => Self::in_words(error.to_string()),
        }
    }
}

impl From<netlink::Error> for Refusal {
    fn from(error: netlink::Error) -> Self {
        Self { errno: Some(error.errno()), words: error.ext_ack().map(str::to_owned) }
    }
}

/// What is known of a kernel; a capability that was not of interest is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    by_capability: BTreeMap<Capability, Finding>,
}

impl Findings {
    /// What was found about `capability`.
    #[must_use]
    pub fn get(&self, capability: Capability) -> Option<&Finding> {
        self.by_capability.get(&capability)
    }

    /// Notes what was found about `capability`, in place of what was known before.
    pub fn insert(&mut self, capability: Capability, finding: Finding) {
        self.by_capability.insert(capability, finding);
    }

    /// Everything found, in the order of [`Capability::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Capability, &Finding)> {
        self.by_capability.iter().map(|(capability, finding)| (*capability, finding))
    }
}
