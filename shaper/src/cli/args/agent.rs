//! The flags of `shaper agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{concat_help, value};
use crate::cli::exit;

/// Where the agent listens, and is asked, when nothing is said.
pub const LISTEN_DEFAULT: &str = "unix:/run/shaper/agent.sock";

/// Flags of `shaper agent`.
#[derive(Args, Clone, Debug)]
#[command(after_help = concat_help(&[AGENT_EXAMPLES, exit::HELP]))]
pub struct AgentArgs {
    /// Where the control API listens: `unix:PATH`, for root alone
    #[arg(long, value_name = "unix:PATH", default_value = LISTEN_DEFAULT, help_heading = "API", value_parser = value::unix)]
    pub listen: PathBuf,
    /// Members of this group, a name or a number, may use the Unix socket, too
    #[arg(long, value_name = "GROUP", help_heading = "API")]
    pub group: Option<String>,
    /// Listen on TCP, too, for those who send the token
    #[arg(long, value_name = "ADDR:PORT", help_heading = "API", requires = "token_file")]
    pub http: Option<SocketAddr>,
    /// The file with the token for --http, which clients send as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE", help_heading = "API", requires = "http")]
    pub token_file: Option<PathBuf>,
    /// Serve Testground's sync service here: publish, subscribe, barrier and signal by WebSocket
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Testground")]
    pub sync: Option<SocketAddr>,
    /// Do the sidecar's part for a sync service that somebody else runs
    #[arg(long, value_name = "HOST:PORT", help_heading = "Testground", conflicts_with = "sync", value_parser = value::host_and_port)]
    pub sync_connect: Option<String>,
    /// With --sync: only an instance itself may publish about its network, known by the address that it comes from
    #[arg(long, help_heading = "Testground", requires = "sync")]
    pub strict: bool,
    /// Where states and topics are kept: `memory`, of this agent and of the next one that listens at the same path, or a Redis or Valkey
    /// server that agents on many hosts share, such as `redis://:password@host:6379/0`
    #[arg(long, value_name = "memory|URL", default_value = "memory", help_heading = "States", value_parser = value::states)]
    pub states: StatesAt,
    /// Look after the namespace that the agent itself runs in, as instance `self`
    #[arg(long = "self", help_heading = "Instances")]
    pub own: bool,
    /// Look after the containers whose labels ask for it (`shaper.latency: 100ms`), and after those of Testground's; the runtime listens
    /// here, or where DOCKER_HOST says, or at /var/run/docker.sock
    #[arg(long, value_name = "unix:PATH", num_args = 0..=1, help_heading = "Instances", value_parser = value::unix)]
    pub docker: Option<Option<PathBuf>>,
    /// What becomes of shapes and policies when the agent is told to end: `keep` leaves them in force
    #[arg(
        long, value_name = "NAME", default_value = "keep", help_heading = "Instances",
        value_parser = value::named::<OnExit>(), ignore_case = true
    )]
    pub on_exit: OnExit,
    /// Ask the agent at --listen whether it is well, and end: for health checks in containers that have no other program
    #[arg(long, help_heading = "API")]
    pub check: bool,
    /// Print one JSON object when the agent is ready
    #[arg(long)]
    pub json: bool,
}

const AGENT_EXAMPLES: &str = "\
Examples:
  shaper agent
  shaper agent --docker
  shaper agent --listen unix:/tmp/shaper.sock --sync 192.18.0.1:5050
  curl --unix-socket /run/shaper/agent.sock -X PUT http://shaper/v1/instances/inst-1/links/eth0 \\
       -d '{\"rules\": [{\"latency\": \"100ms\"}], \"callback_state\": \"slow\"}'";

/// Where states and topics are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StatesAt {
    /// In the agent's memory.
    Memory,
    /// In the server of this URL, which may hold a password.
    Server(String),
}

impl std::fmt::Debug for StatesAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Memory { "Memory" } else { "Server(..)" })
    }
}

/// What becomes of what is in force when the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// It stays.
    Keep,
    /// It is taken away from every instance that was looked after.
    Clear,
}

impl crate::shape::Named for OnExit {
    const WHAT: &'static str = "what becomes of shapes at the end";
    const ALL: &'static [Self] = &[Self::Keep, Self::Clear];

    fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Clear => "clear",
        }
    }
}
