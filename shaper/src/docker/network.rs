//! What the runtime says of one network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// Where compose keeps the name by which its file knows a network.
const COMPOSE: &str = "com.docker.compose.network";

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The containers on it, as far as the runtime tells: name and addresses.
    pub members: Vec<(String, Vec<IpAddr>)>,
}

impl Network {
    /// The name by which a compose file knows it.
    #[must_use]
    pub fn short_name(&self) -> Option<&str> {
        self.labels.get(COMPOSE).map(String::as_str)
    }
}

/// What `GET /networks/ID` tells, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Told {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    // Podman tells of none.
    #[serde(default)]
    containers: Option<BTreeMap<String, Member>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    #[serde(rename = "IPv4Address", default)]
    ipv4: String,
    #[serde(rename = "IPv6Address", default)]
    ipv6: String,
}

impl TryFrom<Told> for Network {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        let member = |member: Member| {
            let said = [&member.ipv4, &member.ipv6].into_iter().filter(|text| !text.is_empty());
            let address = |text: &String| {
                let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
                bare.parse().map_err(|_odd| format!("network `{}`: {text:?} is no address", told.name))
            };
            Ok((member.name, said.map(address).collect::<Result<Vec<IpAddr>, String>>()?))
        };
        let members = told.containers.unwrap_or_default().into_values().map(member);
        let members = members.collect::<Result<_, String>>()?;
        Ok(Self { labels: told.labels.unwrap_or_default(), members, name: told.name })
    }
}
