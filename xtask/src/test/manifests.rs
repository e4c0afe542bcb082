//! Are the Kubernetes manifests what its API takes? Checked against its schema, with no field that this does not know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::Context;
use super::report::Row;
use crate::{command, venv};

const MANIFESTS: &str = "deploy/kubernetes";
/// The checker, which has the schemas of many versions in it, and what it needs.
const REQUIREMENTS: &str = include_str!("manifests.txt");
/// The first version that has all that the manifests use, and the last one that the checker knows.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let row = Row::new("manifests", "-");
    let checker = match venv::program(context.workspace, "kubernetes-validate", REQUIREMENTS) {
        Ok(checker) => checker,
        Err(error) => return Ok(vec![row.skipped(format!("no kubernetes-validate: {error:#}"))]),
    };
    let dir = context.workspace.path(MANIFESTS);
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut manifests: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    manifests.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    manifests.sort();
    ensure!(!manifests.is_empty(), "no manifests in {}", dir.display());
    let row = VERSIONS.into_iter().fold(row, |row, version| {
        let check = |path: &Path| {
            command::run(
                Command::new(&checker)
                    .args(["--strict", "--quiet", "--kubernetes-version", version])
                    .arg(path),
            )
        };
        manifests.iter().fold(row, |row, path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            row.checked(&format!("{name} in Kubernetes {version}"), check(path))
        })
    });
    Ok(vec![row.took(begin.elapsed())])
}
