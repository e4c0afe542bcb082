//! `cargo xtask image`: `shaper` as a container image, of one statically linked program.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo_build::{self, MESSAGES};
use crate::command::{ask, cargo, run, which};
use crate::elf;
use crate::workspace::Workspace;

/// Without a dynamic linker, and without what only a debugger reads; the names of functions stay for backtraces.
const FLAGS: &str = "-Ctarget-feature=+crt-static -Cstrip=debuginfo";

/// Builds `shaper` as one statically linked program, and an image with nothing else in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of the image.
    #[arg(long, value_name = "NAME[:TAG]", default_value = "shaper")]
    tag: String,
    /// Only the program, for a machine that has no Docker.
    #[arg(long)]
    program: bool,
}

/// Builds the program, and by `Dockerfile` the image, in the Docker that `DOCKER_HOST` names.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = program(workspace)?;
    let bytes = fs::metadata(&program).with_context(|| format!("cannot see {}", program.display()))?.len();
    println!("{}: {:.1} MB, statically linked", program.display(), bytes as f64 / 1e6);
    if options.program {
        return Ok(());
    }
    ensure!(which("docker").is_some(), "no docker on this machine: --program builds the program alone");
    let context = workspace.target.join("image");
    fs::create_dir_all(&context).with_context(|| format!("cannot create {}", context.display()))?;
    fs::copy(&program, context.join("shaper")).context("cannot copy the program")?;
    let mut docker = Command::new("docker");
    docker.args(["build", "--tag", &options.tag, "--file"]).arg(workspace.path("Dockerfile")).arg(&context);
    run(&mut docker)
}

/// Builds `shaper` for this machine's own target. Named, flags do not concern build scripts and macros, which have to be dynamic.
pub(crate) fn program(workspace: &Workspace) -> Result<PathBuf> {
    let target = host()?;
    let flags =
        std::env::var("RUSTFLAGS").map_or_else(|_unset| FLAGS.to_owned(), |own| format!("{own} {FLAGS}"));
    let mut command = cargo();
    command
        .args([
            "build",
            "--locked",
            "--release",
            MESSAGES,
            "--package=shaper",
            "--bin=shaper",
            "--target",
            &target,
        ])
        .env("RUSTFLAGS", flags)
        .current_dir(&workspace.root);
    let program = cargo_build::run(&mut command)?.find("bin", "shaper")?;
    ensure!(
        elf::is_static(&program)?,
        "{} asks for a dynamic linker: target {target} has no static C library",
        program.display()
    );
    Ok(program)
}

/// The target of the compiler that cargo runs.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = ask(Command::new(rustc).arg("-vV")).context("cannot run rustc")?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not say what it builds for")
}
