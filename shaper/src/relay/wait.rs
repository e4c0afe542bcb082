//! Sleeping until a time, or until the TAP has something.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;

const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Returns the `CLOCK_MONOTONIC` time.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is always there");
    now.tv_sec() as u64 * NSEC_PER_SEC + now.tv_nsec() as u64
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Woken {
    /// The TAP has a frame.
    pub(super) readable: bool,
    /// The TAP was deleted.
    pub(super) gone: bool,
}

/// A timer to sleep on.
///
/// A timerfd, because the timeouts of poll and epoll are allowed to be late by a thousandth of their length
/// (`select_estimate_accuracy` in the kernel's fs/select.c), which is 0.1 ms for a latency of 100 ms.
#[derive(Debug)]
pub(super) struct Timer {
    timer: TimerFd,
    armed_ns: u64,
}

impl Timer {
    /// Makes the timer.
    pub(super) fn new() -> Result<Self, Errno> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer, armed_ns: 0 })
    }

    /// Sleeps until the `CLOCK_MONOTONIC` time `until_ns`, or until the TAP is readable or gone.
    pub(super) fn sleep(&mut self, tap: &OwnedFd, until_ns: u64) -> Result<Woken, Errno> {
        if self.armed_ns != until_ns {
            // An all-zero time would disarm the timer.
            let until = TimeSpec::new((until_ns / NSEC_PER_SEC) as i64, (until_ns % NSEC_PER_SEC).max(1) as i64);
            self.timer.set(Expiration::OneShot(until), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.armed_ns = until_ns;
        }
        let mut fds = [PollFd::new(tap.as_fd(), PollFlags::POLLIN), PollFd::new(self.timer.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        Ok(Woken {
            readable: events.contains(PollFlags::POLLIN),
            gone: events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL),
        })
    }
}
