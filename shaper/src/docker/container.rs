//! What the runtime says of one container.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// The host's own network, as a container asks for it.
const HOST: &str = "host";
/// The network of another container, as a container asks for it; the other one's id follows.
const CONTAINER: &str = "container:";

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id, whole.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// A process in it; `None` when it does not run.
    pub pid: Option<u32>,
    /// What it does, such as `running` or `exited`.
    pub status: String,
    /// What it takes for its host name.
    pub hostname: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The environment of its first process; of a variable that is said twice, the last.
    pub env: BTreeMap<String, String>,
    /// Whose network it has.
    pub network_of: NetworkOf,
    /// The networks that it is attached to; none where it has another's.
    pub networks: Vec<Attached>,
    /// Names that it was given addresses of.
    pub hosts: Vec<(String, IpAddr)>,
}

/// Whose network a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkOf {
    /// One of its own.
    Itself,
    /// That of the host.
    Host,
    /// That of another container, by its id or name.
    Container(String),
}

/// A network that a container is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The network's name.
    pub name: String,
    /// The network's id.
    pub id: String,
    /// That of the container's link; `None` where there is none.
    pub mac: Option<[u8; 6]>,
    /// The container's addresses.
    pub addresses: Vec<IpAddr>,
    /// The network's routers.
    pub gateways: Vec<IpAddr>,
}

/// What `GET /containers/ID/json` tells, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    id: String,
    name: String,
    state: State,
    host_config: HostConfig,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    pid: u32,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
    extra_hosts: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    hostname: String,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    mac_address: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    ipv6_address: String,
    #[serde(default)]
    gateway: String,
    #[serde(rename = "IPv6Gateway", default)]
    ipv6_gateway: String,
}

impl TryFrom<Inspected> for Container {
    type Error = String;

    fn try_from(told: Inspected) -> Result<Self, String> {
        let name = told.name.strip_prefix('/').unwrap_or(&told.name).to_owned();
        let networks = told.network_settings.networks.unwrap_or_default();
        let networks = networks.into_iter().map(|(name, endpoint)| attached(name, &endpoint));
        let extra = told.host_config.extra_hosts.unwrap_or_default();
        let env = told.config.env.unwrap_or_default();
        let variable = |entry: &String| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Ok(Self {
            pid: Some(told.state.pid).filter(|pid| told.state.running && *pid > 0),
            status: told.state.status,
            hostname: told.config.hostname,
            labels: told.config.labels.unwrap_or_default(),
            env: env.iter().filter_map(variable).collect(),
            network_of: network_of(&told.host_config.network_mode),
            networks: networks
                .collect::<Result<_, _>>()
                .map_err(|why| format!("container `{name}`: {why}"))?,
            hosts: extra.iter().filter_map(|entry| host(entry)).collect(),
            id: told.id,
            name,
        })
    }
}

fn network_of(mode: &str) -> NetworkOf {
    match mode.strip_prefix(CONTAINER) {
        Some(id) => NetworkOf::Container(id.to_owned()),
        None if mode == HOST => NetworkOf::Host,
        None => NetworkOf::Itself,
    }
}

fn attached(name: String, endpoint: &Endpoint) -> Result<Attached, String> {
    let address = |text: &str| -> Result<Option<IpAddr>, String> {
        let wrong = |_| format!("network `{name}`: {text:?} is no address");
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
    };
    let both = |a: &str, b: &str| -> Result<Vec<IpAddr>, String> {
        Ok(address(a)?.into_iter().chain(address(b)?).collect())
    };
    let mac = match endpoint.mac_address.as_str() {
        "" => None,
        text => Some(mac(text).ok_or_else(|| format!("network `{name}`: {text:?} is no MAC address"))?),
    };
    let addresses = both(&endpoint.ip_address, &endpoint.ipv6_address)?;
    let gateways = both(&endpoint.gateway, &endpoint.ipv6_gateway)?;
    Ok(Attached { id: endpoint.network_id.clone(), mac, addresses, gateways, name })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2 && !byte.starts_with('+')))
        .collect();
    bytes?.try_into().ok()
}

/// `name:address`, with the address of IPv6 perhaps in brackets; what is said of the host's own, as `host-gateway`, is none.
fn host(entry: &str) -> Option<(String, IpAddr)> {
    let (name, address) = entry.split_once(':')?;
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    Some((name.to_owned(), bare.parse().ok()?))
}

/// Says whether a container can be called so, or have such an id.
pub(super) fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    first && text.len() <= 255 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
