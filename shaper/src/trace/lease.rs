//! Who reads the events: at most one process for each attachment, and none that is dead.

use std::fmt;
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use shaper_common::trace::Lease as Record;

use crate::bpf::SharedWords;

/// How long the programs go on to tell of packets without a sign of life.
pub const LEASE_NS: u64 = 2_000_000_000;

const WORD_LEN: usize = size_of::<u64>();
const WORDS: NonZeroUsize = NonZeroUsize::new(size_of::<Record>() / WORD_LEN).unwrap();

/// The process that reads the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id, as its own pid namespace numbers it.
    pub pid: u64,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The programs told of everything since the last one.
    InTime,
    /// They were silent for so many nanoseconds, because the last one was too long ago.
    AfterNs(u64),
}

/// The right to read the events, given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    shared: SharedWords,
    until_ns: u64,
    missed: u64,
}

impl Lease {
    /// Takes the lease, unless another process has it.
    pub(super) fn take(map: BorrowedFd<'_>, now_ns: u64) -> Result<Result<Self, Held>, Errno> {
        let shared = SharedWords::map(map, WORDS)?;
        let mut lease = Self { shared, until_ns: 0, missed: 0 };
        let seen_ns = lease.until().load(Ordering::SeqCst);
        let until_ns = now_ns + LEASE_NS;
        if seen_ns > now_ns || !lease.exchange(seen_ns, until_ns) {
            return Ok(Err(Held { pid: lease.word(offset_of!(Record, pid)).load(Ordering::SeqCst) }));
        }
        lease.word(offset_of!(Record, pid)).store(std::process::id().into(), Ordering::SeqCst);
        lease.until_ns = until_ns;
        lease.missed();
        Ok(Ok(lease))
    }

    /// `None` when another process has taken the lease, after ours had run out.
    pub(super) fn renew(&mut self, now_ns: u64) -> Option<Renewed> {
        let until_ns = now_ns + LEASE_NS;
        if !self.exchange(self.until_ns, until_ns) {
            return None;
        }
        let silent_ns = now_ns.saturating_sub(self.until_ns);
        self.until_ns = until_ns;
        Some(if silent_ns == 0 { Renewed::InTime } else { Renewed::AfterNs(silent_ns) })
    }

    /// Events lost since this was asked last.
    pub(super) fn missed(&mut self) -> u64 {
        let missed = self.word(offset_of!(Record, missed)).load(Ordering::SeqCst);
        missed - std::mem::replace(&mut self.missed, missed)
    }

    fn exchange(&self, seen_ns: u64, until_ns: u64) -> bool {
        self.until().compare_exchange(seen_ns, until_ns, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn until(&self) -> &AtomicU64 {
        self.word(offset_of!(Record, until_ns))
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.shared.words()[offset / WORD_LEN]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A lease that was never ours, or is no longer, stays as it is.
        if self.until_ns != 0 {
            self.exchange(self.until_ns, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    fn file() -> std::fs::File {
        let path = std::env::temp_dir().join(format!("shaper-lease-{:?}", std::thread::current().id()));
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.unwrap();
        std::fs::remove_file(path).unwrap();
        file.set_len(4096).unwrap();
        file
    }

    #[test]
    fn one_at_a_time() {
        let file = file();
        let own = Held { pid: std::process::id().into() };
        let first = Lease::take(file.as_fd(), 100).unwrap().unwrap();
        assert_eq!(Lease::take(file.as_fd(), 100 + LEASE_NS - 1).unwrap().unwrap_err(), own);
        drop(first);
        Lease::take(file.as_fd(), 101).unwrap().unwrap();
    }

    #[test]
    fn who_gives_no_sign_of_life_is_displaced() {
        let file = file();
        let mut first = Lease::take(file.as_fd(), 100).unwrap().unwrap();
        assert_eq!(first.renew(200), Some(Renewed::InTime));
        assert_eq!(first.renew(200 + LEASE_NS + 7), Some(Renewed::AfterNs(7)));
        let later_ns = 200 + 3 * LEASE_NS;
        let mut second = Lease::take(file.as_fd(), later_ns).unwrap().unwrap();
        assert_eq!(first.renew(later_ns), None);
        drop(first);
        assert_eq!(second.renew(later_ns + 1), Some(Renewed::InTime), "it is not the first's to give back");
    }
}
