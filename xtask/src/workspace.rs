//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::command;

/// The workspace this task belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// Directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory for it, as environment and configuration say.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let output = command::cargo()
            .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run `cargo metadata`")?;
        #[derive(serde::Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            target_directory: PathBuf,
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` wrote")?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }

    /// A path of the workspace, relative to its root.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }
}
