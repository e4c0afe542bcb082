//! Whether the runtime's process ids are ours.

use std::fs;

use super::{Container, Error};

/// Makes sure that the process is the container's: in another process namespace than the runtime's, the number is somebody else's.
///
/// # Errors
///
/// [`Error::Elsewhere`].
pub(super) fn check(container: &Container, pid: u32) -> Result<(), Error> {
    // A runtime that says it runs has a process; one that is not here at all is elsewhere, too.
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if is_of(&groups, &container.id) {
        return Ok(());
    }
    Err(Error::Elsewhere { name: container.name.clone(), pid })
}

/// Says whether control groups are those of a container: every runtime names them by its id, with words of its own around it.
fn is_of(groups: &str, id: &str) -> bool {
    groups.contains(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_names_control_groups_by_the_id() {
        let id = "260f113338996429ebd56f8e6aa5a417e11725c1babb282a4483ec8e79237083";
        for groups in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:pids:/docker/{id}\n11:cpu:/docker/{id}\n"),
            format!(
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container\n"
            ),
            format!("0::/../{id}\n"),
        ] {
            assert!(is_of(&groups, id), "{groups}");
        }
        assert!(!is_of("0::/system.slice/ssh.service\n", id));
    }
}
