//! The Testground plans in `examples`, each on an SDK as it was published.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo_build::{self, MESSAGES};
use crate::command::{cargo, run, which};
use crate::debian;
use crate::workspace::Workspace;

/// The plan on the crate `testground`, which is a workspace of its own.
pub(crate) const RUST: &str = "examples/ping-pong";
const JS: &str = "examples/ping-pong-js";

/// Where the programs that run a plan in JavaScript come from on Debian.
const JS_PROGRAMS: [(&str, &str); 2] = [("node", "nodejs"), ("npm", "npm")];

/// Where what is built of the examples is kept: cargo would take the workspace's own place for another one's.
pub(crate) fn target(workspace: &Workspace) -> PathBuf {
    workspace.target.join("examples")
}

/// Builds the plan in Rust, and returns the program. The SDK takes two minutes of a processor, once.
pub(crate) fn rust(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo();
    command
        .args(["build", "--locked", "--release", MESSAGES, "--manifest-path"])
        .arg(workspace.path(RUST).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target(workspace))
        .current_dir(&workspace.root);
    cargo_build::run(&mut command)?.find("bin", "ping-pong")
}

/// Installs what the plan in JavaScript needs, and returns the script.
pub(crate) fn javascript(workspace: &Workspace) -> Result<PathBuf> {
    let missing: Vec<_> = JS_PROGRAMS.iter().filter(|(program, _)| which(program).is_none()).collect();
    if !missing.is_empty() {
        let programs = missing.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(" and ");
        if !debian::is_here() {
            bail!("no {programs} on this machine, and no apt to install it");
        }
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        debian::install(&packages).with_context(|| format!("no {programs} on this machine"))?;
    }
    let (from, to) = (workspace.path(JS), target(workspace).join("ping-pong-js"));
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    let modules = to.join("node_modules");
    // npm writes this file last.
    let is_installed =
        modules.join(".package-lock.json").exists() && is_same(&from, &to, "package-lock.json");
    if !is_installed && modules.exists() {
        fs::remove_dir_all(&modules).with_context(|| format!("cannot remove {}", modules.display()))?;
    }
    for file in ["package.json", "package-lock.json", "main.js"] {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    if !is_installed {
        // `ci` takes what the lock file says, and takes away what else there is.
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&to))?;
    }
    Ok(to.join("main.js"))
}

fn is_same(from: &Path, to: &Path, file: &str) -> bool {
    let read = |dir: &Path| fs::read(dir.join(file)).ok();
    read(from).is_some_and(|text| read(to) == Some(text))
}
