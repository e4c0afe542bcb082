//! From what the user named to a namespace and a link.

pub mod link;
pub mod netns;

use std::fmt;
use std::path::PathBuf;

use netns::Netns;

/// A network namespace as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of `ip netns`, by name.
    Name(String),
    /// A namespace file, such as `/proc/PID/ns/net`.
    Path(PathBuf),
    /// The one that a process runs in.
    Pid(u32),
    /// The one that this command runs in.
    Own,
}

impl Target {
    /// Opens the namespace.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not ours to open.
    pub fn open(&self) -> Result<Netns, netns::Error> {
        match self {
            Self::Name(name) => Netns::open_name(name),
            Self::Path(path) => Netns::open_path(path),
            Self::Pid(pid) => Netns::open_pid(*pid),
            Self::Own => Netns::current(),
        }
    }

    /// The file whose existence says that the namespace is still wanted; `None` for the one that this command runs in.
    #[must_use]
    pub fn tether(&self) -> Option<PathBuf> {
        match self {
            Self::Name(name) => Some(PathBuf::from("/run/netns").join(name)),
            Self::Path(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Self::Pid(pid) => Some(PathBuf::from(format!("/proc/{pid}/ns/net"))),
            Self::Own => None,
        }
    }
}

/// As `--ns`, `--pid` or `--self` would name it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
            Self::Pid(pid) => write!(f, "pid {pid}"),
            Self::Own => f.write_str("self"),
        }
    }
}
