//! The flags of `shaper trace`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{TargetArgs, concat_help, value};
use crate::cli::exit;
use crate::shape::Direction;
use crate::trace::Fate;

/// Flags of `shaper trace`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").args(["ns", "pid", "container", "own"]).required(true)))]
#[command(after_help = concat_help(&[EXAMPLES, exit::HELP]))]
pub struct TraceArgs {
    /// Where.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The shaped link; every one in the namespace when none is named
    #[arg(long, value_name = "LINK", help_heading = "Namespace", value_parser = value::link)]
    pub dev: Option<String>,
    /// Which packets, seen from the namespace; of `both`, what is shaped
    #[arg(
        long, value_name = "NAME", default_value = "both", help_heading = "Namespace",
        value_parser = value::named::<Direction>(), ignore_case = true
    )]
    pub direction: Direction,
    /// Only packets with this fate, or whose copy has it; may be given several times
    #[arg(
        long = "fate", value_name = "NAME", help_heading = "What",
        value_parser = value::named::<Fate>(), ignore_case = true
    )]
    pub fates: Vec<Fate>,
    /// End after so many packets
    #[arg(long, value_name = "N", help_heading = "What", value_parser = value::count)]
    pub count: Option<u64>,
    /// Print each packet as one JSON object on a line of its own
    #[arg(long, help_heading = "What")]
    pub json: bool,
    /// Write each packet's first bytes as pcapng, with its fate as a comment; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "What", conflicts_with = "json")]
    pub pcapng: Option<PathBuf>,
}

const EXAMPLES: &str = "\
It ends on Ctrl-C, after --count packets, or when the shape is cleared. Times are UTC.

Examples:
  shaper trace --ns inst-1
  shaper trace --ns inst-1 --direction egress --fate lost --fate queue-full
  shaper trace --pid 4242 --dev eth0 --json --count 100
  shaper trace --ns inst-1 --pcapng - | wireshark -k -i -";
