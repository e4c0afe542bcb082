//! The program that fuzzes the agent's API from its OpenAPI document.

use std::path::PathBuf;

use anyhow::Result;

use crate::venv;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = include_str!("schemathesis.txt");

/// Installs it.
pub(crate) fn program(workspace: &Workspace) -> Result<PathBuf> {
    venv::program(workspace, "schemathesis", REQUIREMENTS)
}
