//! One JSON line per trial in the file that `SHAPER_REPORT` names, for the task that runs several tiers.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::engine::Engine;

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    /// Null for a trial that is the same on every engine.
    engine: Option<&'static str>,
    outcome: &'static str,
    reason: &'a str,
    /// Why the first of two takes failed; null when there was one.
    retaken: Option<&'a str>,
    millis: u64,
}

/// Appends the trial's line; without `SHAPER_REPORT` does nothing.
pub(crate) fn append(
    name: &str,
    engine: Option<Engine>,
    outcome: &Outcome,
    retaken: Option<&str>,
    took: Duration,
) {
    let Some(path) = std::env::var_os("SHAPER_REPORT") else {
        return;
    };
    let text = line(name, engine, outcome, retaken, took);
    // One write of a file opened for appending: lines of parallel trials do not mix.
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        panic!("cannot append to the report {}: {error}", path.display());
    }
}

fn line(
    name: &str,
    engine: Option<Engine>,
    outcome: &Outcome,
    retaken: Option<&str>,
    took: Duration,
) -> String {
    let (outcome, reason) = match outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(reason) => ("failed", reason.as_str()),
        Outcome::Skipped(reason) => ("skipped", reason.as_str()),
    };
    let line = Line {
        name,
        engine: engine.map(Engine::name),
        outcome,
        reason,
        retaken,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    let mut text = serde_json::to_string(&line).expect("strings and numbers always serialise");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_that_says_what_was_taken_again() {
        let took = Duration::from_millis(1500);
        let once = line("ping", None, &Outcome::Skipped("no netem".to_owned()), None, took);
        let expected = r#"{"name":"ping","engine":null,"outcome":"skipped","reason":"no netem","retaken":null,"millis":1500}"#;
        assert_eq!(once, format!("{expected}\n"));
        let twice = line("ping", Some(Engine::Relay), &Outcome::Passed, Some("late\nby 3 ms"), took);
        let expected = r#"{"name":"ping","engine":"relay","outcome":"passed","reason":"","retaken":"late\nby 3 ms","millis":1500}"#;
        assert_eq!(twice, format!("{expected}\n"));
    }
}
