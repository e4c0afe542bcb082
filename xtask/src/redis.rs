//! The server of states that tests share.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::command::which;
use crate::debian;

/// Programs that serve when they are called by the first name. Debian's tools are the server under another name, without the service that
/// its package would start.
const PROGRAMS: [&str; 3] = ["redis-server", "valkey-server", "redis-check-rdb"];
const PACKAGE: &str = "redis-tools";

/// Finds a server, or installs one.
pub(crate) fn server() -> Result<PathBuf> {
    let find = || PROGRAMS.iter().find_map(|program| which(program));
    if let Some(found) = find() {
        return Ok(found);
    }
    if !debian::is_here() {
        bail!("no redis-server and no valkey-server on this machine, and no apt to install one");
    }
    debian::install(&[PACKAGE]).context("no redis-server on this machine")?;
    find().with_context(|| format!("package {PACKAGE} has no server"))
}
