//! The clock of every instrument.

use std::time::Duration;

use nix::sys::prctl;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// Returns the time in nanoseconds of `CLOCK_MONOTONIC`, the clock that departure times are in as well.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is readable on every Linux");
    u64::try_from(now.num_nanoseconds()).expect("CLOCK_MONOTONIC starts at zero")
}

/// Blocks the calling thread until [`now_ns`] is `deadline_ns` or later.
pub fn sleep_until(deadline_ns: u64) {
    let deadline = TimeSpec::nanoseconds(i64::try_from(deadline_ns).unwrap_or(i64::MAX));
    // The only error left is EINTR, after which the same absolute deadline still stands.
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &deadline).is_err() {}
}

/// Asks the kernel to wake the calling thread at the nanosecond it asked for, not up to 50 µs later.
pub fn prompt_wakeups() {
    // A kernel that refuses only wakes the instrument later: readings get worse, not wrong.
    let _refused = prctl::set_timerslack(1);
}

/// Returns `duration` in nanoseconds, at most [`u64::MAX`] (584 years).
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_never_ends_early() {
        let deadline = now_ns() + 2_000_000;
        sleep_until(deadline);
        assert!(now_ns() >= deadline);
    }
}
