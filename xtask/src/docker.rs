//! What the tests with containers run on: Docker's daemon, which each of them starts for itself, and something to put in a container.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::command::{ask, which};
use crate::workspace::Workspace;
use crate::{debian, elf, image};

/// Paths of the programs.
#[derive(Debug)]
pub(crate) struct Docker {
    /// The daemon; its client is in the `PATH`.
    pub(crate) daemon: Result<PathBuf>,
    /// The program that runs what a compose file says, a command of the client or one of its own.
    pub(crate) compose: Result<PathBuf>,
    /// A shell and its commands, statically linked, for an image that has nothing else.
    pub(crate) busybox: Result<PathBuf>,
    /// `shaper` for its image.
    pub(crate) shaper: Result<PathBuf>,
}

/// Finds the programs, installs or builds them.
pub(crate) fn programs(workspace: &Workspace) -> Docker {
    let daemon = daemon();
    let shaper = match &daemon {
        Ok(_) => image::program(workspace),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    Docker { daemon, compose: compose(), busybox: busybox(), shaper }
}

fn daemon() -> Result<PathBuf> {
    for program in ["dockerd", "docker", "iptables"] {
        if which(program).is_none() {
            install(program, &["docker.io", "iptables"])?;
        }
    }
    which("dockerd").context("package docker.io has no dockerd")
}

fn compose() -> Result<PathBuf> {
    // Not one that only this user has: tests have settings of their own.
    let plugin = ["compose", "version"];
    if ask(Command::new("docker").args(plugin).env("DOCKER_CONFIG", "/nonexistent")).is_some() {
        return Ok("docker compose".into());
    }
    if which("docker-compose").is_none() {
        install("compose", &["docker-compose"])?;
    }
    which("docker-compose").context("package docker-compose has no docker-compose")
}

fn busybox() -> Result<PathBuf> {
    if let Some(found) = which("busybox").filter(|found| elf::is_static(found).unwrap_or(false)) {
        return Ok(found);
    }
    install("busybox, statically linked,", &["busybox-static"])?;
    let found = which("busybox").context("package busybox-static has no busybox")?;
    ensure!(elf::is_static(&found)?, "{} is not statically linked", found.display());
    Ok(found)
}

fn install(what: &str, packages: &[&str]) -> Result<()> {
    if !debian::is_here() {
        bail!("no {what} on this machine, and no apt to install it");
    }
    debian::install(packages).with_context(|| format!("no {what} on this machine"))
}
