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

impl Tether {
    /// Says whether nobody but the relay has the namespace any more.
    pub(super) fn is_cut(&self) -> bool {
        let Self::Path { path, dev, ino } = self else { return false };
        // Reading another process's namespace needs the capability that `privilege::drop_all_but` left permitted.
        let raised = caps::raise(None, CapSet::Effective, Capability::CAP_SYS_PTRACE);
        let inhabited = if is_namespace(path, *dev, *ino) { Ok(true) } else { is_inhabited(*dev, *ino) };
        if raised.is_ok() {
            // A capability that was raised can be lowered.
            drop(caps::drop(None, CapSet::Effective, Capability::CAP_SYS_PTRACE));
        }
        !inhabited.unwrap_or(true)
    }
}

fn is_namespace(path: &Path, dev: u64, ino: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.dev() == dev && found.ino() == ino)
}

/// Says whether a process is in the namespace; the relay itself is not.
fn is_inhabited(dev: u64, ino: u64) -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process && is_namespace(&entry.path().join("ns/net"), dev, ino) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tether_to(path: &Path, of: &Path) -> Tether {
        let namespace = fs::metadata(of).unwrap();
        Tether::Path { path: path.to_owned(), dev: namespace.dev(), ino: namespace.ino() }
    }

    #[test]
    fn it_holds_while_the_path_names_the_namespace() {
        let own = Path::new("/proc/self/ns/net");
        assert!(!tether_to(own, own).is_cut());
        assert!(!Tether::None.is_cut());
    }

    #[test]
    fn it_holds_while_a_process_is_in_the_namespace() {
        let own = Path::new("/proc/self/ns/net");
        assert!(!tether_to(Path::new("/proc/0/ns/net"), own).is_cut());
    }

    #[test]
    fn it_is_cut_when_neither_path_nor_process_is_left() {
        // A file that is no process's network namespace.
        assert!(tether_to(Path::new("/proc/0/ns/net"), Path::new("/proc/self/ns/mnt")).is_cut());
    }
}
