//! `cargo xtask ebpf`: the committed eBPF object, and the proof of what it was built from.

mod sources;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::run;
use crate::workspace::Workspace;
use sources::Sources;
use toolchain::Toolchain;

/// The committed object, in the tree.
pub(crate) const OBJECT: &str = "shaper/src/bpf/shaper.bpf.o";
const SOURCES: &str = "shaper/src/bpf/shaper.bpf.sources";
const TARGET: &str = "bpfel-unknown-none";

/// v3 is the first BPF instruction set with 64-bit compare-and-exchange and fetch-and-add (Linux 5.12), and 32-bit
/// registers.
const RUSTFLAGS: &[&str] = &["-Ctarget-cpu=v3", "-Cdebuginfo=0"];

/// Builds the eBPF object from `shaper-ebpf`, installing the toolchain it needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only verify that the committed object belongs to the sources; builds and installs nothing.
    #[arg(long, conflicts_with = "out")]
    check: bool,
    /// Write the object here and leave the committed one alone.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// Does what the command line asks.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.check {
        return check(workspace);
    }
    match &options.out {
        Some(out) => build(workspace, out),
        None => commit(workspace),
    }
}

/// Verifies the committed object against the sources in the tree.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let committed = fs::read_to_string(workspace.path(SOURCES))
        .with_context(|| format!("cannot read {SOURCES}; run `cargo xtask ebpf`"))?;
    let object = fs::read(workspace.path(OBJECT))
        .with_context(|| format!("cannot read {OBJECT}; run `cargo xtask ebpf`"))?;
    let sources = Sources::read(&workspace.root)?;
    let differences = sources.differences(&committed, OBJECT, &object);
    if !differences.is_empty() {
        bail!(
            "the committed eBPF object does not belong to the sources:\n  {}\nrun `cargo xtask ebpf` and commit {OBJECT} \
             and {SOURCES}",
            differences.join("\n  ")
        );
    }
    Ok(())
}

/// Builds the object into `out`.
pub(crate) fn build(workspace: &Workspace, out: &Path) -> Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    let sources = Sources::read(&workspace.root)?;
    build_with(workspace, &toolchain, &sources, out)
}

fn commit(workspace: &Workspace) -> Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    let sources = Sources::read(&workspace.root)?;
    let object_path = workspace.path(OBJECT);
    build_with(workspace, &toolchain, &sources, &object_path)?;
    let object = fs::read(&object_path).with_context(|| format!("cannot read {}", object_path.display()))?;
    fs::write(workspace.path(SOURCES), sources.listing(&toolchain.versions(), OBJECT, &object))
        .with_context(|| format!("cannot write {SOURCES}"))
}

fn build_with(workspace: &Workspace, toolchain: &Toolchain, sources: &Sources, out: &Path) -> Result<()> {
    let target_dir = workspace.target.join("ebpf");
    let mut cargo = toolchain.cargo();
    cargo
        .args([
            "build",
            "--locked",
            "--release",
            "--package=shaper-ebpf",
            "--target",
            TARGET,
            "-Zbuild-std=core",
        ])
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"))
        // bpf-linker optimises the whole program itself; debug information would reach the kernel as BTF, which
        // kernels without BTF refuse.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("SHAPER_SOURCES_SHA256", sources.digest());
    run(&mut cargo)?;
    let built = target_dir.join(TARGET).join("release/shaper");
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::copy(&built, out).with_context(|| format!("cannot copy {} to {}", built.display(), out.display()))?;
    eprintln!("{} ({} bytes), sources {}", out.display(), fs::metadata(out)?.len(), sources.digest());
    Ok(())
}
