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
    /// The one of a container, as it was found: by its name or id, with a process in it.
    Container {
        /// What the user calls it.
        name: String,
        /// The process.
        pid: u32,
    },
    /// The one that this command runs in.
    Own,
    /// One that was looked at before, maybe by another process: what else is there now is not taken for it.
    Seen {
        /// Where.
        target: Box<Target>,
        /// What was there.
        id: netns::Id,
    },
}

/// The longest file name (`NAME_MAX`), which the name of an `ip netns` namespace is.
pub(crate) const NAMESPACE_NAME_MAX: usize = 255;
/// The largest process id (`PID_MAX_LIMIT` is 2^22 and `pid_t` has 31 bits).
const PID_MAX: u32 = i32::MAX as u32;

/// Says what a process id is, of a text that is none.
pub(crate) fn not_a_pid(quoted: &str) -> String {
    format!("{quoted} is not a process id: write a whole number from 1 to {PID_MAX}, such as `4242`")
}

/// Says whether `ip netns` can give a namespace this name, which is that of a file.
pub(crate) fn is_namespace_name(text: &str) -> bool {
    let legal = !matches!(text, "" | "." | "..") && text.len() <= NAMESPACE_NAME_MAX;
    legal && !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
}

impl Target {
    /// Reads the name of an `ip netns` namespace, or a path, which is what has a slash.
    ///
    /// # Errors
    ///
    /// What would be legal.
    pub fn of_namespace(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Path(text.into()));
        }
        if is_namespace_name(text) && !text.starts_with('-') {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(format!(
            "{text:?} names no namespace: write a name that `ip netns` lists (such as `inst-1`) or the path of a namespace \
             file (such as `/proc/4242/ns/net`)"
        ))
    }

    /// The namespace of a process.
    ///
    /// # Errors
    ///
    /// What would be legal.
    pub fn of_pid(pid: u32) -> Result<Self, String> {
        let is_legal = (1..=PID_MAX).contains(&pid);
        if is_legal { Ok(Self::Pid(pid)) } else { Err(not_a_pid(&pid.to_string())) }
    }

    /// What identifies the namespace that is there now.
    #[must_use]
    pub fn id(&self) -> Option<netns::Id> {
        self.open().ok().map(|netns| netns.id())
    }

    /// The name that `ip netns` gave it, where it is named by that.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Seen { target, .. } => target.name(),
            _ => None,
        }
    }

    /// Opens the namespace.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not ours to open.
    pub fn open(&self) -> Result<Netns, netns::Error> {
        match self {
            Self::Name(name) => Netns::open_name(name),
            Self::Path(path) => Netns::open_path(path),
            Self::Pid(pid) | Self::Container { pid, .. } => Netns::open_pid(*pid),
            Self::Own => Netns::current(),
            Self::Seen { target, id } => {
                let netns = target.open()?;
                if netns.id() == *id {
                    return Ok(netns);
                }
                Err(netns::Error::Another { asked: target.to_string() })
            }
        }
    }

    /// The file whose existence says that the namespace is still wanted; `None` for the one that this command runs in.
    #[must_use]
    pub fn tether(&self) -> Option<PathBuf> {
        match self {
            Self::Name(name) => Some(PathBuf::from("/run/netns").join(name)),
            Self::Path(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Self::Pid(pid) | Self::Container { pid, .. } => {
                Some(PathBuf::from(format!("/proc/{pid}/ns/net")))
            }
            Self::Own => None,
            Self::Seen { target, .. } => target.tether(),
        }
    }
}

/// As `--ns`, `--pid`, `--container` or `--self` would name it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
            Self::Pid(pid) => write!(f, "pid {pid}"),
            Self::Container { name, .. } => write!(f, "container {name}"),
            Self::Own => f.write_str("self"),
            Self::Seen { target, .. } => target.fmt(f),
        }
    }
}
