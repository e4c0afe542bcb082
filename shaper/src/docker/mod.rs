//! A container runtime: which containers there are, and what they want, by the API of the Docker Engine (1.24 and later), which Podman's
//! socket speaks, too.

mod answer;
mod container;
mod error;
mod event;
pub mod labels;
mod link;
mod network;
mod process;

use std::path::{Path, PathBuf};

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::Client;

pub use container::{Attached, Container, NetworkOf};
pub use error::Error;
pub use event::Events;
pub use link::{Error as LinkError, Which, link_of};
pub use network::Network;

/// Where the runtime listens when nothing is said.
pub const SOCKET: &str = "/var/run/docker.sock";
/// The variable that says where else.
const HOST: &str = "DOCKER_HOST";
/// Containers of which each has the next one's network, at most.
const SHARING_MAX: usize = 8;

/// A container runtime on this host; nothing is tried before it is asked something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    client: Client,
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The container.
    pub container: Container,
    /// A process in it.
    pub pid: u32,
    /// The container whose network it has, where that is not its own.
    pub owner: Option<Container>,
}

impl Running {
    /// The networks that it is attached to.
    #[must_use]
    pub fn networks(&self) -> &[Attached] {
        &self.owner.as_ref().unwrap_or(&self.container).networks
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Vec<String>,
}

impl Runtime {
    /// The one that listens at a Unix socket.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { client: Client::at(path) }
    }

    /// The one that `DOCKER_HOST` says, or the one at [`SOCKET`].
    ///
    /// # Errors
    ///
    /// [`Error::Host`] when that is no Unix socket.
    pub fn of_environment() -> Result<Self, Error> {
        Self::of_host(&std::env::var(HOST).unwrap_or_default())
    }

    fn of_host(host: &str) -> Result<Self, Error> {
        if host.is_empty() {
            return Ok(Self::at(SOCKET));
        }
        let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
        path.map(Self::at).ok_or_else(|| Error::Host { host: crate::units::quote(host) })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.client.path()
    }

    /// The container of that name, or whose id begins so; in a runtime of tokio's.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with the names that there are, and what keeps the runtime from answering.
    pub async fn container(&self, asked: &str) -> Result<Container, Error> {
        if !container::is_name(asked) {
            return Err(Error::Name { asked: crate::units::quote(asked) });
        }
        match self.get::<container::Inspected>(&format!("/containers/{asked}/json")).await? {
            Some(inspected) => Container::try_from(inspected).map_err(|why| self.broken(why)),
            None => {
                let mut known: Vec<String> = self.listed().await?.into_iter().map(name_of).collect();
                known.sort();
                Err(Error::NotFound { asked: asked.to_owned(), known })
            }
        }
    }

    /// The same, which must be running, with a network that is not the host's.
    ///
    /// # Errors
    ///
    /// Those of [`Self::container`], [`Error::NotRunning`], [`Error::HostNetwork`], [`Error::Elsewhere`].
    pub async fn running(&self, asked: &str) -> Result<Running, Error> {
        self.running_of(self.container(asked).await?).await
    }

    /// What [`Self::running`] tells, of a container that was asked for.
    ///
    /// # Errors
    ///
    /// As [`Self::running`].
    pub async fn running_of(&self, container: Container) -> Result<Running, Error> {
        let not_running =
            || Error::NotRunning { name: container.name.clone(), status: container.status.clone() };
        let pid = container.pid.ok_or_else(not_running)?;
        let mut owner: Option<Container> = None;
        for _ in 0..SHARING_MAX {
            match &owner.as_ref().unwrap_or(&container).network_of {
                NetworkOf::Itself => {
                    process::check(&container, pid)?;
                    return Ok(Running { container, pid, owner });
                }
                NetworkOf::Host => return Err(Error::HostNetwork { name: container.name, pid }),
                NetworkOf::Container(id) => owner = Some(self.container(id).await?),
            }
        }
        Err(self.broken(format!("container `{}` has the network of too many others", container.name)))
    }

    /// The ids of the containers that run.
    ///
    /// # Errors
    ///
    /// What keeps the runtime from answering.
    pub async fn ids(&self) -> Result<Vec<String>, Error> {
        Ok(self.listed().await?.into_iter().map(|listed| listed.id).collect())
    }

    /// A network by its id; `None` when there is none.
    ///
    /// # Errors
    ///
    /// What keeps the runtime from answering.
    pub async fn network(&self, id: &str) -> Result<Option<Network>, Error> {
        if !container::is_name(id) {
            return Ok(None);
        }
        let told: Option<network::Told> = self.get(&format!("/networks/{id}")).await?;
        told.map(Network::try_from).transpose().map_err(|why| self.broken(why))
    }

    /// What happens to containers from now on.
    ///
    /// # Errors
    ///
    /// What keeps the runtime from answering.
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(Events::new(self.client.lines(event::TARGET).await?))
    }

    async fn listed(&self) -> Result<Vec<Listed>, Error> {
        Ok(self.get("/containers/json").await?.unwrap_or_default())
    }

    /// Asks for something; `None` when there is no such thing.
    async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<Option<T>, Error> {
        let answer = self.client.call(Method::GET, target, "").await?;
        answer::read(&answer).map_err(|why| self.broken(format!("GET {target}: {why}")))
    }

    fn broken(&self, why: String) -> Error {
        Error::Answer { path: self.client.path().to_owned(), why }
    }
}

/// The name, or the id where there is none: others are those by which linked containers know it.
fn name_of(listed: Listed) -> String {
    let own = listed.names.iter().filter_map(|name| name.strip_prefix('/')).find(|name| !name.contains('/'));
    own.map_or(listed.id, str::to_owned)
}

/// Waits for an answer where there is no runtime of tokio's.
///
/// # Errors
///
/// Those of `asking`, and when no runtime can be had.
pub fn block_on<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Error::Runtime { source })?.block_on(asking)
}

#[cfg(test)]
mod tests;
