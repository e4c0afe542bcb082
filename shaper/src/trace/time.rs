//! The time of day of what the kernel programs date on `CLOCK_MONOTONIC`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::measure::clock;

const SECONDS_PER_DAY: u64 = 24 * 3_600;

/// A relation between the two clocks, as it was when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    ahead_ns: u64,
}

impl Wall {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        Self { ahead_ns: now_ns.saturating_sub(clock::now_ns()) }
    }

    /// A `CLOCK_MONOTONIC` time as nanoseconds since 1970, UTC.
    #[must_use]
    pub fn unix_ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add(self.ahead_ns)
    }

    /// A `CLOCK_MONOTONIC` time as RFC 3339 writes it, in UTC.
    #[must_use]
    pub fn utc(self, monotonic_ns: u64) -> String {
        rfc_3339(self.unix_ns(monotonic_ns))
    }
}

fn rfc_3339(unix_ns: u64) -> String {
    let (seconds, ns) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
    let (mut day, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let mut year = 1970;
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{ns:09}Z", day + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc_3339(seconds * 1_000_000_000), date);
        }
        assert_eq!(rfc_3339(1_234_567_890_123_456_789), "2009-02-13T23:31:30.123456789Z");
    }
}
