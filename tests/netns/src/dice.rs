//! Tests of chance that do not fail by chance.

use crate::engine::Engine;

/// Takes a test of what an engine did by chance: once where the seed decides, so that every run has the same result, and twice at
/// most where the kernel rolls dice of its own (netem before Linux 6.6, for which a test that fails once in a thousand times then
/// fails once in a million).
///
/// # Panics
/// With what each test said, when none passed.
#[track_caller]
pub fn cast<T>(engine: Engine, mut take: impl FnMut() -> Result<T, String>) -> T {
    let tests = if engine == Engine::Netem { 2 } else { 1 };
    let mut said = Vec::new();
    while said.len() < tests {
        match take() {
            Ok(result) => return result,
            Err(why) => {
                println!("not in this cast: {why}");
                said.push(why);
            }
        }
    }
    panic!("{}", said.join("\n"));
}

/// Checks that `seen` is from `low` to `high`, and says so.
///
/// # Errors
/// What it is and what it should be.
pub fn within<T: PartialOrd + std::fmt::Display>(
    what: &str,
    seen: T,
    (low, high): (T, T),
) -> Result<(), String> {
    let is_good = low <= seen && seen <= high;
    let said = format!("{what}: {seen}, {low} to {high} expected");
    println!("{said}");
    if is_good { Ok(()) } else { Err(said) }
}

/// Checks that a test's statistic is at most what it passes by chance once in a thousand times, and says so.
///
/// # Errors
/// Both values.
pub fn below(what: &str, statistic: f64, critical: f64) -> Result<(), String> {
    let said = format!("{what}: {statistic:.4}, at most {critical:.4} expected");
    println!("{said}");
    if statistic <= critical { Ok(()) } else { Err(said) }
}
