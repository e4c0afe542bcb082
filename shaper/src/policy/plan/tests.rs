use super::*;
use crate::netlink::Reply;
use crate::netlink::attr::Writer;

const MAIN: u32 = libc::RT_TABLE_MAIN as u32;
const DATA: u32 = 2;

/// A route as a dump tells it: `TO/LEN [via GATEWAY] dev N [metric N] [table N] [type N]`.
fn route(text: &str) -> Entry {
    let words: Vec<&str> = text.split(' ').collect();
    let after = |word: &str| words.iter().position(|found| *found == word).map(|at| words[at + 1]);
    let number = |word: &str| after(word).map(|number| number.parse::<u32>().expect("a number"));
    let keep = |text: &str| {
        let (address, len) = text.split_once('/').expect("a prefix");
        (address.parse::<IpAddr>().expect("an address"), len.parse::<u8>().expect("a length"))
    };
    let (to, len) = keep(words[0]);
    let table = number("table").unwrap_or(MAIN);
    let kind = number("type").unwrap_or(libc::RTN_UNICAST.into());
    let scope = if after("via").is_some() || to.is_ipv6() { 0 } else { libc::RT_SCOPE_LINK };
    let mut body = Writer::new();
    body.raw(&[Family::of(to).number(), len, 0, 0, 0, libc::RTPROT_KERNEL, scope, kind as u8, 0, 0, 0, 0]);
    body.attr_u32(15, table).attr_ip(1, to);
    if let Some(metric) = number("metric") {
        body.attr_u32(6, metric);
    }
    if let Some(via) = after("via") {
        body.attr_ip(5, via.parse().expect("an address"));
    }
    if let Some(dev) = number("dev") {
        body.attr_u32(4, dev);
    }
    // The age: told, and not copied.
    body.attr(12, &[7; 32]);
    let reply = Reply { kind: libc::RTM_NEWROUTE, body: body.as_bytes().to_vec() };
    Entry::parse(&reply).expect("a route")
}

fn link(flags: i32) -> Link {
    Link { ifindex: DATA, name: "eth0".to_owned(), flags: flags.cast_unsigned(), ..Link::default() }
}

