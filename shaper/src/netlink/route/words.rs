//! Routes in the words of iproute2.

use std::net::IpAddr;

use super::{Entry, NextHop};
use crate::netlink::Family;
use crate::netlink::attr::Attribute;
use crate::netlink::uapi::*;

/// The settings of a route that are plain numbers (`RTAX_*`); the others (times, features) have units of their own.
const METRICS: [(u16, &str); 9] = [
    (2, "mtu"),
    (3, "window"),
    (7, "cwnd"),
    (8, "advmss"),
    (9, "reordering"),
    (10, "hoplimit"),
    (11, "initcwnd"),
    (14, "initrwnd"),
    (15, "quickack"),
];

/// What `ip route add` takes, links by `name`; what has no word there (encapsulation) is left out.
pub(super) fn of(route: &Entry, name: &dyn Fn(u32) -> String) -> String {
    let mut words: Vec<String> = kind(route.kind).into_iter().collect();
    words.push(route.prefix());
    let hops = route.next_hops();
    let to = |gateway: Option<IpAddr>| gateway.map(|gateway| via(route.family, gateway));
    if let [hop] = hops[..] {
        words.extend(to(hop.gateway));
    }
    words.push(format!("table {}", route.table));
    words.push(format!("proto {}", protocol(route.protocol)));
    if route.family == Family::V4 {
        words.push(format!("scope {}", scope(route.scope)));
    }
    words.extend(route.source().map(|source| format!("src {source}")));
    words.extend(route.attribute(RTA_PRIORITY).map(|_| format!("metric {}", route.metric())));
    let ranks = ["high", "medium", "low"];
    words.extend(
        route.attribute(RTA_PREF).map(|_| format!("pref {}", ranks[usize::from(route.preference_rank())])),
    );
    if let [NextHop { ifindex, .. }] = hops[..] {
        words.push(format!("dev {}", name(ifindex)));
    }
    if route.is_onlink {
        words.push("onlink".to_owned());
    }
    words.extend(route.attribute(RTA_METRICS).iter().flat_map(metrics));
    if hops.len() > 1 {
        for hop in hops {
            words.push("nexthop".to_owned());
            words.extend(to(hop.gateway));
            words.push(format!("dev {}", name(hop.ifindex)));
        }
    }
    words.join(" ")
}

fn via(family: Family, gateway: IpAddr) -> String {
    match (family, Family::of(gateway)) {
        (Family::V4, Family::V6) => format!("via inet6 {gateway}"),
        _ => format!("via {gateway}"),
    }
}

/// Nothing for the usual kind.
fn kind(kind: u8) -> Option<String> {
    let name = match kind {
        libc::RTN_UNICAST => return None,
        libc::RTN_LOCAL => "local",
        libc::RTN_BROADCAST => "broadcast",
        libc::RTN_ANYCAST => "anycast",
        libc::RTN_MULTICAST => "multicast",
        libc::RTN_BLACKHOLE => "blackhole",
        libc::RTN_UNREACHABLE => "unreachable",
        libc::RTN_PROHIBIT => "prohibit",
        libc::RTN_THROW => "throw",
        _ => return Some(kind.to_string()),
    };
    Some(name.to_owned())
}

fn protocol(protocol: u8) -> String {
    match protocol {
        libc::RTPROT_KERNEL => "kernel".to_owned(),
        libc::RTPROT_BOOT => "boot".to_owned(),
        libc::RTPROT_STATIC => "static".to_owned(),
        _ => protocol.to_string(),
    }
}

fn scope(scope: u8) -> String {
    match scope {
        libc::RT_SCOPE_UNIVERSE => "global".to_owned(),
        libc::RT_SCOPE_LINK => "link".to_owned(),
        libc::RT_SCOPE_HOST => "host".to_owned(),
        _ => scope.to_string(),
    }
}

fn metrics(metrics: &Attribute<'_>) -> Vec<String> {
    let word = |metric: Attribute<'_>| {
        let (_, name) = METRICS.iter().find(|(kind, _)| *kind == metric.kind)?;
        Some(format!("{name} {}", metric.u32()?))
    };
    metrics.nested().filter_map(word).collect()
}
