//! Results: one row of the table, and the report the tests in namespaces write.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How many trials of one tier may need a second take. Each process that runs trials stops at as many by itself; a tier may have
/// several. What makes more than these fail is not chance.
const RETAKEN_MAX: usize = 10;

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
    /// What was taken again, and why its first take failed, however the second ended.
    pub(crate) retaken: Vec<String>,
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
            retaken: Vec::new(),
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

    pub(crate) fn retaken(mut self, what: impl Into<String>) -> Self {
        self.retaken.push(what.into());
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
    /// Why the first of two takes failed.
    #[serde(default)]
    retaken: Option<String>,
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

/// The rows of a report, one per engine. A skipped test of an engine in `required` is a failed one, and too many tests that were
/// taken again are a failure in a row of its own.
pub(crate) fn rows(report: &str, tier: &str, kernel: &str, required: &[&str]) -> Result<Vec<Row>> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in report.lines().filter(|line| !line.is_empty()) {
        let record: Record =
            serde_json::from_str(line).with_context(|| format!("not a line of a test report: {line}"))?;
        let engine = record.engine.unwrap_or_else(|| "-".into());
        let reason = first_line(record.reason.as_deref());
        let mut row =
            rows.remove(&engine).unwrap_or_else(|| Row { engine: engine.clone(), ..Row::new(tier, kernel) });
        if record.retaken.is_some() {
            row = row.retaken(format!("{}: {}", record.name, first_line(record.retaken.as_deref())));
        }
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
    let mut rows: Vec<Row> = rows.into_values().collect();
    let retaken: usize = rows.iter().map(|row| row.retaken.len()).sum();
    if retaken > RETAKEN_MAX {
        let why = format!("too many trials needed a second take: {retaken}, and {RETAKEN_MAX} at most may");
        rows.push(Row::new(tier, kernel).failed(why));
    }
    Ok(rows)
}

fn first_line(reason: Option<&str>) -> &str {
    reason.and_then(|reason| reason.lines().next()).unwrap_or("no reason given")
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
    fn what_was_taken_again_is_listed_however_it_ended() {
        let report = r#"{"name":"ping","engine":"relay","outcome":"passed","reason":"","retaken":"late\nby 3 ms","millis":2}
{"name":"tcp","engine":"relay","outcome":"failed","reason":"slow","retaken":"slower","millis":2}
{"name":"udp","engine":"relay","outcome":"passed","reason":"","retaken":null,"millis":2}
"#;
        let rows = rows(report, "native", "6.18", &["relay"]).unwrap();
        assert_eq!((rows.len(), rows[0].passed, rows[0].failed), (1, 2, 1));
        assert_eq!(rows[0].retaken, ["ping: late", "tcp: slower"]);
        assert_eq!(rows[0].failures, ["tcp: slow"]);
    }

    #[test]
    fn too_many_second_takes_of_a_tier_are_a_failure() {
        let report = |count: usize| {
            let line = |number| {
                let engine = ["edt", "relay"][number % 2];
                format!(
                    "{{\"name\":\"t{number}\",\"engine\":\"{engine}\",\"outcome\":\"passed\",\"retaken\":\"late\"}}\n"
                )
            };
            (0..count).map(line).collect::<String>()
        };
        let failures = |count| {
            let rows = rows(&report(count), "uml", "6.1", &[]).unwrap();
            rows.into_iter().flat_map(|row| row.failures).collect::<Vec<_>>()
        };
        assert_eq!(failures(RETAKEN_MAX), Vec::<String>::new());
        let many = failures(RETAKEN_MAX + 1);
        assert!(many.len() == 1 && many[0].starts_with("too many trials needed a second take"), "{many:?}");
    }

    #[test]
    fn a_broken_report_is_an_error() {
        assert!(rows("{\"name\":", "uml", "6.1", &[]).is_err());
    }
}