fn keep(text: &str) -> Keep {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// What is kept, as `TO [via GATEWAY] dev N [metric N]`.
fn kept_of(routes: &[&str], keeps: &[&str]) -> Result<Vec<String>, Error> {
    let routes: Vec<Entry> = routes.iter().copied().map(route).collect();
    let keeps: Vec<Keep> = keeps.iter().copied().map(keep).collect();
    let family = routes.first().map_or(Family::V4, |route| route.family);
    let kept = kept(family, &routes, &[LOCAL, MAIN, 7], &link(libc::IFF_UP), &keeps)?;
    assert!(kept.iter().all(|route| route.table == TABLE), "{kept:?}");
    Ok(kept
        .iter()
        .map(|route| {
            let hop = route.next_hops()[0];
            let via = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let metric = Some(route.metric()).filter(|metric| *metric > 0);
            let metric = metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
            format!("{}{via} dev {}{metric}", route.prefix(), hop.ifindex)
        })
        .collect())
}

const V4: [&str; 7] = [
    "10.1.0.1/32 dev 2 table 255 type 2",
    "0.0.0.0/0 via 10.2.0.254 dev 3",
    "10.1.0.0/24 dev 2",
    "10.2.0.0/24 dev 3",
    "10.3.0.0/16 via 10.1.0.254 dev 2",
    "10.3.4.0/24 via 10.2.0.254 dev 3 metric 7",
    "10.3.4.0/24 via 10.2.0.253 dev 3 metric 5",
];

#[test]
fn the_network_of_the_link_is_kept_and_what_a_router_leads_to_is_not() {
    assert_eq!(kept_of(&V4, &[]).unwrap(), ["10.1.0.0/24 dev 2", "224.0.0.0/4 dev 2"]);
    let v6 = ["fe80::/64 dev 2 metric 256", "fd00::/64 dev 2 metric 256", "fd01::/64 dev 3 metric 256"];
    assert_eq!(kept_of(&v6, &[]).unwrap(), ["fe80::/64 dev 2 metric 256", "fd00::/64 dev 2 metric 256"]);
    // A point-to-point link whose default route has no router: everything is not a network.
    assert_eq!(kept_of(&["0.0.0.0/0 dev 2"], &[]).unwrap(), ["224.0.0.0/4 dev 2"]);
}

#[test]
fn a_link_that_is_down_has_no_network() {
    let kept = kept(Family::V4, &[], &[LOCAL, MAIN], &link(0), &[]).unwrap();
    assert_eq!(kept, []);
}

#[test]
fn a_host_is_kept_by_the_route_it_has_and_its_router_with_it() {
    let besides = |keeps: &[&str]| {
        let kept = kept_of(&V4, keeps).unwrap();
        assert_eq!(kept[..2], ["10.1.0.0/24 dev 2", "224.0.0.0/4 dev 2"]);
        kept[2..].to_vec()
    };
    assert_eq!(besides(&["10.2.0.9"]), ["10.2.0.9 dev 3"]);
    assert_eq!(besides(&["9.9.9.9"]), ["10.2.0.254 dev 3", "9.9.9.9 via 10.2.0.254 dev 3"]);
    // The longest prefix, then the least metric.
    assert_eq!(besides(&["10.3.4.5"]), ["10.2.0.253 dev 3", "10.3.4.5 via 10.2.0.253 dev 3 metric 5"]);
    // The router is on the network that is kept as a whole.
    assert_eq!(besides(&["10.3.9.9"]), ["10.3.9.9 via 10.1.0.254 dev 2"]);
    // Twice the same, and two by one router.
    assert_eq!(
        besides(&["9.9.9.9", "9.9.9.8", "9.9.9.9"]),
        ["10.2.0.254 dev 3", "9.9.9.9 via 10.2.0.254 dev 3", "9.9.9.8 via 10.2.0.254 dev 3"]
    );
    // The namespace's own address is in a table before ours.
    assert_eq!(besides(&["10.1.0.1"]), Vec::<String>::new());
}

#[test]
fn a_network_is_kept_with_the_routes_of_its_parts() {
    let kept = kept_of(&V4, &["10.3.0.0/17"]).unwrap();
    assert_eq!(
        kept[2..],
        [
            "10.2.0.254 dev 3",
            "10.2.0.253 dev 3",
            "10.3.0.0/17 via 10.1.0.254 dev 2",
            "10.3.4.0/24 via 10.2.0.254 dev 3 metric 7",
            "10.3.4.0/24 via 10.2.0.253 dev 3 metric 5"
        ]
    );
    // Parts alone, of a network that no route leads to as a whole.
    assert_eq!(kept_of(&V4[2..4], &["10.2.0.0/15"]).unwrap()[2..], ["10.2.0.0/24 dev 3"]);
}

#[test]
fn a_router_by_its_link_local_address_needs_no_route() {
    let v6 = ["fd00::/64 dev 2 metric 256", "::/0 via fe80::1 dev 3 metric 1024"];
    assert_eq!(
        kept_of(&v6, &["fd09::9"]).unwrap(),
        ["fd00::/64 dev 2 metric 256", "fd09::9 via fe80::1 dev 3 metric 1024"]
    );
}

#[test]
fn tables_are_asked_in_their_order() {
    let routes = ["10.9.0.0/16 dev 3 table 7", "10.9.9.0/24 dev 4 table 7", "10.9.0.0/16 dev 5"];
    assert_eq!(kept_of(&routes, &["10.9.9.9"]).unwrap()[1..], ["10.9.9.9 dev 5"]);
    // `throw` says to go on; a table of rules for some packets only is not asked.
    let routes = ["10.9.0.0/16 dev 3 table 7", "10.9.9.0/24 type 9", "10.9.9.0/24 dev 6 table 8"];
    assert_eq!(kept_of(&routes, &["10.9.9.9"]).unwrap()[1..], ["10.9.9.9 dev 3"]);
    let rule = |pref, table| Rule::new(Family::V4, pref, 0, Action::Lookup(table));
    let narrow = Rule { is_plain: false, ..rule(5, 9) };
    assert_eq!(
        tables(&[rule(0, LOCAL), narrow, rule(PREF, TABLE), rule(9, 7), rule(32766, MAIN)]),
        [255, 7, 254]
    );
}

#[test]
fn what_no_route_leads_to_cannot_be_kept() {
    for (routes, host) in [
        (&V4[2..4], "9.9.9.9"),
        (&["10.9.0.0/16 type 7"][..], "10.9.9.9"),
        (&["10.9.0.0/16 dev 3 table 8"], "10.9.9.9"),
        (&["10.9.0.0/16 dev 3"], "10.12.0.0/15"),
    ] {
        let error = kept_of(routes, &[host]).unwrap_err().to_string();
        assert_eq!(error, format!("{host} cannot be kept: no route leads there"));
    }
}

#[test]
fn our_own_copies_are_no_routes_of_the_user() {
    let routes = ["10.1.0.0/24 dev 2", "9.9.9.9/32 dev 3 table 23040"];
    assert!(matches!(kept_of(&routes, &["9.9.9.9"]), Err(Error::NoRoute { .. })));
}
