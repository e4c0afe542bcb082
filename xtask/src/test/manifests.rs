//! Are the Kubernetes manifests what its API takes? Checked against its schema, with no field that this does not know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Context;
use super::report::Row;
use crate::command::run;
use crate::workspace::Workspace;

const MANIFESTS: &str = "deploy/kubernetes";
/// The checker, which has the schemas of many versions in it.
const CHECKER: &str = "kubernetes-validate==1.37.0";
/// The first version that has all that the manifests use, and the last one that the checker knows.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

pub(super) fn run_all(context: &Context<'_>) -> Result<Row> {
    let begin = Instant::now();
    let row = Row::new("manifests", "-");
    let checker = match checker(context.workspace) {
        Ok(checker) => checker,
        Err(error) => return Ok(row.skipped(format!("{error:#}"))),
    };
    let dir = context.workspace.path(MANIFESTS);
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut manifests: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    manifests.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests.sort();
    let row = VERSIONS.into_iter().fold(row, |row, version| {
        let check = |path: &Path| {
            run(Command::new(&checker)
                .args(["--strict", "--quiet", "--kubernetes-version", version])
                .arg(path))
        };
        manifests.iter().fold(row, |row, path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            row.checked(&format!("{name} in Kubernetes {version}"), check(path))
        })
    });
    Ok(row.took(begin.elapsed()))
}

/// Installs the checker below the target directory unless that was done before.
fn checker(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.target.join("manifests").join(CHECKER);
    let program = dir.join("bin/kubernetes-validate");
    if program.is_file() {
        return Ok(program);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&dir))
        .context("no Python to check manifests with")?;
    // pip writes the program last, after all that it needs.
    run(Command::new(dir.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        CHECKER,
    ]))
    .context("cannot install what checks manifests")?;
    Ok(program)
}
