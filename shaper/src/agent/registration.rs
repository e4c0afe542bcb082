//! What is said of an instance when it is registered.

use serde::{Deserialize, Serialize};

use super::{Error, Name, Testground};
use crate::docker::{self, Runtime};
use crate::failure;
use crate::target::Target;

/// What is said of an instance: at most one of `ns`, `pid`, `container` and `self`; none for the namespace to which `ip netns` gave the instance's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// A namespace by its name in `ip netns`, or the path of a namespace file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
    /// The namespace of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The namespace of a container, by its name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The namespace of the agent itself.
    #[serde(rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// What it is in a run of Testground's, of which the agent is then the sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub testground: Option<Testground>,
}

impl Registration {
    /// The namespace; that of a container is asked of the `runtime`.
    pub(super) async fn target(&self, name: &Name, runtime: Option<&Runtime>) -> Result<Target, Error> {
        match (&self.ns, self.pid, &self.container, self.own) {
            (Some(ns), None, None, false) => Target::of_namespace(ns).map_err(Error::Usage),
            (None, Some(pid), None, false) => Target::of_pid(pid).map_err(Error::Usage),
            (None, None, Some(container), false) => {
                Ok(of_container(container, runtime).await.map_err(failure::docker)?)
            }
            (None, None, None, true) => Ok(Target::Own),
            (None, None, None, false) => Ok(Target::Name(name.to_string())),
            _ => Err(Error::Usage(
                "an instance has one namespace: say one of `ns`, `pid`, `container` and `self`".into(),
            )),
        }
    }
}

pub(super) async fn of_container(name: &str, runtime: Option<&Runtime>) -> Result<Target, docker::Error> {
    let runtime = runtime.cloned().map_or_else(Runtime::of_environment, Ok)?;
    let pid = runtime.running(name).await?.pid;
    Ok(Target::Container { name: name.to_owned(), pid })
}
