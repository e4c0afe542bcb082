//! How many of a plan's measures were as wanted.

use std::collections::BTreeMap;
use std::fmt;

/// What the measures of several runs came to, by what was measured and what was wanted.
#[derive(Debug, Default)]
pub(crate) struct Measures(BTreeMap<String, Came>);

/// Times in ms.
#[derive(Debug)]
struct Came {
    met: u32,
    count: u32,
    least: f64,
    most: f64,
}

impl Measures {
    /// Reads a line such as `ball 2, 100 ms each way: RTT 201.702 ms, 200 to 215 ms wanted`; others say nothing.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((what, rtt, window)) = split(line) else { return };
        let is_met = rtt >= window.0 && rtt <= window.1;
        let key = format!("{what}, {} to {} ms wanted", window.0, window.1);
        let none = Came { met: 0, count: 0, least: rtt, most: rtt };
        let came = self.0.entry(key).or_insert(none);
        came.met += u32::from(is_met);
        came.count += 1;
        came.least = came.least.min(rtt);
        came.most = came.most.max(rtt);
    }
}

fn split(line: &str) -> Option<(&str, f64, (f64, f64))> {
    let (what, measured) = line.split_once(": RTT ")?;
    let (_, what) = what.split_once(", ")?;
    let (rtt, window) = measured.split_once(" ms, ")?;
    let (from, to) = window.strip_suffix(" ms wanted")?.split_once(" to ")?;
    Some((what, rtt.parse().ok()?, (from.parse().ok()?, to.parse().ok()?)))
}

impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, Came { met, count, least, most }) in &self.0 {
            writeln!(f, "{what}: {met} of {count} were, from {least:.3} to {most:.3} ms")?;
        }
        Ok(())
    }
}
