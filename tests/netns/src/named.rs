//! Namespaces with a name, as `ip netns add` makes them: for what selects by name, or looks at all there are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::node::Node;
use crate::process;

const DIRECTORY: &str = "/run/netns";
/// What each name starts with, before the process id of its maker.
const PREFIX: &str = "shaper-test-";

/// A name for a node's namespace; dropped, it is taken away again.
#[derive(Debug)]
pub struct Name {
    text: String,
}

impl Name {
    /// Gives the node's namespace a name that contains this process's id.
    ///
    /// # Panics
    /// When /run/netns cannot be written or mounted on.
    pub fn give(node: &Node) -> Self {
        static NAMES: AtomicUsize = AtomicUsize::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let text = format!("{PREFIX}{}-{number}", std::process::id());
        fs::create_dir_all(DIRECTORY).unwrap_or_else(|error| panic!("{DIRECTORY}: {error}"));
        let name = Self { text };
        File::create(name.path()).unwrap_or_else(|error| panic!("{}: {error}", name.path().display()));
        let nothing: Option<&str> = None;
        mount(Some(&node.path()), &name.path(), nothing, MsFlags::MS_BIND, nothing)
            .unwrap_or_else(|errno| panic!("cannot mount on {}: {errno}", name.path().display()));
        name
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.text)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path()) {
            eprintln!("cannot remove the namespace name {}: {error}", self.text);
        }
    }
}

/// Removes the names whose makers are dead: a killed process drops nothing.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if maker.is_some_and(|pid| !process::is_alive(pid))
            && let Err(error) = remove(&entry.path())
        {
            eprintln!("cannot remove the namespace name {}: {error}", entry.path().display());
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: the maker died between the file and the mount.
        Ok(()) | Err(Errno::EINVAL) => fs::remove_file(path),
        Err(errno) => Err(errno.into()),
    }
}
