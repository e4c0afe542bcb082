//! The eBPF object: does the committed one belong to the sources, can it be built from them, and do its programs do
//! what they should?

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::report::Row;
use super::{Context, native_kernel, programs};
use crate::ebpf;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let mut row = Row::new("object", "-").checked("committed object", ebpf::check(context.workspace));
    if context.rebuild {
        row = row.checked("rebuild", rebuild(context));
    }
    let mut rows = vec![row.took(begin.elapsed())];
    let kernel = native_kernel();
    if nix::unistd::geteuid().is_root() || context.is_ci {
        let failed = |error| vec![Row::new("programs", kernel).failed(format!("{error:#}"))];
        rows.extend(program_tests(context).unwrap_or_else(failed));
    } else {
        rows.push(Row::new("programs", kernel).skipped("needs root"));
    }
    Ok(rows)
}

fn program_tests(context: &Context<'_>) -> Result<Vec<Row>> {
    let tests = programs::build(context)?;
    let mut rows = vec![programs::native(context, &tests, None)?];
    if let Some(object) = rebuilt(context) {
        rows.push(programs::native(context, &tests, Some(&object))?);
    }
    Ok(rows)
}

fn rebuild(context: &Context<'_>) -> Result<()> {
    let path = path(context);
    // A failed build must not leave an older object to be tested.
    let _ = fs::remove_file(&path);
    ebpf::build(context.workspace, &path)?;
    let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The same toolchain gives the same bytes, wherever it runs; another one need not.
    let is_same = fs::read(context.workspace.path(ebpf::OBJECT)).is_ok_and(|committed| committed == object);
    let relation = if is_same { "is byte for byte" } else { "differs from" };
    eprintln!("the rebuilt object {relation} the committed one");
    Ok(())
}

/// The object that was rebuilt to be tested, if one was.
pub(super) fn rebuilt(context: &Context<'_>) -> Option<PathBuf> {
    Some(path(context)).filter(|path| context.rebuild && path.is_file())
}

fn path(context: &Context<'_>) -> PathBuf {
    context.workspace.target.join("ebpf-check/shaper.bpf.o")
}
