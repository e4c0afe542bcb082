//! Whether the runtime's process ids are ours.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Container, Error};

/// The process namespace that the machine began with (PROC_PID_INIT_INO of include/linux/proc_ns.h).
const FIRST: u64 = 0xefff_fffc;

/// Makes sure that the process is the container's: in another process namespace the number may be somebody else's.
///
/// # Errors
///
/// [`Error::Elsewhere`].
pub(super) fn check(container: &Container, pid: u32) -> Result<(), Error> {
    if fs::metadata("/proc/self/ns/pid").is_ok_and(|own| own.ino() == FIRST) {
        return Ok(());
    }
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // Runtimes name a container's control group by its id, with words of their own around it.
    if cgroups.contains(&container.id) {
        return Ok(());
    }
    Err(Error::Elsewhere { name: container.name.clone(), pid })
}
