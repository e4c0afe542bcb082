//! Giving up what the relay does not need: it works on descriptors it was given.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;

/// Drops every capability but those in `kept`, which stay permitted and are not in effect, and any way to get others.
pub(super) fn drop_all_but(kept: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    // Without CAP_SETPCAP the bounding set stays; `no_new_privs` makes it irrelevant.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        caps::clear(None, CapSet::Bounding)?;
    }
    // Kernels older than 4.3 have no ambient set.
    drop(caps::clear(None, CapSet::Ambient));
    caps::clear(None, CapSet::Inheritable)?;
    caps::clear(None, CapSet::Effective)?;
    let kept: CapsHashSet = kept.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

/// Makes sure that no program this process might run gets privileges.
pub(super) fn forbid_new_privileges() -> Result<(), Errno> {
    nix::sys::prctl::set_no_new_privs()
}

/// Asks to run before others; not being allowed to is no error.
pub(super) fn raise_priority() -> io::Result<()> {
    // SAFETY: the arguments are plain integers.
    let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
    Errno::result(set)?;
    Ok(())
}
