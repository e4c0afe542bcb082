//! The tests in real namespaces: on the kernel that is here, and in User-mode Linux.
//!
//! Their binary reads `SHAPER_BIN` (the command to drive), `SHAPER_REQUIRE` (engines whose tests must not be skipped)
//! and `SHAPER_REPORT` (a file it appends one JSON object per test to), and takes libtest's arguments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::artifacts::{self, Artifacts};
use super::report::{self, Row};
use super::{Context, engines, native_kernel, object, programs};
use crate::supervise::Group;
use crate::uml::{Job, Machine, inherited_env};

/// For one run of the binary.
const TIMEOUT: Duration = Duration::from_secs(900);

/// User-mode Linux has the modules of every engine.
const UML_REQUIRED: &[&str] = &["edt", "netem", "relay"];

/// One run of the test binary.
struct Run<'a> {
    tier: &'static str,
    kernel: String,
    required: Vec<String>,
    filter: Option<&'a str>,
}

pub(super) fn native(context: &Context<'_>) -> Result<Vec<Row>> {
    let kernel = native_kernel();
    if !nix::unistd::geteuid().is_root() && !context.is_ci {
        return Ok(vec![Row::new("native", kernel).skipped("needs root")]);
    }
    let artifacts = artifacts::build(context)?;
    let required = engines::of_this_kernel(&artifacts.shaper);
    let run = Run { tier: "native", kernel, required, filter: context.filter };
    let dir = context.workspace.target.join("netns");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let report = dir.join("report.jsonl");
    if report.exists() {
        fs::remove_file(&report).with_context(|| format!("cannot remove {}", report.display()))?;
    }
    let mut command = Command::new(&artifacts.tests);
    command.args(run.filter).envs(contract(&run, &artifacts, &report)).stdin(Stdio::null());
    let ended = Group::spawn(&mut command)?.wait(TIMEOUT);
    rows(&run, &report, ended.map(|status| status.success()))
}

pub(super) fn uml(context: &Context<'_>) -> Result<Vec<Row>> {
    let artifacts = artifacts::build(context)?;
    let tests = programs::build(context)?;
    let mut rows = vec![programs::uml(context, &tests, None)?];
    if let Some(object) = object::rebuilt(context) {
        rows.push(programs::uml(context, &tests, Some(&object))?);
    }
    rows.extend(uml_namespaces(context, &artifacts)?);
    Ok(rows)
}

fn uml_namespaces(context: &Context<'_>, artifacts: &Artifacts) -> Result<Vec<Row>> {
    let machine = Machine::new(context.workspace)?;
    let run = Run {
        tier: "uml",
        kernel: machine.kernel_release(),
        required: UML_REQUIRED.iter().map(|&engine| engine.to_owned()).collect(),
        filter: context.filter,
    };
    let report = machine.shared().join("report.jsonl");
    let mut env = inherited_env();
    env.extend(contract(&run, artifacts, &report));
    let mut command = vec![artifacts.tests.display().to_string()];
    command.extend(run.filter.map(str::to_owned));
    let dir = context.workspace.root.clone();
    let ended = machine.run(&Job { command, env, dir, timeout: TIMEOUT });
    rows(&run, &report, ended.map(|ended| ended.code == 0))
}

fn contract(run: &Run<'_>, artifacts: &Artifacts, report: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("SHAPER_BIN".to_owned(), artifacts.shaper.display().to_string()),
        ("SHAPER_REPORT".to_owned(), report.display().to_string()),
        ("SHAPER_REQUIRE".to_owned(), run.required.join(",")),
    ])
}

/// The rows of a run, which may have ended with success, without, or before its time.
fn rows(run: &Run<'_>, report: &Path, ended: Result<bool>) -> Result<Vec<Row>> {
    // A run without tests writes no report.
    let text = fs::read_to_string(report).unwrap_or_default();
    let required: Vec<&str> = run.required.iter().map(String::as_str).collect();
    let mut rows = report::rows(&text, run.tier, &run.kernel, &required)?;
    let whole = Row::new(run.tier, &run.kernel);
    match ended {
        Err(error) => rows.push(whole.failed(format!("{error:#}, so not every test ran"))),
        Ok(false) if rows.iter().all(|row| row.failed == 0) => {
            rows.push(whole.failed("the test binary failed without naming a failed test"));
        }
        Ok(_) if rows.is_empty() && run.filter.is_none() => rows.push(whole.failed("no test ran")),
        Ok(_) => {}
    }
    Ok(rows)
}
