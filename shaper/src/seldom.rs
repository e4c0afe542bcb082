//! Lines of the log that others can cause: told, but not without end.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that are told in each [`SPAN`], at most.
const LINES_MAX: u32 = 10;
const SPAN: Duration = Duration::from_secs(10);

/// Counts lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    span: Option<Instant>,
    lines: u32,
    untold: u64,
}

impl Seldom {
    /// Whether another line may be told now, and if so, how many were not since the last.
    pub(crate) fn untold(&self) -> Option<u64> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).at(Instant::now())
    }
}

impl Counted {
    fn at(&mut self, now: Instant) -> Option<u64> {
        if self.span.is_none_or(|begin| now.saturating_duration_since(begin) >= SPAN) {
            self.span = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES_MAX {
            self.untold += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_told_in_the_next_span() {
        let mut counted = Counted::default();
        let begin = Instant::now();
        for _ in 0..LINES_MAX {
            assert_eq!(counted.at(begin), Some(0));
        }
        let last = begin + SPAN - Duration::from_nanos(1);
        assert_eq!((counted.at(begin), counted.at(last)), (None, None));
        assert_eq!(counted.at(begin + SPAN), Some(2));
        assert_eq!(counted.at(begin + SPAN), Some(0));
    }
}
