//! What was read, written down as it comes, so that an interrupted run keeps what it has.

use std::any::Any;
use std::fs::File;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use serde::Serialize;

/// Which way a reading improves.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Better {
    /// Smaller is better.
    Less,
    /// Greater is better.
    More,
}

/// What a reading is a reading of.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Metric<'a> {
    /// The row of the table.
    metric: &'a str,
    unit: &'a str,
    better: Better,
}

impl<'a> Metric<'a> {
    /// A metric of which less is better.
    pub(crate) fn less(metric: &'a str, unit: &'a str) -> Self {
        Self { metric, unit, better: Better::Less }
    }

    /// A metric of which more is better.
    pub(crate) fn more(metric: &'a str, unit: &'a str) -> Self {
        Self { metric, unit, better: Better::More }
    }
}

/// One cell of a table: one line of the file.
#[derive(Debug, Serialize)]
struct Reading<'a> {
    /// Which table.
    group: &'a str,
    /// Which column: what was measured.
    subject: &'a str,
    /// Which row.
    #[serde(flatten)]
    metric: Metric<'a>,
    /// The reading; `None` when it failed.
    value: Option<f64>,
    /// Why it failed.
    problem: Option<String>,
}

/// Writes readings to a file, and for who watches to standard error.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
}

impl Recorder {
    /// Starts an empty file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)? })
    }

    /// Writes down what one measurement read; a failed one has no value for any of its metrics.
    pub(crate) fn write<const N: usize>(
        &mut self,
        group: &str,
        subject: &str,
        metrics: [Metric<'_>; N],
        values: &Result<[f64; N], String>,
    ) {
        for (index, metric) in metrics.into_iter().enumerate() {
            self.write_one(
                group,
                subject,
                metric,
                values.as_ref().map(|values| values[index]).map_err(Clone::clone),
            );
        }
    }

    fn write_one(&mut self, group: &str, subject: &str, metric: Metric<'_>, value: Result<f64, String>) {
        let Metric { metric: name, unit, .. } = metric;
        match &value {
            Ok(value) => eprintln!("{group}/{subject}: {name}: {value:.3} {unit}"),
            Err(problem) => eprintln!("{group}/{subject}: {name}: {problem}"),
        }
        let (value, problem) =
            value.map_or_else(|problem| (None, Some(problem)), |value| (Some(value), None));
        let reading = Reading { group, subject, metric, value, problem };
        let line = serde_json::to_string(&reading).expect("text and numbers can be written as JSON");
        if let Err(error) = writeln!(self.file, "{line}") {
            eprintln!("cannot write the reading down: {error}");
        }
    }
}

/// Runs a measurement made of instruments that panic when the world is not as they need it.
pub(crate) fn attempt<T>(measurement: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(measurement)).unwrap_or_else(|panic| Err(panic_text(panic.as_ref())))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked without a text").to_owned()
}
