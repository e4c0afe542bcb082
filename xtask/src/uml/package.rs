//! The kernel: Debian's `user-mode-linux` package, downloaded and unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::run;
use crate::debian;
use crate::workspace::Workspace;

const PACKAGE: &str = "user-mode-linux";

/// An unpacked kernel with its modules.
#[derive(Debug)]
pub(crate) struct Package {
    /// The kernel's executable.
    pub(crate) kernel: PathBuf,
    /// Directory with `modules.dep`.
    pub(crate) modules: PathBuf,
}

impl Package {
    /// Unpacks the package below the target directory unless that was done before.
    pub(crate) fn fetch(workspace: &Workspace) -> Result<Self> {
        let dir = workspace.target.join("uml");
        let unpacked = dir.join("root");
        if !unpacked.is_dir() {
            if !debian::is_here() {
                bail!(
                    "User-mode Linux comes from Debian's `{PACKAGE}` package, and there is no apt-get here"
                );
            }
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            let archive = download(&dir)?;
            // Renamed when complete, so that an interrupted unpacking is not taken for a finished one.
            let partial = dir.join("root.partial");
            run(Command::new("dpkg").arg("-x").arg(&archive).arg(&partial))?;
            fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
            fs::rename(&partial, &unpacked).with_context(|| format!("cannot name {}", unpacked.display()))?;
        }
        Ok(Self {
            kernel: unpacked.join("usr/bin/linux.uml"),
            modules: only_entry(&unpacked.join("usr/lib/uml/modules"))?,
        })
    }
}

fn download(dir: &Path) -> Result<PathBuf> {
    if run(apt_get(&[]).args(["download", PACKAGE]).current_dir(dir)).is_err() {
        // This machine's package lists are empty or old; lists of our own need no privileges and leave its alone.
        let lists = dir.join("apt");
        fs::create_dir_all(lists.join("partial"))
            .with_context(|| format!("cannot create {}", lists.display()))?;
        let own =
            [format!("Dir::State::Lists={}", lists.display()), format!("Dir::Cache={}", lists.display())];
        run(apt_get(&own).arg("update"))?;
        run(apt_get(&own).args(["download", PACKAGE]).current_dir(dir))?;
    }
    archives(dir)?.pop().with_context(|| format!("apt-get downloaded no .deb to {}", dir.display()))
}

fn apt_get(options: &[String]) -> Command {
    let mut command = debian::apt_get();
    // Without this apt complains that its own user cannot write to the target directory.
    command.args(["-o", "APT::Sandbox::User=root"]);
    for option in options {
        command.args(["-o", option]);
    }
    command
}

fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = entries(dir)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.sort();
    Ok(found)
}

fn only_entry(dir: &Path) -> Result<PathBuf> {
    entries(dir)?.pop().with_context(|| format!("{} is empty", dir.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>();
    read().with_context(|| format!("cannot list {}", dir.display()))
}
