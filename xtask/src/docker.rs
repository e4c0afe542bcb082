//! What the tests with containers run on: Docker's daemon, which each of them starts for itself, and something to put in a container.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::which;
use crate::{debian, elf};

/// Paths of the programs.
#[derive(Debug)]
pub(crate) struct Docker {
    /// The daemon; its client is in the `PATH`.
    pub(crate) daemon: Result<PathBuf>,
    /// A shell and its commands, statically linked, for an image that has nothing else.
    pub(crate) busybox: Result<PathBuf>,
}

/// Finds the programs, or installs them.
pub(crate) fn programs() -> Docker {
    Docker { daemon: daemon(), busybox: busybox() }
}

fn daemon() -> Result<PathBuf> {
    for program in ["dockerd", "docker", "iptables"] {
        if which(program).is_none() {
            install(program, &["docker.io", "iptables"])?;
        }
    }
    which("dockerd").context("package docker.io has no dockerd")
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
