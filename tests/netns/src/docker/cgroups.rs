//! Control groups that a daemon made for its containers: they are the kernel's, and outlive every process.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process;

const ROOT: &str = "/sys/fs/cgroup";
/// What each name starts with, before the process id of its maker.
const PREFIX: &str = "shaper-test-";

/// Returns a name for the parent of a daemon's groups, which contains this process's id.
pub fn name(number: usize) -> String {
    format!("{PREFIX}{}-{number}", std::process::id())
}

/// Returns the groups of that name, in every hierarchy.
pub fn find(name: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|root| root.join(name)).filter(|path| path.is_dir()).collect()
}

/// Removes the groups of that name with all in them; those that still have processes stay.
pub fn remove(name: &str) {
    find(name).iter().for_each(|group| remove_tree(group));
}

/// Removes the groups whose makers are dead: a killed process drops nothing.
pub fn sweep() {
    for root in hierarchies() {
        for group in directories(&root) {
            let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
            if maker.is_some_and(|pid| !process::is_alive(pid)) {
                remove_tree(&group);
            }
        }
    }
}

/// The root of version 2, or those of version 1, which are below it.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    directories(&root).into_iter().chain([root]).collect()
}

fn remove_tree(group: &Path) {
    directories(group).iter().for_each(|below| remove_tree(below));
    let _busy = fs::remove_dir(group);
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}
