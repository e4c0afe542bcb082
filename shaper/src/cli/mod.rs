//! The command line: one subcommand per file.

pub mod args;
pub mod exit;
pub mod output;

mod agent;
mod apply;
mod by;
mod clear;
mod demo;
mod distribution;
mod doctor;
mod policy;
mod relay;
mod show;
mod target;
mod trace;

use std::process::ExitCode;

use crate::failure;

use args::{Cli, Command};
pub use exit::{Code, Failure};

/// Runs the command that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Cli::read(std::env::args_os()) {
        Ok(cli) => match run(cli.command) {
            Ok(()) => Code::Done,
            Err(failure) => {
                output::report(&failure);
                failure.code()
            }
        },
        Err(error) => output::report_parse(&error),
    };
    code.into()
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Apply(args) => apply::run(&args),
        Command::Show(args) => show::run(args),
        Command::Clear(args) => clear::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Relay(args) => relay::run(args),
    }
}
