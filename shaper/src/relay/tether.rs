//! When to end for want of an owner: the relay's descriptors would keep a namespace that everybody else has left.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};

/// What the relay's namespace hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tether {
    /// The namespace file through which the user named it (`/run/netns/NAME`, `/proc/PID/ns/net`, `/proc/PID/fd/N`), or any process in it.
    Path {
        /// The file.
        path: PathBuf,
        /// `st_dev` of the namespace.
        dev: u64,
        /// `st_ino` of the namespace.
        ino: u64,
    },
    /// Nothing: the relay stays until it is told to end.
    None,
}

/// A [`Tether`] that is looked at now and then.
#[derive(Debug)]
pub(super) struct Watch {
    tether: Tether,
    /// The namespace file of a process found in the namespace after the tether's own path was gone.
    inhabitant: Option<PathBuf>,
}

impl Watch {
    /// Watches `tether`.
    pub(super) fn new(tether: Tether) -> Self {
        Self { tether, inhabitant: None }
    }

    /// Says whether nobody but the relay has the namespace any more.
    pub(super) fn is_cut(&mut self) -> bool {
        let Tether::Path { path, dev, ino } = &self.tether else { return false };
        // `/proc/PID/…` of another process can be read with the capability that `privilege::drop_all_but` left permitted.
        let raised = caps::raise(None, CapSet::Effective, Capability::CAP_SYS_PTRACE);
        let named = is_namespace(path, *dev, *ino).unwrap_or_else(|error| !is_gone(&error));
        if !named
            && !self.inhabitant.as_ref().is_some_and(|path| is_namespace(path, *dev, *ino).unwrap_or(false))
        {
            self.inhabitant = inhabitant(*dev, *ino);
        }
        if raised.is_ok() {
            // A capability that could be raised can be lowered.
            drop(caps::drop(None, CapSet::Effective, Capability::CAP_SYS_PTRACE));
        }
        !named && self.inhabitant.is_none()
    }
}

fn is_namespace(path: &Path, dev: u64, ino: u64) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    Ok(found.dev() == dev && found.ino() == ino)
}

/// Says whether the error is the file's absence and not, say, a lack of permission to see it.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::ENOTDIR))
}

/// Finds a process in the namespace and returns its namespace file; the relay itself is not in it.
fn inhabitant(dev: u64, ino: u64) -> Option<PathBuf> {
    fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .map(|entry| entry.path().join("ns/net"))
        .find(|path| is_namespace(path, dev, ino).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(path: &Path, of: &Path) -> Watch {
        let namespace = fs::metadata(of).unwrap();
        Watch::new(Tether::Path { path: path.to_owned(), dev: namespace.dev(), ino: namespace.ino() })
    }

    #[test]
    fn it_holds_while_the_path_names_the_namespace() {
        let own = Path::new("/proc/self/ns/net");
        assert!(!watch(own, own).is_cut());
        assert!(!Watch::new(Tether::None).is_cut());
    }

    #[test]
    fn it_holds_while_a_process_is_in_the_namespace() {
        let own = Path::new("/proc/self/ns/net");
        assert!(!watch(Path::new("/proc/0/ns/net"), own).is_cut());
    }

    #[test]
    fn it_holds_while_the_path_cannot_be_looked_at() {
        // ENAMETOOLONG says nothing about the namespace (here one that is no process's).
        let unseen = PathBuf::from("/x".repeat(3000));
        assert!(!watch(&unseen, Path::new("/proc/self/ns/mnt")).is_cut());
    }

    #[test]
    fn it_is_cut_when_neither_path_nor_process_is_left() {
        // A file that is no process's network namespace.
        assert!(watch(Path::new("/proc/0/ns/net"), Path::new("/proc/self/ns/mnt")).is_cut());
    }
}
