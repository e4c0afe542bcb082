//! Which agent is asked.

use std::path::PathBuf;

use clap::Args;

use super::value;

/// The flag that says whether an agent does it.
#[derive(Args, Clone, Debug)]
pub struct ByArgs {
    /// Who does it: the agent that listens at `unix:PATH`; `none` does it directly, which takes privileges; `auto` asks the agent at
    /// its default socket if there is one
    ///
    /// With --self it is always done directly.
    #[arg(
        long, value_name = "unix:PATH|none", default_value = "auto", env = "SHAPER_AGENT", hide_env_values = true,
        help_heading = "How", value_parser = value::agent
    )]
    pub agent: AgentAt,
}

/// Which agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAt {
    /// The one at the default socket, if there is one.
    Auto,
    /// None.
    None,
    /// The one at this socket.
    Unix(PathBuf),
}
