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
use super::{Context, native_kernel, object};
use crate::supervise::Group;
use crate::uml::{Job, Machine, inherited_env};

/// For one run of the binary.
const TIMEOUT: Duration = Duration::from_secs(900);

/// The engine that needs next to nothing of a kernel.
const NATIVE_REQUIRED: &[&str] = &["relay"];

/// User-mode Linux has the modules of every engine.
const UML_REQUIRED: &[&str] = &["edt", "netem", "relay"];

/// Tests of the kernel programs by themselves (BPF_PROG_TEST_RUN): what a rebuilt object is tested with.
const PROGRAM_TESTS: &str = "program";

/// One run of the test binary.
struct Run<'a> {
    tier: &'static str,
    required: &'a [&'a str],
    filter: Option<&'a str>,
    object: Option<&'a Path>,
}

pub(super) fn native(context: &Context<'_>) -> Result<Vec<Row>> {
    let kernel = native_kernel();
    if !nix::unistd::geteuid().is_root() && !context.is_ci {
        return Ok(vec![Row::new("native", kernel).skipped("needs root")]);
    }
    let artifacts = artifacts::build(context)?;
    let dir = context.workspace.target.join("netns");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let report = dir.join("report.jsonl");
    each_run(context, "native", NATIVE_REQUIRED, |run| {
        if report.exists() {
            fs::remove_file(&report).with_context(|| format!("cannot remove {}", report.display()))?;
        }
        let mut command = Command::new(&artifacts.tests);
        command
            .args(run.filter)
            .envs(contract(run, &artifacts, &report))
            .stdin(Stdio::null());
        let status = Group::spawn(&mut command)?.wait(TIMEOUT)?;
        rows(run, &kernel, &report, status.success())
    })
}

pub(super) fn uml(context: &Context<'_>) -> Result<Vec<Row>> {
    let artifacts = artifacts::build(context)?;
    each_run(context, "uml", UML_REQUIRED, |run| {
        let machine = Machine::new(context.workspace)?;
        let report = machine.shared().join("report.jsonl");
        let mut env = inherited_env();
        env.extend(contract(run, &artifacts, &report));
        let mut command = vec![artifacts.tests.display().to_string()];
        command.extend(run.filter.map(str::to_owned));
        let dir = context.workspace.root.clone();
        let code = machine.run(&Job {
            command,
            env,
            dir,
            timeout: TIMEOUT,
        })?;
        rows(run, &machine.kernel_release(), &report, code == 0)
    })
}

/// All tests on the committed object, then the program tests on the rebuilt one if there is one.
fn each_run(
    context: &Context<'_>,
    tier: &'static str,
    required: &[&str],
    mut run: impl FnMut(&Run<'_>) -> Result<Vec<Row>>,
) -> Result<Vec<Row>> {
    let mut rows = run(&Run {
        tier,
        required,
        filter: context.filter,
        object: None,
    })?;
    let rebuilt = object::rebuilt(context);
    if context.rebuild && rebuilt.is_file() && context.filter.is_none() {
        let on_rebuilt = Run {
            tier: if tier == "uml" {
                "uml rebuilt"
            } else {
                "native rebuilt"
            },
            required: &[],
            filter: Some(PROGRAM_TESTS),
            object: Some(&rebuilt),
        };
        rows.extend(run(&on_rebuilt)?);
    }
    Ok(rows)
}

fn contract(run: &Run<'_>, artifacts: &Artifacts, report: &Path) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("SHAPER_BIN".to_owned(), artifacts.shaper.display().to_string()),
        ("SHAPER_REPORT".to_owned(), report.display().to_string()),
        ("SHAPER_REQUIRE".to_owned(), run.required.join(",")),
    ]);
    if let Some(object) = run.object {
        env.insert("SHAPER_BPF_OBJECT".to_owned(), object.display().to_string());
    }
    env
}

fn rows(run: &Run<'_>, kernel: &str, report: &Path, is_success: bool) -> Result<Vec<Row>> {
    // A run without tests writes no report.
    let text = fs::read_to_string(report).unwrap_or_default();
    let mut rows = report::rows(&text, run.tier, kernel, run.required)?;
    let whole = Row::new(run.tier, kernel);
    if !is_success && rows.iter().all(|row| row.failed == 0) {
        rows.push(whole.failed("the test binary failed without naming a failed test"));
    } else if rows.is_empty() && run.filter.is_none_or(|filter| filter == PROGRAM_TESTS) {
        rows.push(whole.failed("no test ran"));
    }
    Ok(rows)
}
