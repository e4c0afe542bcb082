//! `cargo xtask uml`: a command under a kernel of its own, with every module the engines need and without privileges.
//!
//! User-mode Linux is a Linux kernel that runs as an ordinary process. Its root file system is the host's, read-only,
//! so what was just built runs in it as it is; the guest's `/tmp` and `/run` are its own.

mod guest;
mod machine;
mod modules;
mod package;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
pub(crate) use guest::main as init;
pub(crate) use machine::{Ended, Job, Machine, processors};

/// Runs a command in User-mode Linux, fetched and unpacked below the target directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds after which the machine is switched off.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Command and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Boots, runs and reports the command's exit code as ours.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let machine = Machine::new(workspace)?;
    let ended = machine.run(&Job {
        command: options.command.clone(),
        env: inherited_env(),
        dir: std::env::current_dir().context("cannot tell the current directory")?,
        timeout: Duration::from_secs(options.timeout),
    })?;
    Ok(ExitCode::from(ended.code))
}

/// Our environment without what is only true on the host.
pub(crate) fn inherited_env() -> BTreeMap<String, String> {
    let is_of_the_host = |name: &str| name == "TMPDIR" || name == "LD_LIBRARY_PATH";
    let mut env: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| !is_of_the_host(name)).collect();
    // The guest's console is a terminal even where our standard output is a file.
    if !std::io::stdout().is_terminal() {
        env.insert("NO_COLOR".into(), "1".into());
    }
    env
}

/// What the host tells the guest's init.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Order {
    command: Vec<String>,
    env: BTreeMap<String, String>,
    dir: PathBuf,
    /// Kernel objects, in the order to insert them.
    modules: Vec<PathBuf>,
    /// Host directories the guest must see even where a file system of its own would hide them.
    visible: Vec<PathBuf>,
    /// The host directory the guest may write to.
    shared: PathBuf,
    /// After this the guest switches itself off.
    seconds_max: u64,
}

/// File in the shared directory that the guest writes the command's exit code to.
const EXIT_FILE: &str = "exit";

/// Lines on the console between which the output is the command's own.
const BEGIN: &str = "--- xtask uml: begin ---";
const END: &str = "--- xtask uml: end ---";
