//! Containers that Testground's runner made: what they are in their run, as their environment says it.

use std::net::IpAddr;

use super::super::Testground;
use super::links::Links;
use crate::docker::{Container, Network, Running, labels};
use crate::policy::Keep;
use crate::rules::Prefix;

/// The label that Testground's runner gives its containers.
const RUN_ID: &str = "testground.run_id";
/// Containers of the runner's own, which make directories, have this in their name.
const NO_INSTANCE: &str = "mkdir-outputs";
/// Where the SDKs look for the sync service when nothing is said.
const SYNC: &str = "testground-sync-service";
/// Variables that name hosts of the control network.
const HOSTS: [&str; 4] = ["SYNC_SERVICE_HOST", "REDIS_HOST", "INFLUXDB_HOST", "ADDITIONAL_HOSTS"];

/// Says whether it is an instance that counts on a sidecar.
pub(super) fn is_instance(container: &Container) -> bool {
    let sidecar = container.env.get("TEST_SIDECAR").map(|text| text.to_ascii_lowercase());
    let counts = sidecar.is_some_and(|text| matches!(text.as_str(), "true" | "t" | "1" | "yes" | "y" | "on"));
    container.labels.contains_key(RUN_ID) && counts && !container.name.contains(NO_INSTANCE)
}

/// What it is in its run.
///
/// # Errors
///
/// What its environment lacks.
pub(super) fn of(
    running: &Running,
    networks: &[Option<Network>],
    links: &Links,
) -> Result<Testground, String> {
    let container = &running.container;
    let said = |name: &str| container.env.get(name).cloned();
    let variable = |name: &str| said(name).ok_or_else(|| format!("its environment has no {name}"));
    let subnet = variable("TEST_SUBNET")?;
    let data: Prefix = subnet.parse().map_err(|error| format!("TEST_SUBNET: {error}"))?;
    let has = |(_, address): &&(u32, IpAddr)| data.contains(*address);
    let (ifindex, _) = links
        .addresses
        .iter()
        .find(has)
        .ok_or_else(|| format!("it has no link with an address in {subnet}, its data network"))?;
    let dev = links.links.iter().find(|link| link.ifindex == *ifindex);
    let dev = dev.ok_or_else(|| format!("its link number {ifindex} is gone"))?.name.clone();
    Ok(Testground {
        hostname: container.hostname.clone(),
        run: variable("TEST_RUN")?,
        plan: variable("TEST_PLAN")?,
        case: variable("TEST_CASE")?,
        dev,
        keep: keep(running, networks, data)?,
    })
}

/// What stays in reach under any policy: what the label says, the routers of the other networks (behind which the host is), and the hosts
/// that the environment names, as far as addresses of them are known.
fn keep(running: &Running, networks: &[Option<Network>], data: Prefix) -> Result<Vec<String>, String> {
    let container = &running.container;
    let mut keep = labels::keep_alone(&container.labels).map_err(|error| error.to_string())?;
    let is_data = |addresses: &[IpAddr]| addresses.iter().any(|address| data.contains(*address));
    let control =
        running.networks().iter().zip(networks).filter(|(attached, _)| !is_data(&attached.addresses));
    let mut known: Vec<(&str, IpAddr)> =
        container.hosts.iter().map(|(name, address)| (name.as_str(), *address)).collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (attached, network) in control {
        addresses.extend(&attached.gateways);
        for (name, of_member) in network.iter().flat_map(|network| &network.members) {
            known.extend(of_member.iter().map(|address| (name.as_str(), *address)));
        }
    }
    let named = HOSTS.iter().filter_map(|variable| container.env.get(*variable));
    let named = named.flat_map(|value| value.split([',', ' '])).chain([SYNC]);
    for name in named.map(str::trim).filter(|name| !name.is_empty()) {
        addresses.extend(name.parse::<IpAddr>().ok());
        addresses.extend(known.iter().filter(|(known, _)| *known == name).map(|(_, address)| *address));
    }
    // What no route decides about needs none.
    keep.extend(addresses.iter().filter_map(|address| address.to_string().parse::<Keep>().ok()));
    let mut texts: Vec<String> = keep.iter().map(Keep::to_string).collect();
    texts.sort();
    texts.dedup();
    Ok(texts)
}

#[cfg(test)]
mod tests;
