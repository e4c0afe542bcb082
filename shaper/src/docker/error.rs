//! Why a container cannot be had.

use std::io;
use std::path::PathBuf;

use crate::http;

/// Why a container cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `DOCKER_HOST` names no Unix socket.
    #[error(
        "DOCKER_HOST is `{host}`: shaper shapes containers of this host, so write a Unix socket, such as `unix:///var/run/docker.sock`"
    )]
    Host {
        /// What it says, shortened.
        host: String,
    },
    /// The runtime does not answer.
    #[error("no container runtime answers: {0}")]
    Http(http::Error),
    /// The runtime answers something else.
    #[error("the container runtime at `{}` answers what is not understood: {why}", .path.display())]
    Answer {
        /// Its socket.
        path: PathBuf,
        /// What is wrong, such as the key that is missing.
        why: String,
    },
    /// No container has such a name.
    #[error("`{asked}` cannot be the name or the id of a container: write one that `docker ps` shows")]
    Name {
        /// What was asked for, shortened.
        asked: String,
    },
    /// There is no such container.
    #[error("there is no container `{asked}`; running are: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NotFound {
        /// The name or id.
        asked: String,
        /// The names of those that run.
        known: Vec<String>,
    },
    /// The container has no process.
    #[error("container `{name}` is not running ({status}): start it first")]
    NotRunning {
        /// Its name.
        name: String,
        /// What the runtime says of it, such as `exited`.
        status: String,
    },
    /// The container has the network of the host.
    #[error(
        "container `{name}` has the network of the host, so that all of the host would be shaped: if that is what you want, ask for it \
         by the process ({pid})"
    )]
    HostNetwork {
        /// Its name.
        name: String,
        /// A process in it.
        pid: u32,
    },
    /// The runtime's process ids are not ours.
    #[error(
        "process {pid} is not one of container `{name}` here: the container runtime's process ids are others than shaper's, which needs \
         those of the host (pid: host)"
    )]
    Elsewhere {
        /// The container's name.
        name: String,
        /// What the runtime says.
        pid: u32,
    },
    /// A runtime of tokio's cannot be started.
    #[error("cannot wait for the container runtime")]
    Runtime {
        /// Why.
        source: io::Error,
    },
}

/// Its words are among ours, so it is no cause to be told again.
impl From<http::Error> for Error {
    fn from(error: http::Error) -> Self {
        Self::Http(error)
    }
}
