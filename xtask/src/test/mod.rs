//! `cargo xtask test`: everything, on the kernel that is here and on one that has all the engines need, in one table.

mod artifacts;
mod engines;
mod libtest;
mod lint;
mod manifests;
mod netns;
mod object;
mod programs;
mod report;
mod table;
mod unit;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::interrupt;
use crate::workspace::Workspace;
use report::Row;

/// Lints, builds and runs all tests, natively and in User-mode Linux.
///
/// With CI=true in the environment nothing may be skipped for want of privileges, and the eBPF object is rebuilt from
/// its sources and tested as well.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this tier; may be repeated.
    #[arg(long, value_enum, value_name = "TIER")]
    only: Vec<Tier>,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Without the lints.
    #[arg(long)]
    no_lint: bool,
    /// Without the tests in namespaces of the running kernel.
    #[arg(long)]
    no_native: bool,
    /// Without User-mode Linux.
    #[arg(long)]
    no_uml: bool,
    /// Rebuild the eBPF object and run the program tests on it, as CI does.
    #[arg(long)]
    rebuild: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tier {
    /// rustfmt and clippy.
    Lint,
    /// Are the Kubernetes manifests what its API takes?
    Manifests,
    /// Does the committed eBPF object belong to the sources, and do its programs work here?
    Object,
    /// `cargo test` without privileges.
    Unit,
    /// Real namespaces on the running kernel.
    Native,
    /// Real namespaces in User-mode Linux.
    Uml,
}

impl Tier {
    const ALL: [Self; 6] = [Self::Lint, Self::Manifests, Self::Object, Self::Unit, Self::Native, Self::Uml];

    fn is_wanted(self, options: &Options) -> bool {
        let is_left_out = match self {
            Self::Lint => options.no_lint,
            Self::Native => options.no_native,
            Self::Uml => options.no_uml,
            Self::Manifests | Self::Object | Self::Unit => false,
        };
        !is_left_out && (options.only.is_empty() || options.only.contains(&self))
    }
}

/// What every tier is told.
#[derive(Debug)]
struct Context<'a> {
    workspace: &'a Workspace,
    filter: Option<&'a str>,
    is_ci: bool,
    rebuild: bool,
}

/// Runs the tiers in order, all of them even when one fails, and prints the table.
pub(crate) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    interrupt::remember()?;
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let context =
        Context { workspace, filter: options.filter.as_deref(), is_ci, rebuild: is_ci || options.rebuild };
    let begin = Instant::now();
    let mut rows = Vec::new();
    for tier in Tier::ALL.into_iter().filter(|tier| tier.is_wanted(options)) {
        let tier_begin = Instant::now();
        let done = match tier {
            Tier::Lint => lint::run(&context),
            Tier::Manifests => manifests::run(&context),
            Tier::Object => object::run(&context),
            Tier::Unit => unit::run(&context),
            Tier::Native => netns::native(&context),
            Tier::Uml => netns::uml(&context),
        };
        rows.extend(done.unwrap_or_else(|error| {
            eprintln!("xtask: {error:#}");
            let name = format!("{tier:?}").to_lowercase();
            vec![Row::new(name, "-").failed(format!("{error:#}")).took(tier_begin.elapsed())]
        }));
        if interrupt::requested() {
            rows.push(Row::new("the rest", "-").failed("interrupted"));
            break;
        }
    }
    // What a filter left nothing of.
    rows.retain(|row| row.passed + row.failed + row.skipped > 0);
    let (text, is_success) = table::render(&rows, begin.elapsed());
    print!("\n{text}");
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn native_kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "?".into(), |text| text.trim().to_owned())
}
