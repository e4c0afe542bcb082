//! Who does what a command asks for: the command itself, or an agent.

use std::io::ErrorKind;
use std::path::Path;

use super::args::{AgentAt, LISTEN_DEFAULT, TargetArgs};
use super::exit::{Code, Failure};
use crate::client::{self, Client};
use crate::probe::{self, Cap};
use crate::target::Target;

/// Who does it.
#[derive(Debug)]
pub(super) enum By {
    /// The command, with its own privileges.
    Command,
    /// An agent, with its own.
    Agent(Client),
}

impl By {
    /// Who does it for the namespace that is named, as `agent` says.
    ///
    /// # Errors
    ///
    /// When an agent that is asked for does not answer, and when neither it nor the command may.
    pub(super) fn of(agent: &AgentAt, target: &TargetArgs) -> Result<Self, Failure> {
        let (path, is_asked) = match agent {
            // The command's own namespace has no name that an agent would know it by.
            _ if target.target() == Some(Target::Own) => return Ok(Self::Command),
            AgentAt::None => return Ok(Self::Command),
            AgentAt::Auto => (Path::new(LISTEN_DEFAULT.trim_start_matches("unix:")), false),
            AgentAt::Unix(path) => (path.as_path(), true),
        };
        match client::knock(path) {
            Ok(()) => Client::at(path).map(Self::Agent),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => match probe::require(&Cap::ALL) {
                Ok(()) if !is_asked => Ok(Self::Command),
                lacking => Err(forbidden(path, lacking.err())),
            },
            Err(error) if is_asked => {
                let what = format!("cannot connect to `{}`", path.display());
                Err(client::unreachable(anyhow::Error::from(error).context(what)))
            }
            // Nobody listens, or has for some time.
            Err(_) => Ok(Self::Command),
        }
    }
}

fn forbidden(path: &Path, lacking: Option<probe::Error>) -> Failure {
    let may_not = format!("this process may not use the agent at `{}`", path.display());
    let (what, without) = match lacking {
        Some(lacking) => (format!("{may_not}, nor do without: {lacking}"), "root or these capabilities"),
        None => (may_not, "`--agent none`"),
    };
    Failure::new(Code::Permission, anyhow::anyhow!(what)).hint(format!(
        "the agent is for root and for members of its group (`shaper agent --group`); without it, it takes {without}"
    ))
}
