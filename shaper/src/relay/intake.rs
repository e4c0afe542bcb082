//! Reading the TAP: one frame to a system call, or many where system calls are slow.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;

use super::tap::{self, Read};
use super::vnet::READ_LEN_MAX;

/// Most frames read at once.
const SLOTS: usize = 16;

/// System calls that take this long are saved.
///
/// Natively (Linux 6.18, 0.1 µs) a ring costs more than the calls it saves, 1.5 µs a frame instead of 1.25; in User-mode Linux, where an
/// empty read takes 54 µs and one of 64 KiB 63, it takes nearly all of them away.
const SLOW_CALL_NS: u64 = 3_000;

/// Where frames come from.
pub(super) struct Intake {
    tap: OwnedFd,
    ring: Option<Box<IoUring>>,
    reads: Vec<Read>,
}

impl Intake {
    /// Reads `tap`, on a machine where a system call takes `call_ns`.
    pub(super) fn new(tap: OwnedFd, call_ns: u64) -> Self {
        // A kernel or container without io_uring has to do without.
        let ring =
            (call_ns >= SLOW_CALL_NS).then(|| IoUring::new(SLOTS as u32)).and_then(Result::ok).map(Box::new);
        Self { tap, ring, reads: Vec::with_capacity(SLOTS) }
    }

    /// The TAP.
    pub(super) fn tap(&self) -> &OwnedFd {
        &self.tap
    }

    /// Reads one or more frames, each to its own `READ_LEN_MAX` bytes of `room`, and says what became of each read, in order of arrival.
    pub(super) fn read(&mut self, room: &mut [u8]) -> &[Read] {
        self.reads.clear();
        let failed = match &mut self.ring {
            Some(ring) => read_all(ring, &self.tap, room, &mut self.reads).is_err(),
            None => {
                self.reads.push(tap::read(&self.tap, room));
                false
            }
        };
        if failed {
            // With the ring goes what it was asked for and has not begun.
            self.ring = None;
        }
        &self.reads
    }
}

/// Reads to all slots of `room` with one system call.
fn read_all(ring: &mut IoUring, tap: &OwnedFd, room: &mut [u8], reads: &mut Vec<Read>) -> io::Result<()> {
    let fd = types::Fd(tap.as_raw_fd());
    for (slot, bytes) in room.chunks_exact_mut(READ_LEN_MAX).take(SLOTS).enumerate() {
        // That the descriptor does not block is not enough: io_uring would wait for it all the same.
        let read = opcode::Read::new(fd, bytes.as_mut_ptr(), READ_LEN_MAX as u32)
            .rw_flags(libc::RWF_NOWAIT)
            .build()
            .user_data(slot as u64);
        // SAFETY: `room` is borrowed until the end of this function. By then every read is done, because one that must not wait is done
        // when its submission returns; or the ring failed, and is dropped with what it has not begun.
        if unsafe { ring.submission().push(&read) }.is_err() {
            break;
        }
        reads.push(Read::Empty);
    }
    let mut done = 0;
    while done < reads.len() {
        match ring.submit_and_wait(reads.len() - done) {
            Err(error) if error.raw_os_error() != Some(Errno::EINTR as i32) => return Err(error),
            Ok(_) | Err(_) => {}
        }
        for completion in ring.completion() {
            let result = completion.result();
            if result == -libc::EOPNOTSUPP {
                return Err(Errno::EOPNOTSUPP.into());
            }
            let outcome =
                tap::outcome(if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(result as usize) });
            if let Some(read) = reads.get_mut(completion.user_data() as usize) {
                *read = outcome;
            }
            done += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};

    use super::*;

    const SLOW: u64 = SLOW_CALL_NS;
    const FAST: u64 = SLOW_CALL_NS - 1;

    /// What one call reads of `frames` that wait, on a machine where a system call takes `call_ns`, and what is in the room then.
    fn reads(call_ns: u64, frames: &[&[u8]]) -> (Vec<Read>, Vec<u8>) {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // As a TAP, a socket of this type keeps each message apart.
        let (sender, tap) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).unwrap();
        for frame in frames {
            send(sender.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
        }
        let mut intake = Intake::new(tap, call_ns);
        if call_ns == SLOW && intake.ring.is_none() {
            println!("SKIP: no io_uring here");
        }
        let mut room = vec![0; 4 * READ_LEN_MAX];
        (intake.read(&mut room).to_vec(), room)
    }

    #[test]
    fn a_fast_machine_reads_one_frame_to_a_call() {
        let (reads, room) = reads(FAST, &[b"one", b"two"]);
        assert_eq!(reads, [Read::Frame(3)]);
        assert_eq!(&room[..3], b"one");
    }

    #[test]
    fn a_slow_machine_reads_all_that_waits_each_to_its_slot() {
        let (reads, room) = reads(SLOW, &[b"one", b"three"]);
        if reads.len() == 1 {
            return;
        }
        assert_eq!(reads, [Read::Frame(3), Read::Frame(5), Read::Empty, Read::Empty]);
        assert_eq!((&room[..3], &room[READ_LEN_MAX..][..5]), (&b"one"[..], &b"three"[..]));
    }

    #[test]
    fn nothing_that_waits_is_no_wait() {
        assert!(reads(SLOW, &[]).0.iter().all(|read| *read == Read::Empty));
        assert_eq!(reads(FAST, &[]).0, [Read::Empty]);
    }
}
