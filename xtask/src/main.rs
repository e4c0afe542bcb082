//! `cargo xtask`: the tasks of this workspace that are more than one cargo command.

mod bench;
mod cargo_build;
mod command;
mod debian;
mod demo;
mod docker;
mod ebpf;
mod elf;
mod example;
mod image;
mod interrupt;
mod loopback;
mod plans;
mod redis;
mod schemathesis;
mod supervise;
mod test;
mod uml;
mod venv;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use workspace::Workspace;

/// Tasks of the shaper workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    Ebpf(ebpf::Options),
    Test(test::Options),
    Bench(bench::Options),
    Demo(demo::Options),
    Example(example::Options),
    Image(image::Options),
    Uml(uml::Options),
    /// Process 1 of `uml`.
    #[command(hide = true)]
    UmlInit {
        order: PathBuf,
        /// What the kernel passes on of its own command line.
        #[arg(hide = true)]
        kernel: Vec<String>,
    },
}

fn main() -> ExitCode {
    run(Cli::parse().task).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Ebpf(options) => ebpf::main(&Workspace::find()?, &options).map(|()| ExitCode::SUCCESS),
        Task::Test(options) => test::main(&Workspace::find()?, &options),
        Task::Bench(options) => bench::main(&Workspace::find()?, &options),
        Task::Demo(options) => demo::main(&Workspace::find()?, &options),
        Task::Example(options) => example::main(&Workspace::find()?, &options),
        Task::Image(options) => image::main(&Workspace::find()?, &options).map(|()| ExitCode::SUCCESS),
        Task::Uml(options) => {
            interrupt::remember()?;
            uml::main(&Workspace::find()?, &options)
        }
        Task::UmlInit { order, .. } => uml::init(&order).map(|()| ExitCode::SUCCESS),
    }
}
