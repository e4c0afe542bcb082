//! The readings of one `cargo xtask bench`, as its JSON file has them.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::grid::Grid;
use crate::command::ask;
use crate::workspace::Workspace;

/// Changes when a reader of older files would misread newer ones.
const VERSION: u32 = 1;

const LEGEND: &str = "
rtt over asked: less the delay asked for and the median of the unshaped link; one end shaped, pings 4 ms apart
tcp: the better of two attempts; cpu: all that the machine spent meanwhile (/proc/stat), sender and receiver included
command: median wall time; classifier: BPF_PROG_TEST_RUN; of edt both passes, and the clone it sends to a link that is down
";

/// Everything that was measured, and on what.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    version: u32,
    /// `git describe` of the workspace: the commit, and `-dirty` when files differ from it.
    pub(super) commit: String,
    rustc: String,
    /// The processor's name.
    processor: String,
    seconds: f64,
    direction: String,
    pub(super) runs: Vec<Run>,
}

/// Where something was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// On the kernel that is here.
    Native,
    /// In User-mode Linux.
    Uml,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Uml => "uml",
        })
    }
}

/// One run of the measuring program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) place: Place,
    pub(super) kernel: String,
    pub(super) cpus: usize,
    /// Processors that others kept busy before the run; `None` when it could not be read.
    pub(super) load_before: Option<f64>,
    /// The same after it.
    pub(super) load_after: Option<f64>,
    /// Why there is less than there should be.
    pub(super) problem: Option<String>,
    pub(super) readings: Vec<Reading>,
}

/// One reading, as the measuring program (`tests/netns/src/bench/record.rs`) writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) group: String,
    pub(super) subject: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) value: Option<f64>,
    pub(super) problem: Option<String>,
}

/// Which way a reading improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    Less,
    More,
}

impl Report {
    /// A report without runs.
    pub(super) fn new(workspace: &Workspace, seconds: f64, direction: &str) -> Self {
        let git = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
        let commit = ask(Command::new("git").args(git).current_dir(&workspace.root));
        Self {
            version: VERSION,
            commit: commit.unwrap_or_else(|| "unknown".into()),
            rustc: ask(Command::new("rustc").arg("--version")).unwrap_or_else(|| "unknown".into()),
            processor: processor().unwrap_or_else(|| "unknown".into()),
            seconds,
            direction: direction.to_owned(),
            runs: Vec::new(),
        }
    }

    /// Reads a file that [`Report::write`] wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is no bench report", path.display()))?;
        anyhow::ensure!(report.version == VERSION, "{} has version {}", path.display(), report.version);
        Ok(report)
    }

    /// Writes all of it as one JSON object.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// One line of what it was measured on, and the tables.
    pub(super) fn render(&self) -> String {
        let Self { commit, rustc, processor, seconds, direction, .. } = self;
        let mut text =
            format!("{commit}, {rustc}, {processor}, {direction}, {seconds} s for each throughput reading\n");
        for run in &self.runs {
            text.push_str(&run.describe());
        }
        let mut grid = Grid::default();
        for (run, reading) in self.readings() {
            let cell = reading.value.map_or_else(|| "failed".to_owned(), digits);
            grid.put(run.place, reading, cell);
        }
        text.push_str(&grid.render());
        text.push_str(LEGEND);
        for (run, reading) in self.readings() {
            if let Some(problem) = &reading.problem {
                let Reading { group, subject, metric, .. } = reading;
                let reason = problem.lines().next().unwrap_or_default();
                text.push_str(&format!("failed: {} {group}/{subject}: {metric}: {reason}\n", run.place));
            }
        }
        text
    }

    /// Every reading with its run.
    pub(super) fn readings(&self) -> impl Iterator<Item = (&Run, &Reading)> {
        self.runs.iter().flat_map(|run| run.readings.iter().map(move |reading| (run, reading)))
    }
}

impl Run {
    /// A run that has not begun.
    pub(super) fn new(place: Place, load_before: Option<f64>) -> Self {
        Self {
            place,
            kernel: String::new(),
            cpus: 0,
            load_before,
            load_after: None,
            problem: None,
            readings: Vec::new(),
        }
    }

    /// Adds the lines that the measuring program wrote.
    pub(super) fn add(&mut self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        for line in text.lines() {
            self.readings.push(serde_json::from_str(line).with_context(|| format!("not a reading: {line}"))?);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let Self { place, kernel, cpus, .. } = self;
        let load = |load: Option<f64>| load.map_or_else(|| "?".into(), |load| format!("{load:.2}"));
        let (before, after) = (load(self.load_before), load(self.load_after));
        let problem =
            self.problem.as_ref().map(|problem| format!("; incomplete: {problem}")).unwrap_or_default();
        format!(
            "{place}: Linux {kernel}, {cpus} CPU; others kept {before} CPUs busy before and {after} after{problem}\n"
        )
    }
}

/// Three significant digits, which is more than a reading repeats to.
pub(super) fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size > 0.0 => 3,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.0312, -5.2, 18.044, 99.99, 182.286, 24_136.0].map(digits);
        assert_eq!(shown, ["0", "0.031", "-5.20", "18.0", "100", "182", "24136"]);
    }

    #[test]
    fn a_line_of_the_measuring_program_is_a_reading() {
        let line = r#"{"group":"traffic","subject":"relay","metric":"rtt, p50","unit":"us","better":"less","value":5.2,"problem":null}"#;
        let reading: Reading = serde_json::from_str(line).unwrap();
        assert_eq!((reading.better, reading.value), (Better::Less, Some(5.2)));
    }
}
