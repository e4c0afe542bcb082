//! `cargo xtask bench`: what each engine gives and costs, beside the unshaped link and plain netem, on the kernel that is here
//! and in User-mode Linux. For reading, and for comparing two commits; it fails no build.

mod compare;
mod grid;
mod load;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::cargo_build::{self, MESSAGES};
use crate::command::{announce, ask, cargo};
use crate::interrupt;
use crate::supervise::Group;
use crate::uml::{Job, Machine, inherited_env};
use crate::workspace::Workspace;
use report::{Place, Report, Run};

/// Measures every engine beside the unshaped link and plain netem, natively and in User-mode Linux.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Time of each throughput reading.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Which way the packets go that are shaped, seen from their namespace.
    #[arg(long, value_name = "egress|ingress", default_value = "egress", value_parser = ["egress", "ingress"])]
    direction: String,
    /// Only parts whose name contains this, such as `relay`, `traffic/edt`, `command`, `classifier/steer`.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Without the kernel that is here.
    #[arg(long)]
    no_native: bool,
    /// Without User-mode Linux.
    #[arg(long)]
    no_uml: bool,
    /// Write all readings to this file.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Measure nothing; print the readings of the second file as multiples of those in the first.
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], exclusive = true)]
    compare: Option<Vec<PathBuf>>,
}

/// What is run.
struct Programs {
    shaper: PathBuf,
    bench: PathBuf,
}

/// Measures and prints; what cannot be measured is said, and is no failure.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if let Some([before, after]) = options.compare.as_deref() {
        print!("{}", compare::render(&Report::read(before)?, &Report::read(after)?));
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::remember()?;
    let begin = Instant::now();
    let programs = build(workspace)?;
    let mut report = Report::new(workspace, options.seconds, &options.direction);
    let measured = Instant::now();
    for place in [Place::Native, Place::Uml] {
        let is_left_out = match place {
            Place::Native => options.no_native,
            Place::Uml => options.no_uml,
        };
        if !is_left_out && !interrupt::requested() {
            report.runs.push(run(workspace, options, &programs, place));
        }
    }
    print!("\n{}", report.render());
    println!(
        "measured in {:.0} s, after {:.0} s of building",
        measured.elapsed().as_secs_f64(),
        (measured - begin).as_secs_f64()
    );
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build(workspace: &Workspace) -> Result<Programs> {
    let mut command = cargo();
    command
        .args(["build", "--locked", "--release", MESSAGES])
        .args(["--package=shaper", "--bin=shaper", "--package=shaper-netns-tests", "--bin=bench"])
        .current_dir(&workspace.root);
    let built = cargo_build::run(&mut command)?;
    Ok(Programs { shaper: built.find("bin", "shaper")?, bench: built.find("bin", "bench")? })
}

fn run(workspace: &Workspace, options: &Options, programs: &Programs, place: Place) -> Run {
    let load_before = load::of_others();
    let mut run = Run::new(place, load_before);
    let measured = match place {
        Place::Native => native(workspace, options, programs, &mut run),
        Place::Uml => uml(workspace, options, programs, &mut run),
    };
    if let Err(error) = measured {
        eprintln!("xtask: {place}: {error:#}");
        run.problem = Some(format!("{error:#}"));
    }
    run.load_after = load::of_others();
    run
}

fn native(workspace: &Workspace, options: &Options, programs: &Programs, run: &mut Run) -> Result<()> {
    run.kernel = ask(Command::new("uname").arg("-r")).unwrap_or_default();
    run.cpus = std::thread::available_parallelism().map_or(0, usize::from);
    ensure!(nix::unistd::geteuid().is_root(), "needs root");
    let file = workspace.target.join("bench.jsonl");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    let mut command = Command::new(&programs.bench);
    command.args(words(options, &file)).env("SHAPER_BIN", &programs.shaper).stdin(Stdio::null());
    announce(&command);
    let ended = Group::spawn(&mut command)?.wait(timeout(options));
    run.add(&file)?;
    let status = ended?;
    ensure!(status.success(), "the measuring program: {status}");
    Ok(())
}

fn uml(workspace: &Workspace, options: &Options, programs: &Programs, run: &mut Run) -> Result<()> {
    let machine = Machine::new(workspace)?;
    run.kernel = machine.kernel_release();
    run.cpus = 1;
    let file = machine.shared().join("bench.jsonl");
    let mut command = vec![programs.bench.display().to_string()];
    command.extend(words(options, &file));
    let mut env: BTreeMap<String, String> = inherited_env();
    env.insert("SHAPER_BIN".into(), programs.shaper.display().to_string());
    let job = Job { command, env, dir: workspace.root.clone(), timeout: timeout(options) };
    let ended = machine.run(&job);
    run.add(&file)?;
    let code = ended?.code;
    ensure!(code == 0, "the measuring program ended with exit code {code}");
    Ok(())
}

fn words(options: &Options, file: &Path) -> Vec<String> {
    let mut words = vec![options.seconds.to_string(), options.direction.clone(), file.display().to_string()];
    words.extend(options.only.clone());
    words
}

/// Five subjects with nine readings each, and what is around them; then something hangs.
fn timeout(options: &Options) -> Duration {
    Duration::from_secs_f64(240.0 + 120.0 * options.seconds.clamp(0.0, 1e4))
}
