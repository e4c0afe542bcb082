//! Sleeping until a time, or until the TAP has something.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

const CLOCK_MONOTONIC: ClockId = ClockId::CLOCK_MONOTONIC;
const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Returns the `CLOCK_MONOTONIC` time.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is always there");
    now.tv_sec() as u64 * NSEC_PER_SEC + now.tv_nsec() as u64
}

/// What ended a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time came.
    ByClock,
    /// The TAP has a frame, or may have.
    ToRead,
    /// The TAP was deleted.
    Gone,
}

/// Watches the clock until `until_ns`; returns what it shows then.
pub(super) fn spin(until_ns: u64) -> u64 {
    loop {
        let now_ns = now_ns();
        if now_ns >= until_ns {
            return now_ns;
        }
        std::hint::spin_loop();
    }
}

/// Sleeps until the `CLOCK_MONOTONIC` time `until_ns`, or a signal.
pub(super) fn doze(until_ns: u64) -> Result<(), Errno> {
    match clock_nanosleep(CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time_spec(until_ns)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn time_spec(at_ns: u64) -> TimeSpec {
    TimeSpec::new((at_ns / NSEC_PER_SEC) as i64, (at_ns % NSEC_PER_SEC) as i64)
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
        let timer = TimerFd::new(
            timerfd::ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Self { timer, armed_ns: 0 })
    }

    /// Sleeps until the `CLOCK_MONOTONIC` time `until_ns`, or until the TAP is readable or gone.
    pub(super) fn sleep(&mut self, tap: &OwnedFd, until_ns: u64) -> Result<Woken, Errno> {
        if self.armed_ns != until_ns {
            // Zero would disarm the timer; 1 ns has passed, too.
            let until = Expiration::OneShot(time_spec(until_ns.max(1)));
            self.timer.set(until, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.armed_ns = until_ns;
        }
        let mut fds =
            [PollFd::new(tap.as_fd(), PollFlags::POLLIN), PollFd::new(self.timer.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        Ok(if events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            Woken::Gone
        } else if events.contains(PollFlags::POLLIN) {
            Woken::ToRead
        } else {
            Woken::ByClock
        })
    }
}
/// What a system call takes here: the least of a few, so that an interruption does not count.
pub(super) fn call_ns() -> u64 {
    let one = || {
        let start_ns = now_ns();
        for _ in 0..8 {
            nix::unistd::getppid();
        }
        (now_ns() - start_ns) / 8
    };
    (0..8).map(|_| one()).min().unwrap_or(0)
}
