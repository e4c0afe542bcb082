//! Setting a network namespace's `lo` up, which a freshly booted kernel has not done.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};

nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Sets `lo` of this process's network namespace up.
#[expect(unsafe_code, reason = "an ioctl; the guest has no netlink library, only this one link to set up")]
pub(crate) fn set_up() -> Result<()> {
    // SAFETY: `ifreq` is integers and a union of plain data; all zeros is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // Binding needs no address to be up: any socket of the namespace will do for the request.
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot open a socket")?;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which `request` is, and the socket is open until the call returns.
    unsafe { set_flags(socket.as_raw_fd(), &raw const request) }.context("SIOCSIFFLAGS")?;
    Ok(())
}
