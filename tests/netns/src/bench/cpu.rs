//! Processor time of the whole machine, from /proc/stat: what an engine costs falls to sender, receiver, softirq and relay
//! alike, and no process's own account has all of it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Ticks of /proc/stat per second: `USER_HZ`, whatever the kernel's own rate.
const USER_HZ: f64 = 100.0;

/// A look at the clock and at the processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    at: Instant,
    busy_s: f64,
}

impl Sample {
    /// Takes one.
    ///
    /// # Panics
    /// Without /proc/stat.
    pub(crate) fn take() -> Self {
        let text = fs::read_to_string("/proc/stat").expect("/proc is mounted");
        let at = Instant::now();
        Self {
            at,
            busy_s: busy_ticks(&text).expect("proc_stat(5) describes the first line") as f64 / USER_HZ,
        }
    }

    /// Processor seconds spent since `earlier`, of whoever.
    pub(crate) fn busy_s_since(&self, earlier: &Self) -> f64 {
        self.busy_s - earlier.busy_s
    }
}

/// Returns what `run` returns, and how many processors were busy on average from `warm_up` after its start for `duration`.
pub(crate) fn busy_during<T>(warm_up: Duration, duration: Duration, run: impl FnOnce() -> T) -> (T, f64) {
    thread::scope(|scope| {
        let busy = scope.spawn(move || {
            thread::sleep(warm_up);
            let begin = Sample::take();
            thread::sleep(duration);
            let end = Sample::take();
            end.busy_s_since(&begin) / (end.at - begin.at).as_secs_f64()
        });
        let result = run();
        (result, busy.join().expect("/proc/stat was readable before"))
    })
}

/// Adds user, nice, system, irq and softirq of the line for all processors: all but idle, iowait and what guests and the
/// hypervisor took.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().map(|&index| fields.get(index).copied()).sum()
}
