use std::collections::BTreeMap;

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::container::Inspected;
use super::*;
use crate::http::Answer;
use crate::netlink::link::Link;

fn web() -> Value {
    json!({
        "Id": "260f113338996429ebd56f8e6aa5a417e11725c1babb282a4483ec8e79237083",
        "Name": "/web-1",
        "State": { "Status": "running", "Running": true, "Pid": 4242, "OOMKilled": false },
        "HostConfig": { "NetworkMode": "shop_front", "ExtraHosts": ["sync:192.0.2.7", "six:[fd00::7]", "host:host-gateway"] },
        "Config": { "Hostname": "web", "Env": ["A=b=c", "EMPTY=", "odd"], "Labels": { "shaper.latency": "1ms" } },
        "NetworkSettings": { "Networks": {
            "shop_data": {
                "NetworkID": "d1", "MacAddress": "02:42:ac:12:00:02", "IPAddress": "172.18.0.2", "Gateway": "172.18.0.1",
                "GlobalIPv6Address": "fd00::2", "IPv6Gateway": "",
            },
            "shop_front": { "NetworkID": "f1", "MacAddress": "02:42:AC:11:00:02", "IPAddress": "172.17.0.2", "Gateway": "" },
        } },
    })
}

fn inspect(told: Value) -> Result<Container, String> {
    let inspected: Inspected = serde_json::from_value(told).map_err(|error| error.to_string())?;
    Container::try_from(inspected)
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut told = web();
    *told.pointer_mut(pointer).expect("there") = value;
    told
}

