//! The system calls of the instruments, above all those that nix has no safe form of.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{SetSockOpt, setsockopt};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime};

use super::Error;
use super::clock::now_ns;

/// Most messages one call moves.
pub(super) const BATCH: usize = 64;

/// Sets a buffer beyond the system's limit, which takes `CAP_NET_ADMIN`, else to what the limit allows.
pub(super) fn set_buffer(
    socket: &OwnedFd,
    beyond: impl SetSockOpt<Val = usize>,
    within: impl SetSockOpt<Val = usize>,
    option: &'static str,
    bytes: usize,
) -> Result<(), Error> {
    setsockopt(socket, beyond, &bytes)
        .or_else(|_unprivileged| setsockopt(socket, within, &bytes))
        .map_err(|source| Error::Option { option, source })
}

/// Reads `TCP_INFO` of a connection.
pub(super) fn tcp_info(socket: BorrowedFd<'_>) -> Result<libc::tcp_info, Errno> {
    // SAFETY: `tcp_info` is integers only, for which zero is a value; a kernel with a shorter one leaves the rest zero.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers are to a `tcp_info` and to its length, and live across the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            ptr::from_mut(&mut info).cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    Ok(info)
}

/// Returns how many packets the socket dropped for want of receive buffer.
pub(super) fn socket_drops(socket: BorrowedFd<'_>) -> Result<u32, Errno> {
    // linux/sock_diag.h: SK_MEMINFO_DROPS is the last of SK_MEMINFO_VARS (9) words of SO_MEMINFO (Linux 4.12).
    const SK_MEMINFO_DROPS: usize = 8;
    let mut words = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut len = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the pointers are to an array and to its length in bytes, and live across the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    Ok(words[SK_MEMINFO_DROPS])
}

/// Sends up to [`BATCH`] packets of a connected socket in one call and returns how many went.
pub(super) fn send_batch(socket: BorrowedFd<'_>, packets: &[Vec<u8>]) -> Result<usize, Errno> {
    let mut slices: [libc::iovec; BATCH] = [EMPTY_SLICE; BATCH];
    let mut headers: [libc::mmsghdr; BATCH] = [empty_header(); BATCH];
    let count = packets.len().min(BATCH);
    for (index, packet) in packets.iter().take(count).enumerate() {
        let slice = IoSlice::new(packet);
        slices[index] = libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
        headers[index].msg_hdr.msg_iov = &raw mut slices[index];
        headers[index].msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to slices of packets that outlive the call, and sending only reads them.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, 0) };
    Errno::result(sent).map(|sent| sent as usize)
}

/// Room for the packets of one call, each with the time at which it reached the socket's namespace.
#[derive(Debug)]
pub(super) struct Inbox {
    buffers: Vec<Vec<u8>>,
    controls: Vec<Control>,
    /// Length and arrival of each packet of the last call.
    received: Vec<(usize, u64)>,
}

impl Inbox {
    /// Makes room for [`BATCH`] packets, of which the first `len` bytes are kept.
    pub(super) fn new(len: usize) -> Self {
        Self { buffers: vec![vec![0; len]; BATCH], controls: vec![[0; 8]; BATCH], received: Vec::new() }
    }

    /// Takes the packets that are there, without waiting; the socket stamps them (`SO_TIMESTAMPNS`).
    ///
    /// Stamped by the kernel and not on return, because a reader that waits for a processor would lay its wait on the link.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut slices: [libc::iovec; BATCH] = [EMPTY_SLICE; BATCH];
        let mut headers: [libc::mmsghdr; BATCH] = [empty_header(); BATCH];
        let room = self.buffers.iter_mut().zip(&mut self.controls);
        for ((slice, header), (buffer, control)) in slices.iter_mut().zip(&mut headers).zip(room) {
            *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        self.received.clear();
        // SAFETY: each header points to a slice of its own of distinct buffers, exclusively borrowed across the call, with
        // their lengths.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = Errno::result(received)? as usize;
        let clocks = Clocks::read();
        let arrivals = headers[..received].iter().map(|header| {
            let stamp = timestamp(&header.msg_hdr).map_or(clocks.monotonic_ns, |ns| clocks.monotonic_of(ns));
            (header.msg_len as usize, stamp)
        });
        self.received.extend(arrivals);
        Ok(())
    }

    /// Returns the packets of the last [`Inbox::receive`], each with its arrival in `CLOCK_MONOTONIC` nanoseconds.
    pub(super) fn packets(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let received = self.buffers.iter().zip(&self.received);
        received.map(|(buffer, &(len, at_ns))| (&buffer[..len.min(buffer.len())], at_ns))
    }
}

/// Aligned room for control messages: a header of 16 bytes and a timestamp of 16, with some to spare.
type Control = [u64; 8];

/// One moment on both clocks: the kernel stamps packets with `CLOCK_REALTIME`, the instruments count in `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    monotonic_ns: u64,
    realtime_ns: u64,
}

impl Clocks {
    /// Reads both, again when something came between: what did would count as an error of the conversion.
    fn read() -> Self {
        const READS_MAX: usize = 10;
        const TOGETHER_NS: u64 = 500;
        let mut closest = (u64::MAX, Self { monotonic_ns: 0, realtime_ns: 0 });
        for _ in 0..READS_MAX {
            let before_ns = now_ns();
            let realtime_ns = realtime_ns();
            let apart_ns = now_ns() - before_ns;
            if apart_ns < closest.0 {
                closest = (apart_ns, Self { monotonic_ns: before_ns + apart_ns / 2, realtime_ns });
            }
            if apart_ns <= TOGETHER_NS {
                break;
            }
        }
        closest.1
    }

    /// Converts a moment shortly before; one in the future, which a step of the wall clock makes, is now.
    fn monotonic_of(self, realtime_ns: u64) -> u64 {
        self.monotonic_ns.saturating_sub(self.realtime_ns.saturating_sub(realtime_ns))
    }
}

/// Returns the time in the `SCM_TIMESTAMPNS` control message of a packet.
fn timestamp(header: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel filled `msg_control` and set `msg_controllen` to what it filled.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or a header within `msg_controllen` bytes of an aligned buffer.
    let control = unsafe { first.as_ref() }?;
    if (control.cmsg_level, control.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: `control` is followed by its data.
    let data = unsafe { libc::CMSG_DATA(control) };
    // SAFETY: the data of `SCM_TIMESTAMPNS` is a `timespec`, wherever it is aligned.
    let time: libc::timespec = unsafe { data.cast::<libc::timespec>().read_unaligned() };
    u64::try_from(TimeSpec::from(time).num_nanoseconds()).ok()
}

fn realtime_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME is readable on every Linux");
    u64::try_from(now.num_nanoseconds()).unwrap_or_default()
}

const EMPTY_SLICE: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn empty_header() -> libc::mmsghdr {
    // SAFETY: a `mmsghdr` is pointers and integers; zero means no address, no data, no control messages.
    unsafe { std::mem::zeroed() }
}
