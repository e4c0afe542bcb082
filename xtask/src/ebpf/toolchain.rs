//! The toolchain that can build for BPF: a rustc with the sources of `core`, and bpf-linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{ask, cargo, run, which};
use crate::debian;
use crate::workspace::Workspace;

/// rustc with `core`'s sources (its LLVM must not be newer than bpf-linker's), and what bpf-linker is built with.
const DEBIAN_PACKAGES: &[&str] = &[
    "rustc-web",
    "rust-web-src",
    "cargo-web",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];
const BPF_LINKER_VERSION: &str = "0.13.0";

/// Where `cargo install` puts bpf-linker, below the target directory.
const TOOLS: &str = "tools";

/// What cargo and rustup put into the environment of the task that `cargo run` starts, and what would carry our own
/// build's settings over to the kernel program's.
const CARGO_RUN_VARIABLES: &[&str] = &[
    "CARGO",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "RUST_RECURSION_COUNT",
];
const CARGO_RUN_PREFIXES: &[&str] =
    &["CARGO_BUILD_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_", "CARGO_TARGET_"];

/// A toolchain that is installed and complete.
#[derive(Debug)]
pub(crate) struct Toolchain {
    rust: Rust,
    bpf_linker: PathBuf,
}

#[derive(Debug)]
enum Rust {
    /// A rustup toolchain, by name.
    Rustup(String),
    /// Debian's own, a release compiler that is told to accept `-Z` flags.
    Debian,
}

impl Toolchain {
    /// Finds a rustup nightly with rust-src and a bpf-linker; failing that, installs what Debian has.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let tools = workspace.target.join(TOOLS);
        let bpf_linker =
            which("bpf-linker").or_else(|| Some(tools.join("bin/bpf-linker")).filter(|file| file.is_file()));
        if let (Some(name), Some(bpf_linker)) = (nightly_with_rust_src(), &bpf_linker) {
            return Ok(Self { rust: Rust::Rustup(name), bpf_linker: bpf_linker.clone() });
        }
        if !debian::is_here() {
            bail!(
                "building the eBPF object needs a rustc with the sources of `core`, and bpf-linker; run\n  rustup toolchain \
                 install nightly --component rust-src\n  cargo install bpf-linker"
            );
        }
        debian::install(DEBIAN_PACKAGES)?;
        let bpf_linker = match bpf_linker {
            Some(bpf_linker) => bpf_linker,
            None => install_bpf_linker(&tools)?,
        };
        Ok(Self { rust: Rust::Debian, bpf_linker })
    }

    /// Its cargo, in an environment without what the outer `cargo run` left there.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = match &self.rust {
            Rust::Rustup(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, "cargo"]);
                command
            }
            Rust::Debian => Command::new("/usr/bin/cargo"),
        };
        for name in std::env::vars_os().map(|(name, _)| name) {
            if name.to_str().is_some_and(is_left_by_cargo_run) {
                command.env_remove(name);
            }
        }
        if matches!(self.rust, Rust::Debian) {
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.bpf_linker);
        command
    }

    /// Its compiler and linker with their versions, for a reader.
    pub(crate) fn versions(&self) -> String {
        let rustc = match &self.rust {
            Rust::Rustup(name) => ask(Command::new("rustup").args(["run", name, "rustc", "--version"])),
            Rust::Debian => {
                ask(Command::new("/usr/bin/rustc").arg("--version").env_remove("LD_LIBRARY_PATH"))
            }
        };
        let linker = ask(Command::new(&self.bpf_linker).arg("--version"));
        [rustc, linker].map(|version| version.unwrap_or_else(|| "unknown".into())).join(", ")
    }
}

fn is_left_by_cargo_run(name: &str) -> bool {
    CARGO_RUN_VARIABLES.contains(&name) || CARGO_RUN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn nightly_with_rust_src() -> Option<String> {
    let toolchains = ask(Command::new("rustup").args(["toolchain", "list"]))?;
    toolchains
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .find(|name| {
            ask(Command::new("rustup").args(["run", name, "rustc", "--print", "sysroot"]))
                .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").is_dir())
        })
        .map(str::to_owned)
}

fn install_bpf_linker(tools: &Path) -> Result<PathBuf> {
    run(cargo()
        .args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(tools)
        .env("LLVM_PREFIX", "/usr/lib/llvm-22")
        .env("CARGO_TARGET_DIR", tools.join("build")))?;
    Ok(tools.join("bin/bpf-linker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_build_does_not_reach_the_inner_one_but_cargo_stays_configured() {
        for name in
            ["CARGO_PKG_NAME", "RUSTFLAGS", "CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", "CARGO_TARGET_DIR"]
        {
            assert!(is_left_by_cargo_run(name), "{name}");
        }
        for name in ["CARGO_HOME", "RUSTUP_HOME", "CARGO_HTTP_CAINFO", "CARGO_NET_OFFLINE", "PATH"] {
            assert!(!is_left_by_cargo_run(name), "{name}");
        }
    }
}
