//! Which link of a container's is meant.

use super::Attached;
use crate::netlink::link::Link;

/// Which link a container's labels mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The only one.
    #[default]
    Only,
    /// By its name.
    Dev(String),
    /// That of a network, by the name of it or by the one that compose knows it by.
    Network(String),
}

/// Why no link is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The container has no such network.
    #[error("`shaper.network`: the container is not on network `{asked}`, but on {}", list(.known))]
    NotOn {
        /// What the label says.
        asked: String,
        /// The networks that it is on.
        known: Vec<String>,
    },
    /// There are several networks.
    #[error("the container is on several networks, {}: say which with the label `shaper.network`, or with `shaper.dev`", list(.known))]
    Several {
        /// The networks that it is on.
        known: Vec<String>,
    },
    /// The network's link is not in the namespace.
    #[error("the link of network `{network}` is not there")]
    Absent {
        /// The network.
        network: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name of the link among `links`, those of the container's namespace; `None` for the only one there is. Each network comes with the
/// name that compose knows it by.
///
/// # Errors
///
/// [`Error`].
pub fn link_of(
    which: &Which,
    networks: &[(&Attached, Option<&str>)],
    links: &[Link],
) -> Result<Option<String>, Error> {
    let known = || {
        let name = |(network, short): &(&Attached, Option<&str>)| short.unwrap_or(&network.name).to_owned();
        networks.iter().map(name).collect()
    };
    let named = |asked: &str| {
        let by_name = networks.iter().find(|(network, _)| network.name == asked);
        by_name.or_else(|| networks.iter().find(|(_, short)| *short == Some(asked)))
    };
    let network = match (which, networks) {
        (Which::Dev(dev), _) => return Ok(Some(dev.clone())),
        (Which::Network(asked), _) => {
            let not_on = || Error::NotOn { asked: asked.clone(), known: known() };
            named(asked).ok_or_else(not_on)?.0
        }
        (Which::Only, []) => return Ok(None),
        (Which::Only, [(only, _)]) => only,
        (Which::Only, _) => return Err(Error::Several { known: known() }),
    };
    let absent = || Error::Absent { network: network.name.clone() };
    let link = links.iter().find(|link| network.mac.is_some() && link.mac == network.mac);
    Ok(Some(link.ok_or_else(absent)?.name.clone()))
}
