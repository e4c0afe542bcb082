//! Waiting for a state, never for a time.

use std::thread;
use std::time::{Duration, Instant};

use crate::progress;

/// How often a state is looked at: far below any bound that a test states, far above what a look costs.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks at a state until `look` finds it and returns what it found, together with how long that took.
///
/// # Panics
/// When the state does not come within `bound`; the message says `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    progress::note(format!("waiting until {what}"));
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, start.elapsed());
        }
        assert!(start.elapsed() < bound, "not so within {bound:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
}
