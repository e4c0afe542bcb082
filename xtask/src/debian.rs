//! Debian packages, installed only when they are missing.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{ask, run, which};

/// Whether this machine installs its software with apt.
pub(crate) fn is_here() -> bool {
    which("apt-get").is_some() && which("dpkg-query").is_some()
}

/// Installs those of `packages` that are not installed yet; does nothing at all when all are.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "missing Debian packages; as root: apt-get install -y --no-install-recommends {}",
            missing.join(" ")
        );
    }
    let install = || run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&missing));
    if install().is_err() {
        // A machine that never ran `update`, or ran it long ago, does not know where the packages are.
        run(apt_get().arg("update"))?;
        install().context("cannot install what this task needs")?;
    }
    Ok(())
}

/// `apt-get` without questions.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    ask(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
        .is_some_and(|status| status == "install ok installed")
}
