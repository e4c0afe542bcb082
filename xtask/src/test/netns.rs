//! The tests in real namespaces: on the kernel that is here, and in User-mode Linux.
//!
//! Their binary reads `SHAPER_BIN` (the command to drive), `SHAPER_REQUIRE` (engines whose tests must not be skipped),
//! `SHAPER_REPORT` (a file it appends one JSON object per test to) and `SHAPER_SHARD` (`0/2`: the first half of the
//! tests), `SHAPER_PLAN_RUST` and `SHAPER_PLAN_JS` (the plans on Testground's SDKs), `SHAPER_REDIS` (a server of states),
//! `SHAPER_DOCKERD`, `SHAPER_COMPOSE`, `SHAPER_BUSYBOX` and `SHAPER_STATIC` (containers, and what is in them) and `SHAPER_SCHEMATHESIS` (what
//! fuzzes the API), each of which may be `missing: ` and why, and takes libtest's arguments. `SHAPER_FUZZ_EXAMPLES`, which says how many
//! cases of each kind it makes, is the caller's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::artifacts::{self, Artifacts};
use super::report::{self, Row};
use super::{Context, engines, native_kernel, object, programs};
use crate::docker::{self, Docker};
use crate::supervise::Group;
use crate::uml::{Ended, Job, Machine, inherited_env, processors};

/// For one run of the binary: several times what the slowest takes on a quiet machine.
const TIMEOUT: Duration = Duration::from_secs(2_400);

/// Most machines side by side, of a GiB of memory each: two take 221 s where one takes 419.
const SHARDS_MAX: usize = 2;

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
    command.envs(containers(&docker::programs(context.workspace)));
    let ended = Group::spawn(&mut command)?.wait(TIMEOUT);
    rows(&run, &[report], ended.map(|status| status.success()))
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

/// Half of the tests each on two machines, which have a processor of the host each; all on one where there is one.
fn uml_namespaces(context: &Context<'_>, artifacts: &Artifacts) -> Result<Vec<Row>> {
    let processors = processors()?;
    let shards = processors.len().min(SHARDS_MAX);
    let machines = processors.iter().rev().take(shards).map(|cpu| Machine::on(context.workspace, *cpu));
    let machines = machines.collect::<Result<Vec<_>>>()?;
    let run = Run {
        tier: "uml",
        kernel: machines.first().map(Machine::kernel_release).unwrap_or_default(),
        required: UML_REQUIRED.iter().map(|&engine| engine.to_owned()).collect(),
        filter: context.filter,
    };
    let reports: Vec<PathBuf> =
        machines.iter().map(|machine| machine.shared().join("report.jsonl")).collect();
    let job = |shard: usize, report: &Path| {
        let mut env = inherited_env();
        env.extend(contract(&run, artifacts, report));
        env.insert("SHAPER_SHARD".to_owned(), format!("{shard}/{shards}"));
        let mut command = vec![artifacts.tests.display().to_string()];
        command.extend(run.filter.map(str::to_owned));
        Job { command, env, dir: context.workspace.root.clone(), timeout: TIMEOUT }
    };
    let ended = thread::scope(|scope| {
        let running: Vec<_> = machines
            .iter()
            .zip(&reports)
            .enumerate()
            .map(|(shard, (machine, report))| {
                let job = job(shard, report);
                scope.spawn(move || machine.run(&job))
            })
            .collect();
        let ended = running.into_iter().map(|thread| thread.join().expect("no panic while a machine runs"));
        ended.collect::<Vec<Result<Ended>>>()
    });
    let ended = ended.into_iter().try_fold(true, |all, ended| Ok(ended?.code == 0 && all));
    rows(&run, &reports, ended)
}

fn found(path: &Result<PathBuf>) -> String {
    match path {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("missing: {error:#}"),
    }
}

/// What tests with containers are told; those in User-mode Linux have none.
fn containers(docker: &Docker) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("SHAPER_BUSYBOX".to_owned(), found(&docker.busybox)),
        ("SHAPER_COMPOSE".to_owned(), found(&docker.compose)),
        ("SHAPER_DOCKERD".to_owned(), found(&docker.daemon)),
        ("SHAPER_STATIC".to_owned(), found(&docker.shaper)),
    ])
}

fn contract(run: &Run<'_>, artifacts: &Artifacts, report: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("SHAPER_PLAN_JS".to_owned(), found(&artifacts.plan_js)),
        ("SHAPER_PLAN_RUST".to_owned(), artifacts.plan_rust.display().to_string()),
        ("SHAPER_REDIS".to_owned(), found(&artifacts.redis)),
        ("SHAPER_SCHEMATHESIS".to_owned(), found(&artifacts.schemathesis)),
        ("SHAPER_BIN".to_owned(), artifacts.shaper.display().to_string()),
        ("SHAPER_REPORT".to_owned(), report.display().to_string()),
        ("SHAPER_REQUIRE".to_owned(), run.required.join(",")),
    ])
}

/// The rows of a run, which may have ended with success, without, or before its time.
fn rows(run: &Run<'_>, reports: &[PathBuf], ended: Result<bool>) -> Result<Vec<Row>> {
    // A run without tests writes no report.
    let text: String = reports.iter().map(|report| fs::read_to_string(report).unwrap_or_default()).collect();
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
