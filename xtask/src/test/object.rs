//! The eBPF object: does the committed one belong to the sources, and can it be built from them?

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Context;
use super::report::Row;
use crate::ebpf;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let begin = Instant::now();
    let mut row = Row::new("object", "-").checked("committed object", ebpf::check(context.workspace));
    if context.rebuild {
        row = row.checked("rebuild", rebuild(context));
    }
    Ok(vec![row.took(begin.elapsed())])
}

fn rebuild(context: &Context<'_>) -> Result<()> {
    let path = rebuilt(context);
    // A failed build must not leave an older object to be tested.
    let _ = fs::remove_file(&path);
    ebpf::build(context.workspace, &path)?;
    let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The same toolchain gives the same bytes, wherever it runs; another one need not.
    let is_same = fs::read(context.workspace.path(ebpf::OBJECT)).is_ok_and(|committed| committed == object);
    eprintln!(
        "the rebuilt object {} the committed one",
        if is_same {
            "is byte for byte"
        } else {
            "differs from"
        }
    );
    Ok(())
}

/// Where the rebuilt object is.
pub(super) fn rebuilt(context: &Context<'_>) -> PathBuf {
    context.workspace.target.join("ebpf-check/shaper.bpf.o")
}
