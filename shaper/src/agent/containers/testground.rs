//! Containers that Testground's runner made: what they are in their run, as their environment says it.

use std::net::IpAddr;

use super::super::Testground;
use super::keeper::Links;
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::docker::{Attached, NetworkOf};
    use crate::netlink::link::Link;

    fn map(text: &[(&str, &str)]) -> BTreeMap<String, String> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn container() -> Container {
        let attached = |name: &str, address: &str, gateway: &str| Attached {
            name: name.to_owned(),
            id: name.to_owned(),
            mac: None,
            addresses: vec![address.parse().unwrap()],
            gateways: vec![gateway.parse().unwrap()],
        };
        Container {
            id: "c1".to_owned(),
            name: "tg-ping-0".to_owned(),
            pid: Some(7),
            status: "running".to_owned(),
            hostname: "a1b2".to_owned(),
            labels: map(&[("testground.run_id", "r1"), ("shaper.keep", "192.0.2.0/24")]),
            env: map(&[
                ("TEST_SIDECAR", "true"),
                ("TEST_SUBNET", "16.0.0.0/16"),
                ("TEST_RUN", "r1"),
                ("TEST_PLAN", "network"),
                ("TEST_CASE", "ping-pong"),
                ("REDIS_HOST", "testground-redis"),
                ("INFLUXDB_HOST", "198.51.100.7"),
                ("ADDITIONAL_HOSTS", "http-echo, nobody"),
            ]),
            network_of: NetworkOf::Itself,
            networks: vec![
                attached("control", "192.18.0.2", "192.18.0.1"),
                attached("data", "16.0.0.2", "16.0.0.1"),
            ],
            hosts: vec![("testground-sync-service".to_owned(), "192.18.0.9".parse().unwrap())],
        }
    }

    fn networks() -> Vec<Option<Network>> {
        let member = |name: &str, address: &str| (name.to_owned(), vec![address.parse().unwrap()]);
        let network =
            |name: &str, members| Network { name: name.to_owned(), labels: BTreeMap::new(), members };
        let control = [
            member("testground-redis", "192.18.0.3"),
            member("http-echo", "192.18.0.4"),
            member("other", "192.18.0.5"),
        ];
        let data = [member("http-echo", "16.0.0.4")];
        vec![Some(network("control", control.into())), Some(network("data", data.into()))]
    }

    fn links() -> Links {
        let link = |ifindex, name: &str| Link {
            ifindex,
            name: name.to_owned(),
            kind: None,
            ifalias: None,
            flags: 0,
            mtu: 1500,
            txqlen: 0,
            gso_max_segs: None,
            gso_max_size: None,
            mac: None,
            peer_ifindex: None,
            peer_netnsid: None,
        };
        let addresses = [(5, "192.18.0.2"), (7, "16.0.0.2")];
        Links {
            links: vec![link(5, "eth0"), link(7, "eth1")],
            addresses: addresses.map(|(ifindex, address)| (ifindex, address.parse().unwrap())).into(),
        }
    }

    fn running(container: Container) -> Running {
        Running { container, pid: 7, owner: None }
    }

    #[test]
    fn an_instance_is_what_its_environment_says() {
        let said = of(&running(container()), &networks(), &links()).unwrap();
        assert_eq!((said.hostname.as_str(), said.dev.as_str()), ("a1b2", "eth1"));
        assert_eq!(
            (said.run.as_str(), said.plan.as_str(), said.case.as_str()),
            ("r1", "network", "ping-pong")
        );
        let keep = ["192.0.2.0/24", "192.18.0.1", "192.18.0.3", "192.18.0.4", "192.18.0.9", "198.51.100.7"];
        assert_eq!(said.keep, keep);
    }

    #[test]
    fn what_is_missing_is_named() {
        for name in ["TEST_SUBNET", "TEST_RUN", "TEST_PLAN", "TEST_CASE"] {
            let mut container = container();
            container.env.remove(name);
            let why = of(&running(container), &networks(), &links()).unwrap_err();
            assert!(why.contains(name), "{why}");
        }
        let nowhere = Links { addresses: Vec::new(), ..links() };
        let why = of(&running(container()), &networks(), &nowhere).unwrap_err();
        assert!(why.contains("16.0.0.0/16"), "{why}");
        let mut shaped = container();
        shaped.labels.insert("shaper.latency".to_owned(), "1ms".to_owned());
        assert!(of(&running(shaped), &networks(), &links()).unwrap_err().contains("`shaper.latency`"));
    }

    #[test]
    fn who_counts_on_no_sidecar_is_no_instance() {
        assert!(is_instance(&container()));
        for sidecar in [None, Some("false"), Some(""), Some("0")] {
            let mut container = container();
            container.env.remove("TEST_SIDECAR");
            container.env.extend(sidecar.map(|text| ("TEST_SIDECAR".to_owned(), text.to_owned())));
            assert!(!is_instance(&container), "{sidecar:?}");
        }
        assert!(!is_instance(&Container { name: "tg-mkdir-outputs".to_owned(), ..container() }));
        assert!(!is_instance(&Container { labels: BTreeMap::new(), ..container() }));
    }
}