#[test]
fn what_is_needed_of_a_container_is_read() {
    let container = inspect(web()).unwrap();
    assert_eq!(
        (container.name.as_str(), container.pid, container.hostname.as_str()),
        ("web-1", Some(4242), "web")
    );
    let env = [("A", "b=c"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(container.env, BTreeMap::from(env));
    let host = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
    assert_eq!(container.hosts, [host("sync", "192.0.2.7"), host("six", "fd00::7")]);
    let [data, front] = container.networks.as_slice() else { panic!("{container:?}") };
    assert_eq!(
        (data.name.as_str(), data.id.as_str(), data.mac),
        ("shop_data", "d1", Some([2, 0x42, 0xac, 0x12, 0, 2]))
    );
    assert_eq!(data.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["172.18.0.2", "fd00::2"]);
    assert_eq!(
        (data.gateways.len(), front.gateways.len(), front.mac),
        (1, 0, Some([2, 0x42, 0xac, 0x11, 0, 2]))
    );
}

#[test]
fn whose_network_it_has_and_whether_it_runs() {
    for (mode, network_of) in [
        ("default", NetworkOf::Itself),
        ("none", NetworkOf::Itself),
        ("host", NetworkOf::Host),
        ("container:web-1", NetworkOf::Container("web-1".into())),
    ] {
        let container = inspect(changed("/HostConfig/NetworkMode", json!(mode))).unwrap();
        assert_eq!(container.network_of, network_of);
    }
    let stopped = changed("/State", json!({ "Running": false, "Pid": 0, "Status": "exited" }));
    assert_eq!(inspect(stopped).unwrap().pid, None);
    let nothing = changed("/NetworkSettings/Networks", Value::Null);
    assert!(inspect(nothing).unwrap().networks.is_empty());
}

#[test]
fn what_is_missing_or_odd_is_named() {
    for (pointer, key) in [
        ("", "Id"),
        ("/State", "Pid"),
        ("/HostConfig", "NetworkMode"),
        ("/Config", "Hostname"),
        ("/NetworkSettings/Networks/shop_data", "MacAddress"),
    ] {
        let mut told = web();
        told.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
        let error = inspect(told).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
    for (pointer, odd) in
        [("MacAddress", "02:42:ac:12:00"), ("MacAddress", "02:42:ac:12:00:+2"), ("IPAddress", "172.18.0")]
    {
        let error = inspect(changed(&format!("/NetworkSettings/Networks/shop_data/{pointer}"), json!(odd)))
            .unwrap_err();
        assert!(error.contains("web-1") && error.contains("shop_data") && error.contains(odd), "{error}");
    }
}

#[test]
fn an_event_names_the_container_that_it_touches() {
    for (line, id) in [
        (
            r#"{"status":"start","id":"c1","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"web"}}}"#,
            Some("c1"),
        ),
        (
            r#"{"Type":"network","Action":"connect","Actor":{"ID":"n1","Attributes":{"container":"c1","name":"data"}}}"#,
            Some("c1"),
        ),
        (r#"{"Type":"network","Action":"connect","Actor":{"ID":"n1"}}"#, None),
        (r#"{"Type":"image","Action":"pull","Actor":{"ID":"i1"}}"#, None),
        ("", None),
        ("{}", None),
    ] {
        assert_eq!(event::container_of(line.as_bytes()).as_deref(), id, "{line}");
    }
}

#[test]
fn what_the_runtime_refuses_is_told_in_its_words() {
    let answer =
        |status, body: &str| answer::read::<Vec<u8>>(&Answer { status, body: body.to_owned().into() });
    assert_eq!(answer(StatusCode::OK, "[1]"), Ok(Some(vec![1])));
    assert_eq!(answer(StatusCode::NOT_FOUND, "{}"), Ok(None));
    let refused =
        answer(StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"multiple IDs found"}"#).unwrap_err();
    assert_eq!(refused, "500 Internal Server Error: multiple IDs found");
    assert!(answer(StatusCode::OK, "<html>").is_err() && answer(StatusCode::BAD_GATEWAY, "x").is_err());
}

#[test]
fn docker_host_is_a_unix_socket_or_refused() {
    assert_eq!(Runtime::of_host("").unwrap(), Runtime::at(SOCKET));
    assert_eq!(Runtime::of_host("unix:///run/podman.sock").unwrap(), Runtime::at("/run/podman.sock"));
    for host in ["tcp://127.0.0.1:2375", "ssh://me@there", "unix://run/docker.sock", "/run/docker.sock"] {
        let error = Runtime::of_host(host).unwrap_err().to_string();
        assert!(error.contains(host) && error.contains("unix:///var/run/docker.sock"), "{error}");
    }
}

fn link(name: &str, last: u8) -> Link {
    let (kind, mac) = (Some("veth".to_owned()), Some([2, 0x42, 0xac, last, 0, 2]));
    Link { ifindex: last.into(), name: name.to_owned(), kind, mac, ..Link::default() }
}

#[test]
fn a_network_is_found_by_either_name_and_its_link_by_the_mac() {
    let container = inspect(web()).unwrap();
    let [data, front] = container.networks.as_slice() else { panic!("{container:?}") };
    let (both, links) = ([(data, Some("data")), (front, None)], [link("eth0", 0x11), link("eth1", 0x12)]);
    let of = |which| link_of(&which, &both, &links).map_err(|error| error.to_string());
    for asked in ["data", "shop_data"] {
        assert_eq!(of(Which::Network(asked.into())), Ok(Some("eth1".into())));
    }
    assert_eq!(of(Which::Network("shop_front".into())), Ok(Some("eth0".into())));
    assert_eq!(of(Which::Dev("eth7".into())), Ok(Some("eth7".into())));
    let error = of(Which::Network("dat".into())).unwrap_err();
    assert!(error.contains("`dat`") && error.contains("`data`, `shop_front`"), "{error}");
    let error = of(Which::Only).unwrap_err();
    assert!(
        error.contains("several networks, `data`, `shop_front`") && error.contains("`shaper.network`"),
        "{error}"
    );
    assert_eq!(link_of(&Which::Only, &both[..1], &links), Ok(Some("eth1".into())));
    assert_eq!(link_of(&Which::Only, &[], &links), Ok(None));
    assert!(link_of(&Which::Only, &both[..1], &links[..1]).unwrap_err().to_string().contains("shop_data"));
}

#[test]
fn compose_knows_a_network_by_a_shorter_name() {
    let told: network::Told = serde_json::from_value(json!({
        "Name": "shop_data",
        "Labels": { "com.docker.compose.network": "data" },
        "Containers": { "c1": { "Name": "web-1", "IPv4Address": "172.18.0.2/16", "IPv6Address": "" } },
    }))
    .unwrap();
    let network = Network::try_from(told).unwrap();
    assert_eq!(network.short_name(), Some("data"));
    assert_eq!(network.members, [("web-1".to_owned(), vec!["172.18.0.2".parse().unwrap()])]);
}

proptest! {
    #[test]
    fn no_name_leaves_its_place_in_the_path(name in "\\PC{0,12}|[a-zA-Z0-9_./?-]{0,12}") {
        if container::is_name(&name) {
            prop_assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '?', '#', '%', ' ']));
        }
    }
}
