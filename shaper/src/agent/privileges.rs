//! Giving up what the agent does not need.

use caps::{CapSet, Capability, CapsHashSet};

/// What the agent uses, and the relays that it starts: the four of [`crate::probe::Cap`]; `CAP_SYS_PTRACE` for the namespaces of other users'
/// processes, `CAP_SYS_NICE` for the relay's priority, `CAP_SYS_MODULE` for ifb where it is a module, `CAP_SETPCAP` for relays to give up theirs.
const USED: [Capability; 8] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_NET_RAW,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_SYS_NICE,
    Capability::CAP_SYS_MODULE,
    Capability::CAP_SETPCAP,
];

/// Drops every capability but those in use, of all threads that are started from now on, and any way to get others.
///
/// # Errors
///
/// When the kernel refuses.
pub fn keep_what_is_used() -> Result<(), caps::errors::CapsError> {
    let used: CapsHashSet = USED.into_iter().collect();
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = permitted.intersection(&used).copied().collect();
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&used) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    // Kernels older than 4.3 have no ambient set.
    drop(caps::clear(None, CapSet::Ambient));
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    // What runs as root regains what the bounding set leaves.
    nix::sys::prctl::set_no_new_privs().map_err(|errno| caps::errors::CapsError::from(errno.to_string()))
}
