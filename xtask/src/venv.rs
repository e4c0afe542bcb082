//! Programs in Python, each in an environment of its own below the target directory, with everything pinned.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{run, which};
use crate::debian;
use crate::workspace::Workspace;

/// Installs what `requirements` names, each with its version, and returns `program` of it. The same again does nothing.
pub(crate) fn program(workspace: &Workspace, program: &str, requirements: &str) -> Result<PathBuf> {
    let dir = workspace.target.join("python").join(program);
    let found = dir.join("bin").join(program);
    // Written last: what is there without it was interrupted.
    let installed = dir.join("installed.txt");
    if found.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(found);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    if which("python3").is_none() && !debian::is_here() {
        bail!("no python3 on this machine, and no apt to install it");
    }
    let environment = || run(Command::new("python3").args(["-m", "venv"]).arg(&dir));
    if which("python3").is_none() || environment().is_err() {
        // Debian's python3 comes without what makes environments.
        debian::install(&["python3-venv"]).context("no python3 with venv on this machine")?;
        environment()?;
    }
    let wanted = dir.join("wanted.txt");
    fs::write(&wanted, requirements).with_context(|| format!("cannot write {}", wanted.display()))?;
    // Nothing that is not named, and nothing that is built by code of its own.
    run(Command::new(dir.join("bin").join("pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-r"])
        .arg(&wanted))?;
    if !found.exists() {
        bail!("what was installed has no {program}");
    }
    fs::rename(&wanted, &installed).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(found)
}
