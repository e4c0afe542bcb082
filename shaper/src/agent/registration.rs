//! What is said of an instance when it is registered.

use serde::{Deserialize, Serialize};

use super::{Error, Name, Testground};
use crate::target::Target;

/// What is said of an instance: at most one of `ns`, `pid` and `self`; none for the namespace to which `ip netns` gave the instance's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// A namespace by its name in `ip netns`, or the path of a namespace file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
    /// The namespace of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The namespace of the agent itself.
    #[serde(rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// What it is in a run of Testground's, of which the agent is then the sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub testground: Option<Testground>,
}

impl Registration {
    /// The namespace.
    pub(super) fn target(&self, name: &Name) -> Result<Target, Error> {
        match (&self.ns, self.pid, self.own) {
            (Some(ns), None, false) => Target::of_namespace(ns).map_err(Error::Usage),
            (None, Some(pid), false) => Target::of_pid(pid).map_err(Error::Usage),
            (None, None, true) => Ok(Target::Own),
            (None, None, false) => Ok(Target::Name(name.to_string())),
            _ => Err(Error::Usage("an instance has one namespace: say one of `ns`, `pid` and `self`".into())),
        }
    }
}
