//! Readings on a machine that has other work.

/// How often a reading is taken at most.
const READINGS: usize = 3;

/// Takes a reading until it is as it should be, at most three times.
///
/// Others on the machine can make any packet late, and on User-mode Linux stop all of its processes for tens of milliseconds; they
/// cannot make a wrong shape right. So one good reading of three shows the shape, and a wrong one fails all three.
///
/// # Panics
/// With what each reading said, when none was good.
#[track_caller]
pub fn reading<T>(mut take: impl FnMut() -> Result<T, String>) -> T {
    let mut said = Vec::new();
    while said.len() < READINGS {
        match take() {
            Ok(reading) => return reading,
            Err(why) => {
                println!("taken again: {why}");
                said.push(why);
            }
        }
    }
    panic!("not once in {READINGS} readings: {}", said.join("\n"));
}

/// Returns `reading` when `is_good`, else what `why` says.
///
/// # Errors
/// The text of `why`.
pub fn check<T>(reading: T, is_good: bool, why: impl FnOnce(&T) -> String) -> Result<T, String> {
    if is_good { Ok(reading) } else { Err(why(&reading)) }
}
