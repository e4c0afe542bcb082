//! The flags of every command.

mod agent;
mod by;
mod commands;
mod policy;
mod relay;
mod rule;
mod shape;
mod target;
mod trace;
mod value;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use agent::{AgentArgs, LISTEN_DEFAULT, OnExit, StatesAt};
pub use by::{AgentAt, ByArgs};
pub use commands::{ApplyArgs, ClearArgs, DemoArgs, DoctorArgs, ShowArgs};
pub use policy::PolicyArgs;
pub use relay::RelayArgs;
pub use rule::{LinkArgs, RuleArgs};
pub use shape::ShapeArgs;
pub use target::TargetArgs;
pub use trace::TraceArgs;

use super::exit;
use crate::units::Delay;

/// The shape of `shaper demo` when none is given.
pub const DEMO_LATENCY: Delay = Delay::from_ms(100);

/// Makes a network link behave badly on purpose, and exactly as asked: latency, jitter, bandwidth, loss and more for any
/// network namespace, through eBPF and tc.
#[derive(Debug, Parser)]
#[command(
    name = "shaper",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(after_help = concat_help(&[EXAMPLES, exit::HELP]))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line, whose first word is the name of the program.
    ///
    /// A negative number is the value of the flag before it, not a flag: `--latency -5ms` is an error about `-5ms`.
    ///
    /// # Errors
    ///
    /// What clap says of a command line that is none, and also its answer to `--help` and `--version`.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut joined: Vec<OsString> = Vec::new();
        for word in words {
            match joined.last_mut() {
                Some(flag) if is_negative(&word) && is_bare_flag(flag) => {
                    flag.push("=");
                    flag.push(word);
                }
                _ => joined.push(word),
            }
        }
        Self::try_parse_from(joined)
    }
}

fn is_negative(word: &OsString) -> bool {
    matches!(word.as_encoded_bytes(), [b'-', b'0'..=b'9' | b'.', ..])
}

fn is_bare_flag(word: &OsString) -> bool {
    let word = word.as_encoded_bytes();
    word.starts_with(b"--") && word.len() > 2 && !word.contains(&b'=')
}

const EXAMPLES: &str = "\
Examples:
  shaper demo
  shaper apply --ns inst-1 --latency 100ms
  shaper show --ns inst-1
  shaper clear --ns inst-1";

/// What to do, with its flags.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give a link a shape, or a namespace a routing policy; the same command twice changes nothing
    Apply(Box<ApplyArgs>),
    /// Say what is shaped, by which engine, and how well, and which policy is in force
    Show(ShowArgs),
    /// Print what becomes of each packet as it happens
    Trace(TraceArgs),
    /// Take shapes and policies away and put the links back as they were
    Clear(ClearArgs),
    /// Look after many instances, driven over an API
    Agent(AgentArgs),
    /// Say what this kernel can do, and which engine would be used
    Doctor(DoctorArgs),
    /// Shape a link between two namespaces of its own and measure it before, during and after
    Demo(DemoArgs),
    /// Hold packets until their departure time; started by `apply`
    #[command(hide = true)]
    Relay(RelayArgs),
}

fn concat_help(parts: &[&str]) -> String {
    parts.join("\n\n")
}

#[cfg(test)]
mod tests;
