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
    let network = |name: &str, members| Network { name: name.to_owned(), labels: BTreeMap::new(), members };
    let control = [
        member("testground-redis", "192.18.0.3"),
        member("http-echo", "192.18.0.4"),
        member("other", "192.18.0.5"),
    ];
    let data = [member("http-echo", "16.0.0.4")];
    vec![Some(network("control", control.into())), Some(network("data", data.into()))]
}

fn links() -> Links {
    let link = |ifindex, name: &str| Link { ifindex, name: name.to_owned(), ..Link::default() };
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
    assert_eq!((said.run.as_str(), said.plan.as_str(), said.case.as_str()), ("r1", "network", "ping-pong"));
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
