//! Finding the namespaces that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{CURRENT, Error, Id, NAME_DIRS, Netns, open};
use crate::target::Target;

/// How a user would name a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// As `ip netns` does.
    Name(String),
    /// By the lowest-numbered process in it.
    Pid(u32),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Name(name) => f.write_str(name),
            Name::Pid(pid) => write!(f, "process {pid}"),
        }
    }
}

/// A namespace that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its identity.
    pub id: Id,
    /// Its name, when it has one.
    pub name: Name,
    /// Whether the calling thread is in it.
    pub is_current: bool,
    path: PathBuf,
}

impl Found {
    /// The namespace as a user would name it, and no other.
    #[must_use]
    pub fn target(&self) -> Target {
        let target = match &self.name {
            Name::Name(name) => Target::Name(name.clone()),
            Name::Pid(pid) => Target::Pid(*pid),
        };
        Target::Seen { target: Box::new(target), id: self.id }
    }

    /// Opens the namespace.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it went away since; see [`Netns::open_path`].
    pub fn open(&self) -> Result<Netns, Error> {
        let absent =
            || Error::NotFound { asked: format!("network namespace `{}`", self.name), known: Vec::new() };
        open(&self.path, self.name.to_string()).map_err(|opening| opening.or(absent))
    }
}

/// Lists the namespaces that have a name or a process, each once, by its name where it has one.
///
/// Those that this user may not see, and those that only a file descriptor keeps alive, are not in the list.
pub fn list() -> Vec<Found> {
    let current = identify(Path::new(CURRENT));
    let mut found = BTreeMap::new();
    let mut add = |name: Name, path: PathBuf| {
        let Some(id) = identify(&path) else { return };
        found.entry(id).or_insert(Found { id, name, is_current: Some(id) == current, path });
    };
    for (name, path) in named() {
        // Only a mount makes the file a namespace; what `ip netns` leaves after a crash is a plain file.
        if open(&path, name.clone()).is_ok() {
            add(Name::Name(name), path);
        }
    }
    for pid in pids() {
        add(Name::Pid(pid), PathBuf::from(format!("/proc/{pid}/ns/net")));
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Finds the namespace that `is` tells, of those of [`list`]: the caller's own first, then those with a name, then those of processes.
///
/// Each is asked about once, and none behind the one that is found.
pub fn find(mut is: impl FnMut(&Netns) -> bool) -> Option<Netns> {
    let of_processes =
        pids().into_iter().map(|pid| (format!("process {pid}"), format!("/proc/{pid}/ns/net").into()));
    let mut seen = BTreeSet::new();
    std::iter::once(("self".to_owned(), PathBuf::from(CURRENT))).chain(named()).chain(of_processes).find_map(
        |(name, path)| {
            // Cheaper than to open each one of a thousand processes.
            identify(&path).filter(|id| seen.insert(*id))?;
            open(&path, name).ok().filter(|netns| is(netns))
        },
    )
}

/// Returns the names of `ip netns`, sorted.
pub(super) fn names() -> Vec<String> {
    named().into_iter().map(|(name, _)| name).collect()
}

fn named() -> Vec<(String, PathBuf)> {
    let entries = NAME_DIRS.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
    let mut named: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    named.sort();
    named.dedup_by(|a, b| a.0 == b.0);
    named
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<_> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// What identifies the namespace of any kind whose file is at `path`; `None` where there is none, or none to be seen.
pub fn identify(path: &Path) -> Option<Id> {
    let metadata = fs::metadata(path).ok()?;
    Some(Id { dev: metadata.dev(), ino: metadata.ino() })
}
