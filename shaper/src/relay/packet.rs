//! The packet socket that sends frames out of the link, below its classifier and qdisc.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;

/// Most frames one call sends.
pub(super) const BATCH: usize = 64;

/// Send buffer asked for: what a link may have in flight before its driver has freed it.
const SEND_BUFFER_BYTES: libc::c_int = 16 << 20;

/// What can fail when the socket is opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No packet socket.
    #[error("cannot open a packet socket (CONFIG_PACKET and CAP_NET_RAW are needed)")]
    Open {
        /// The kernel's reason.
        source: io::Error,
    },
    /// The socket could not be set up.
    #[error("cannot set {option} of a packet socket")]
    Set {
        /// The option.
        option: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Opens the socket in the calling thread's network namespace; it receives nothing and sends to any link there.
///
/// # Errors
///
/// Without `CAP_NET_RAW`, or on a kernel without packet sockets.
pub fn open() -> Result<OwnedFd, Error> {
    // Protocol 0: the kernel puts no hook into the receive path.
    // SAFETY: the arguments are plain integers.
    let fd = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
    };
    let fd = Errno::result(fd).map_err(|errno| Error::Open { source: errno.into() })?;
    // SAFETY: the descriptor was just made, and nothing else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let failed = |option| move |errno: Errno| Error::Set { option, source: errno.into() };
    set(&fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1).map_err(failed("PACKET_VNET_HDR"))?;
    set(&fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1).map_err(failed("PACKET_QDISC_BYPASS"))?;
    set(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
        .or_else(|_| set(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER_BYTES))
        .map_err(failed("SO_SNDBUF"))?;
    Ok(fd)
}

fn set(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the pointer and length are those of one `int`, which lives across the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// A link, seen through a socket of its namespace.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: OwnedFd,
    pub(super) ifindex: i32,
}

impl Link {
    /// Says whether the link is still in the namespace.
    pub(super) fn is_there(&self) -> bool {
        // SAFETY: `ifreq` is integers and unions of integers and pointers, for all of which zero is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = self.ifindex;
        // SAFETY: SIOCGIFNAME reads and writes one `ifreq`, which lives across the call.
        let found = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) };
        Errno::result(found) != Err(Errno::ENODEV)
    }
}

/// Sends frames out of one link, many to a call.
#[derive(Debug)]
pub(super) struct Sender {
    socket: OwnedFd,
    address: Box<libc::sockaddr_ll>,
    slices: Box<[libc::iovec; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
}

impl Sender {
    /// A sender through `socket` (see [`open`]) to the link `ifindex` of the socket's namespace.
    pub(super) fn new(socket: OwnedFd, ifindex: i32) -> Self {
        let address = Box::new(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as libc::c_ushort,
            sll_protocol: 0,
            sll_ifindex: ifindex,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        });
        let slices = Box::new([libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH]);
        let empty = libc::mmsghdr {
            msg_hdr: libc::msghdr {
                msg_name: ptr::null_mut(),
                msg_namelen: size_of::<libc::sockaddr_ll>() as libc::socklen_t,
                msg_iov: ptr::null_mut(),
                msg_iovlen: 1,
                msg_control: ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
            msg_len: 0,
        };
        Self { socket, address, slices, headers: Box::new([empty; BATCH]) }
    }

    /// Sends up to [`BATCH`] frames, each behind its `virtio_net_hdr`, and returns how many went.
    ///
    /// # Errors
    ///
    /// That of the first frame. A later frame's error ends the batch before it.
    pub(super) fn send<'frame>(
        &mut self,
        frames: impl Iterator<Item = &'frame [u8]>,
    ) -> Result<usize, Errno> {
        let mut count = 0;
        for ((header, slice), frame) in self.headers.iter_mut().zip(self.slices.iter_mut()).zip(frames) {
            *slice = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_name = (&raw mut *self.address).cast();
            count += 1;
        }
        // SAFETY: the first `count` headers point at the address and at slices of `self`, and those at frames borrowed for 'frame,
        // which outlives this call; the kernel only reads them.
        let sent = unsafe {
            libc::sendmmsg(self.socket.as_raw_fd(), self.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
        };
        Ok(usize::try_from(Errno::result(sent)?).unwrap_or(0))
    }
}
