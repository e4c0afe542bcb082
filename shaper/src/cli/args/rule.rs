//! The flags that say whose packets, and what becomes of them beside a shape.

use std::path::PathBuf;

use clap::Args;

use super::value;
use crate::rules::{Filter, Mtu, To};
use crate::units::Delay;

/// For whom a rule is, and its filter.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rules")]
pub struct RuleArgs {
    /// Only packets to these peers (on ingress: from them), such as `10.0.0.5`, `10.0.0.0/24:443/tcp` or `[fd00::/64]:*/udp`;
    /// the longest prefix counts, then port and protocol. Rules for other peers stay as they are
    #[arg(long, value_name = "CIDR[:PORT[/PROTO]]")]
    pub to: Option<To>,
    /// What becomes of packets: `drop` is silent, `reject` answers at once, `reset` ends open TCP connections
    #[arg(long, value_name = "NAME", value_parser = value::named::<Filter>(), ignore_case = true)]
    pub filter: Option<Filter>,
    /// The filter begins after this time, such as `10s`
    #[arg(long, value_name = "TIME")]
    pub after: Option<Delay>,
    /// All rules at once, from a TOML, YAML or JSON file (`-`: standard input), in place of those that there are
    #[arg(
        short = 'f', long = "file", value_name = "FILE",
        conflicts_with_all = [
            "to", "filter", "after", "time_limit", "direction", "down", "mtu", "shape_neighbours", "fail_closed", "latency", "jitter",
            "distribution", "jitter_correlation", "keep_order", "reorder", "reorder_correlation", "reorder_gap", "bandwidth",
            "queue", "burst", "overhead", "ecn", "loss", "loss_correlation", "loss_gemodel", "loss_state", "loss_pattern",
            "duplicate", "duplicate_correlation", "corrupt", "corrupt_correlation", "seed",
        ]
    )]
    pub file: Option<PathBuf>,
}

/// What is said of a link as a whole.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Link")]
pub struct LinkArgs {
    /// Nothing passes, whatever it is, as if the cable were pulled; addresses and routes stay
    #[arg(long)]
    pub down: bool,
    /// The link's MTU, 1280 to 65535 bytes, until `clear` or an `apply` to all peers without it
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<Mtu>,
    /// Shape ARP and IPv6 neighbour discovery, too, by the rule for all peers
    #[arg(long)]
    pub shape_neighbours: bool,
    /// Drop what nobody can hold (the relay was killed, say) instead of letting it pass unshaped
    #[arg(long)]
    pub fail_closed: bool,
}
