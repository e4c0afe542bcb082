//! The flags of each command that people type.

use clap::{ArgGroup, Args};

use super::{ByArgs, LinkArgs, PolicyArgs, RuleArgs, ShapeArgs, TargetArgs, concat_help, value};
use crate::cli::exit;
use crate::rules::To;
use crate::rules::file::Format;
use crate::shape::{Direction, EngineChoice};
use crate::units::Delay;
use crate::wanted::Address;

/// Flags of `shaper apply`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").args(["ns", "pid", "container", "own"]).required(true)))]
#[command(after_help = concat_help(&[APPLY_EXAMPLES, exit::HELP]))]
pub struct ApplyArgs {
    /// Where.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The link to shape; found by itself when the namespace has one besides `lo`
    #[arg(long, value_name = "LINK", help_heading = "Namespace", value_parser = value::link)]
    pub dev: Option<String>,
    /// Which packets to shape, seen from the namespace; with `both`, a round trip meets the shape twice
    #[arg(
        long, value_name = "NAME", default_value = "egress", help_heading = "Namespace",
        value_parser = value::named::<Direction>(), ignore_case = true
    )]
    pub direction: Direction,
    /// What.
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// For whom, and whether at all.
    #[command(flatten)]
    pub rule: RuleArgs,
    /// What is said of the link.
    #[command(flatten)]
    pub link: LinkArgs,
    /// An address of the link, such as `10.0.0.7/24`; in place of those that it has in the same network
    ///
    /// For the tests alone: what the agent does when a test plan asks for an address.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub address: Option<Address>,
    /// Which places.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Who holds the packets: fq (edt), htb and netem (netem) or a process of shaper's (relay); `auto` is the best that
    /// this kernel can run
    #[arg(
        long, value_name = "NAME", default_value = "auto", help_heading = "How",
        value_parser = value::named::<EngineChoice>(), ignore_case = true
    )]
    pub engine: EngineChoice,
    /// Stop shaping after this time, such as `30s` or `5min`; the kernel keeps to it whatever becomes of this command
    #[arg(
        long = "for", value_name = "TIME", help_heading = "How",
        value_parser = value::time_limit
    )]
    pub time_limit: Option<Delay>,
    /// By whom.
    #[command(flatten)]
    pub by: ByArgs,
    /// Print what would be done, as `ip` and `tc` commands, and change nothing
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "How")]
    pub json: bool,
}

const APPLY_EXAMPLES: &str = "\
Examples:
  shaper apply --ns inst-1 --latency 100ms
  shaper apply --ns inst-1 --latency 40ms --jitter 5ms --distribution normal
  shaper apply --pid 4242 --dev eth0 --bandwidth 10mbit --queue 64kb
  shaper apply --container web-1 --latency 100ms
  shaper apply --ns inst-1 --loss 1% --duplicate 0.1% --corrupt 0.01%
  shaper apply --ns inst-1 --latency 20ms --loss-gemodel 1%,10% --seed 42
  shaper apply --self --direction both --latency 20ms --for 30s --dry-run
  shaper apply --ns inst-1 --to 10.0.0.5:443/tcp --latency 200ms --loss 5%
  shaper apply --ns inst-1 --direction both --to 10.0.0.0/24 --filter drop --for 5s
  shaper apply --ns inst-1 -f rules.toml
  shaper apply --ns inst-1 --dev eth1 --policy deny-all --keep 192.18.0.5 --latency 100ms";

/// Flags of `shaper show`.
#[derive(Args, Clone, Debug)]
#[command(after_help = concat_help(&[SHOW_EXAMPLES, exit::HELP]))]
pub struct ShowArgs {
    /// Where; every namespace that can be found when none is named.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Print the rules of the one link that is shaped as a file that `apply -f` takes: toml, yaml or json
    #[arg(
        long = "as", value_name = "FORMAT", conflicts_with = "json",
        value_parser = value::named::<Format>(), ignore_case = true
    )]
    pub format: Option<Format>,
    /// The link, with `--as`; found by itself when the namespace has one that is shaped
    #[arg(long, value_name = "LINK", requires = "format", value_parser = value::link)]
    pub dev: Option<String>,
    /// Who looks.
    #[command(flatten)]
    pub by: ByArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

const SHOW_EXAMPLES: &str = "\
Without --ns, --pid, --container or --self, every namespace that can be found is shown.

Examples:
  shaper show
  shaper show --ns inst-1 --json
  shaper show --ns inst-1 --as toml > rules.toml";

/// Flags of `shaper clear`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").args(["ns", "pid", "container", "own", "all"]).required(true).multiple(false)))]
#[command(after_help = concat_help(&[CLEAR_EXAMPLES, exit::HELP]))]
pub struct ClearArgs {
    /// Where; nothing with `--all`.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Every namespace that can be found
    #[arg(long, help_heading = "Namespace")]
    pub all: bool,
    /// Only the rule for these peers, as `apply --to` had them
    #[arg(long, value_name = "CIDR[:PORT[/PROTO]]", conflicts_with = "all")]
    pub to: Option<To>,
    /// By whom.
    #[command(flatten)]
    pub by: ByArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

const CLEAR_EXAMPLES: &str = "\
Examples:
  shaper clear --ns inst-1
  shaper clear --ns inst-1 --to 10.0.0.5
  shaper clear --all";

/// Flags of `shaper doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = concat_help(&[DOCTOR_EXAMPLES, exit::HELP]))]
pub struct DoctorArgs {
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  shaper doctor
  shaper doctor --json";

/// Flags of `shaper demo`.
#[derive(Args, Clone, Debug)]
#[command(after_help = concat_help(&[DEMO_EXAMPLES, exit::HELP]))]
pub struct DemoArgs {
    /// What; a latency of [`super::DEMO_LATENCY`] when nothing is said.
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Who holds the packets; `auto` is the best engine that this kernel can run
    #[arg(
        long, value_name = "NAME", default_value = "auto", help_heading = "How",
        value_parser = value::named::<EngineChoice>(), ignore_case = true
    )]
    pub engine: EngineChoice,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "How")]
    pub json: bool,
}

const DEMO_EXAMPLES: &str = "\
The shape is `--latency 100ms` unless another is given.

Examples:
  shaper demo
  shaper demo --latency 20ms --jitter 5ms --engine relay";
