//! Results: one row of the table, and the report the tests in namespaces write.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) tier: String,
    pub(crate) kernel: String,
    /// The engine under test; `-` where there is none.
    pub(crate) engine: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// Why tests were skipped, and how often.
    pub(crate) skip_reasons: BTreeMap<String, usize>,
    /// What failed, for the list below the table.
    pub(crate) failures: Vec<String>,
    pub(crate) time: Duration,
}

impl Row {
    pub(crate) fn new(tier: impl Into<String>, kernel: impl Into<String>) -> Self {
        Self {
            tier: tier.into(),
            kernel: kernel.into(),
            engine: "-".into(),
            passed: 0,
            failed: 0,
            skipped: 0,
            skip_reasons: BTreeMap::new(),
            failures: Vec::new(),
            time: Duration::ZERO,
        }
    }

    pub(crate) fn passed(mut self) -> Self {
        self.passed += 1;
        self
    }

    pub(crate) fn failed(mut self, what: impl Into<String>) -> Self {
        self.failed += 1;
        self.failures.push(what.into());
        self
    }

    pub(crate) fn skipped(mut self, reason: impl Into<String>) -> Self {
        self.skipped += 1;
        *self.skip_reasons.entry(reason.into()).or_default() += 1;
        self
    }

    /// Counts a check by its result.
    pub(crate) fn checked(self, name: &str, result: Result<()>) -> Self {
        match result {
            Ok(()) => self.passed(),
            Err(error) => self.failed(format!("{name}: {error:#}")),
        }
    }

    pub(crate) fn took(mut self, time: Duration) -> Self {
        self.time += time;
        self
    }
}

/// One line of the report: a JSON object.
#[derive(Debug, serde::Deserialize)]
struct Record {
    name: String,
    #[serde(default)]
    engine: Option<String>,
    outcome: Outcome,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    millis: u64,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// The rows of a report, one per engine. A skipped test of an engine in `required` is a failed one.
pub(crate) fn rows(report: &str, tier: &str, kernel: &str, required: &[&str]) -> Result<Vec<Row>> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in report.lines().filter(|line| !line.is_empty()) {
        let record: Record =
            serde_json::from_str(line).with_context(|| format!("not a line of a test report: {line}"))?;
        let engine = record.engine.unwrap_or_else(|| "-".into());
        let reason =
            record.reason.as_deref().and_then(|reason| reason.lines().next()).unwrap_or("no reason given");
        let row =
            rows.remove(&engine).unwrap_or_else(|| Row { engine: engine.clone(), ..Row::new(tier, kernel) });
        let row = match record.outcome {
            Outcome::Passed => row.passed(),
            Outcome::Failed => row.failed(format!("{}: {reason}", record.name)),
            Outcome::Skipped if required.contains(&engine.as_str()) => {
                row.failed(format!("{} was skipped, which must not happen here: {reason}", record.name))
            }
            Outcome::Skipped => row.skipped(reason),
        };
        rows.insert(engine, row.took(Duration::from_millis(record.millis)));
    }
    Ok(rows.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"name":"ping","engine":"relay","outcome":"passed","reason":null,"millis":1500}
{"name":"ping","engine":"netem","outcome":"skipped","reason":"no sch_netem","millis":1}
{"name":"tcp","engine":"netem","outcome":"skipped","reason":"no sch_netem","millis":1}
{"name":"tcp","engine":"relay","outcome":"failed","reason":"slow\nsecond line","millis":700}
{"name":"refuses_nonsense","outcome":"passed"}
"#;

    #[test]
    fn a_report_is_counted_by_engine() {
        let rows = rows(REPORT, "native", "6.18", &["relay"]).unwrap();
        let counts: Vec<_> =
            rows.iter().map(|row| (row.engine.as_str(), row.passed, row.failed, row.skipped)).collect();
        assert_eq!(counts, [("-", 1, 0, 0), ("netem", 0, 0, 2), ("relay", 1, 1, 0)]);
        assert_eq!(rows[1].skip_reasons, BTreeMap::from([("no sch_netem".to_owned(), 2)]));
        assert_eq!(rows[2].time, Duration::from_millis(2200));
        assert_eq!(rows[2].failures, ["tcp: slow"]);
    }

    #[test]
    fn skipping_what_is_required_is_failing() {
        let rows = rows(REPORT, "uml", "6.1", &["edt", "netem", "relay"]).unwrap();
        assert_eq!((rows[1].failed, rows[1].skipped), (2, 0));
        assert!(rows[1].failures[0].contains("no sch_netem"), "{:?}", rows[1].failures);
    }

    #[test]
    fn a_broken_report_is_an_error() {
        assert!(rows("{\"name\":", "uml", "6.1", &[]).is_err());
    }
}
