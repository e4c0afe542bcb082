//! The TAP whose frames are held: opened where the link is, read and written by the relay.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_file};
use nix::sys::stat::Mode;

use super::vnet::VNET_LEN;

const PATH: &CStr = c"/dev/net/tun";

/// Offloads every kernel with TSO in its TAP has.
const OFFLOADS: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// UDP segmentation, from Linux 6.2. Without it the kernel segments UDP in front of the TAP.
const UDP_OFFLOADS: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// What can fail when a TAP is opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device node could not be opened.
    #[error("cannot open `/dev/net/tun` (CONFIG_TUN, and the device node, are needed)")]
    OpenNode {
        /// The kernel's reason; `ENOENT`, `ENODEV` or `ENXIO` where there is no TUN driver.
        source: io::Error,
    },
    /// The name is longer than 15 bytes or has a zero byte.
    #[error("`{name}` is not a legal name of a network device")]
    Name {
        /// The name.
        name: String,
    },
    /// The device could not be made.
    #[error("cannot make the TAP `{name}`")]
    Create {
        /// Its name.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The device could not be set up.
    #[error("cannot set {setting} of the TAP `{name}`")]
    Set {
        /// The setting, by its ioctl.
        setting: &'static str,
        /// The device.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// An open TAP; the device exists for as long as the descriptor is open somewhere.
#[derive(Debug)]
pub struct Tap {
    /// The descriptor: nonblocking, close-on-exec.
    pub fd: OwnedFd,
    /// The device's name.
    pub name: String,
}

/// Makes the TAP `name` in the calling thread's network namespace. It is down, with the kernel's defaults for MTU and queue.
///
/// # Errors
///
/// Without `CAP_NET_ADMIN`, without a TUN driver, or when the name is taken.
pub fn open(name: &str) -> Result<Tap, Error> {
    let mut request = request(name)?;
    let fd = open_file(PATH, OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::OpenNode { source: errno.into() })?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives across the call.
    let created = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(created).map_err(|errno| Error::Create { name: name.to_owned(), source: errno.into() })?;
    let failed =
        |setting| move |errno: Errno| Error::Set { setting, name: name.to_owned(), source: errno.into() };
    set_vnet_len(&fd).map_err(failed("TUNSETVNETHDRSZ"))?;
    set_offloads(&fd, OFFLOADS | UDP_OFFLOADS)
        .or_else(|_| set_offloads(&fd, OFFLOADS))
        .map_err(failed("TUNSETOFFLOAD"))?;
    Ok(Tap { fd, name: name.to_owned() })
}

fn request(name: &str) -> Result<libc::ifreq, Error> {
    // SAFETY: `ifreq` is integers and unions of integers and pointers, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.is_empty() || name.len() > room || name.contains('\0') {
        return Err(Error::Name { name: name.to_owned() });
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    Ok(request)
}

fn set_vnet_len(fd: &OwnedFd) -> Result<(), Errno> {
    let len = VNET_LEN as libc::c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which lives across the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) })?;
    Ok(())
}

fn set_offloads(fd: &OwnedFd, offloads: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    let set = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
    Errno::result(set)?;
    Ok(())
}

/// What a read of the TAP gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This many bytes: one frame.
    Frame(usize),
    /// A frame the kernel had no `virtio_net_hdr` for; it is lost.
    Unreadable,
    /// Nothing waits.
    Empty,
    /// The device was deleted.
    Gone,
}

/// Reads one frame.
pub(super) fn read(tap: &OwnedFd, room: &mut [u8]) -> Read {
    outcome(nix::unistd::read(tap, room))
}

/// What the kernel's answer to a read means.
pub(super) fn outcome(read: Result<usize, Errno>) -> Read {
    match read {
        Ok(0) | Err(Errno::EBADFD | Errno::EIO | Errno::ENODEV) => Read::Gone,
        Ok(len) => Read::Frame(len),
        Err(Errno::EAGAIN | Errno::EINTR) => Read::Empty,
        Err(_) => Read::Unreadable,
    }
}

/// Gives a frame, behind its `virtio_net_hdr`, to the device as received.
pub(super) fn write(tap: &OwnedFd, frame: &[u8]) -> Result<(), Errno> {
    nix::unistd::write(tap, frame).map(drop)
}
