//! How busy the machine is with others, which is how much of a reading is noise.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for the ticks of 10 ms that /proc/stat counts in.
const WATCHED: Duration = Duration::from_millis(500);

/// Ticks of /proc/stat per second.
const USER_HZ: f64 = 100.0;

/// Processors that are busy while we are not.
pub(super) fn of_others() -> Option<f64> {
    let (ticks, begin) = (busy_ticks()?, Instant::now());
    thread::sleep(WATCHED);
    Some((busy_ticks()? - ticks) as f64 / USER_HZ / begin.elapsed().as_secs_f64())
}

/// User, nice, system, irq and softirq of all processors.
fn busy_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().map(|&index| fields.get(index).copied()).sum()
}
