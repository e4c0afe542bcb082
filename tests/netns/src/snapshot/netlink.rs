//! The state of a namespace over netlink, every attribute as the kernel sent it except counters.
//!
//! Read raw and not through the types of the product, so that an attribute those do not know is compared as well.

use std::fmt::Write;
use std::net::IpAddr;

use shaper::netlink::attr::{Attribute, Attributes};
use shaper::netlink::{Message, Reply, link};

use crate::node::Node;

/// Length of `struct ifinfomsg`.
const IFINFOMSG_LEN: usize = 16;
/// Length of `struct ifaddrmsg`.
const IFADDRMSG_LEN: usize = 8;
/// Length of `struct rtmsg`.
const RTMSG_LEN: usize = 12;
/// Length of `struct fib_rule_hdr`.
const FIB_RULE_HDR_LEN: usize = 12;
/// Length of `struct tcmsg`.
const TCMSG_LEN: usize = 20;

// linux/if_link.h: counters, and nests that hold some.
const IFLA_STATS: u16 = 7;
const IFLA_MAP: u16 = 14;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_STATS: u16 = 3;
const IFLA_INET6_CACHEINFO: u16 = 5;
const IFLA_INET6_ICMP6STATS: u16 = 6;
// linux/if_addr.h and linux/rtnetlink.h: lifetimes.
const IFA_CACHEINFO: u16 = 6;
const RTA_CACHEINFO: u16 = 12;
// linux/rtnetlink.h: counters of traffic control.
const TCA_STATS: u16 = 3;
const TCA_XSTATS: u16 = 4;
const TCA_STATS2: u16 = 7;
// linux/pkt_cls.h and linux/tc_act/tc_mirred.h: actions, with their counters and times of last use.
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ACT: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_ACT_STATS: u16 = 4;
const TCA_MIRRED_TM: u16 = 1;

// linux/pkt_sched.h: where filters hang.
const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_CLSACT_INGRESS: u32 = 0xffff_fff2;
const TC_H_CLSACT_EGRESS: u32 = 0xffff_fff3;

/// Returns one line per link, address, route, rule, qdisc, class and filter.
#[track_caller]
pub(super) fn state(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |replies: Vec<Reply>, what: &str, fixed: usize, skipped: &[u16]| {
        lines.extend(replies.iter().map(|reply| describe(what, reply, fixed, skipped)));
    };
    let links = dump(node, libc::RTM_GETLINK, &[0; IFINFOMSG_LEN]);
    add(links, "link", IFINFOMSG_LEN, &[IFLA_STATS, IFLA_STATS64, IFLA_MAP]);
    add(dump(node, libc::RTM_GETADDR, &[0; IFADDRMSG_LEN]), "address", IFADDRMSG_LEN, &[IFA_CACHEINFO]);
    let mut routes = dump(node, libc::RTM_GETROUTE, &[0; RTMSG_LEN]);
    routes.retain(|route| !is_cached(route));
    add(routes, "route", RTMSG_LEN, &[RTA_CACHEINFO]);
    // None in a kernel without them.
    let rules = try_dump(node, libc::RTM_GETRULE, &[0; FIB_RULE_HDR_LEN]).unwrap_or_default();
    add(rules, "rule", FIB_RULE_HDR_LEN, &[]);
    let counters = [TCA_STATS, TCA_XSTATS, TCA_STATS2];
    add(dump(node, libc::RTM_GETQDISC, &tcmsg(0, 0)), "qdisc", TCMSG_LEN, &counters);
    let links = link::dump(&mut node.socket()).unwrap_or_else(|error| panic!("{error}"));
    for link in links {
        add(dump(node, libc::RTM_GETTCLASS, &tcmsg(link.ifindex, 0)), "class", TCMSG_LEN, &counters);
        add(filters(node, link.ifindex), "filter", TCMSG_LEN, &counters);
    }
    lines
}

/// Says whether the kernel sees the link in state up: it notices the carrier some time after both ends are up.
#[track_caller]
pub(crate) fn is_operational(node: &Node, name: &str) -> bool {
    const IFLA_IFNAME: u16 = 3;
    const IFLA_OPERSTATE: u16 = 16;
    // linux/if.h
    const IF_OPER_UP: u8 = 6;
    dump(node, libc::RTM_GETLINK, &[0; IFINFOMSG_LEN]).iter().any(|link| {
        let Some((_, attributes)) = link.split::<IFINFOMSG_LEN>() else { return false };
        attributes.find_kind(IFLA_IFNAME).is_some_and(|found| found.text() == name)
            && attributes.find_kind(IFLA_OPERSTATE).and_then(|state| state.u8()) == Some(IF_OPER_UP)
    })
}

/// Says whether the kernel delivers packets to `address`: it adds the route of an IPv6 address some time after the address.
#[track_caller]
pub(crate) fn is_delivered(node: &Node, address: IpAddr) -> bool {
    const RTA_DST: u16 = 1;
    const TYPE_OFFSET: usize = 7;
    dump(node, libc::RTM_GETROUTE, &[0; RTMSG_LEN]).iter().any(|route| {
        let Some((header, attributes)) = route.split::<RTMSG_LEN>() else { return false };
        header[TYPE_OFFSET] == libc::RTN_LOCAL
            && attributes.find_kind(RTA_DST).and_then(|dst| dst.ip()) == Some(address)
    })
}

/// Returns the filters of a link at its root and at both sides of clsact.
#[track_caller]
pub(crate) fn filters(node: &Node, ifindex: u32) -> Vec<Reply> {
    [TC_H_ROOT, TC_H_CLSACT_INGRESS, TC_H_CLSACT_EGRESS]
        .into_iter()
        // A link without the qdisc has no filters there: refused on some kernels, empty on others.
        .filter_map(|parent| try_dump(node, libc::RTM_GETTFILTER, &tcmsg(ifindex, parent)).ok())
        .flatten()
        .collect()
}

#[track_caller]
fn dump(node: &Node, kind: u16, fixed: &[u8]) -> Vec<Reply> {
    try_dump(node, kind, fixed).unwrap_or_else(|error| panic!("in `{}`: {error}", node.name()))
}

fn try_dump(node: &Node, kind: u16, fixed: &[u8]) -> Result<Vec<Reply>, shaper::netlink::Error> {
    let mut message = Message::new(kind, 0, "take a snapshot", "");
    message.body_mut().raw(fixed);
    node.socket().dump(message)
}

fn tcmsg(ifindex: u32, parent: u32) -> [u8; TCMSG_LEN] {
    let mut bytes = [0; TCMSG_LEN];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes
}

/// What the kernel noted about a destination that something was sent to (`RTM_F_CLONED`).
fn is_cached(route: &Reply) -> bool {
    const RTM_F_CLONED: u32 = 0x200;
    let flags = route.body.get(8..12).and_then(|flags| flags.try_into().ok()).map(u32::from_ne_bytes);
    flags.is_some_and(|flags| flags & RTM_F_CLONED != 0)
}

fn describe(what: &str, reply: &Reply, fixed: usize, skipped: &[u16]) -> String {
    let (header, rest) = reply.body.split_at(fixed.min(reply.body.len()));
    let mut line = format!("{what} {}", hex(header));
    for attribute in Attributes::new(rest).filter(|attribute| !skipped.contains(&attribute.kind)) {
        let value = match attribute.kind {
            IFLA_AF_SPEC if what == "link" => families(attribute),
            TCA_OPTIONS if what == "filter" => filter(attribute),
            TCA_OPTIONS if what == "qdisc" => qdisc(attribute),
            _ => value(attribute.value),
        };
        let _infallible = write!(line, " {}={value}", attribute.kind);
    }
    line
}

/// Settings of a filter; those of a `bpf` one contain the actions with their counters.
fn filter(options: Attribute<'_>) -> String {
    let mut text = String::new();
    for option in options.nested() {
        if option.kind != TCA_BPF_ACT {
            let _infallible = write!(text, "[{}={}]", option.kind, value(option.value));
            continue;
        }
        for action in option.nested() {
            for part in action.nested().filter(|part| part.kind != TCA_ACT_STATS) {
                let shown = match part.kind {
                    TCA_ACT_OPTIONS => part
                        .nested()
                        .filter(|setting| setting.kind != TCA_MIRRED_TM)
                        .map(|setting| value(setting.value))
                        .collect(),
                    _ => value(part.value),
                };
                let _infallible = write!(text, "[action {} {}={shown}]", action.kind, part.kind);
            }
        }
    }
    text
}

/// Settings of a qdisc; htb counts among them what went by its direct queue.
fn qdisc(options: Attribute<'_>) -> String {
    // linux/pkt_sched.h: `struct tc_htb_glob`, whose last word is the counter. No other qdisc has an option of that length there.
    const TCA_HTB_INIT: u16 = 2;
    const LEN: usize = 20;
    let init = options.nested().find(|option| option.kind == TCA_HTB_INIT && option.value.len() == LEN);
    match init {
        Some(init) => format!("htb {}", hex(&init.value[..LEN - 4])),
        None => value(options.value),
    }
}

/// Settings per address family; IPv6 mixes its counters among them.
fn families(spec: Attribute<'_>) -> String {
    let counters = [IFLA_INET6_STATS, IFLA_INET6_CACHEINFO, IFLA_INET6_ICMP6STATS];
    let mut text = String::new();
    for family in spec.nested() {
        for setting in family.nested() {
            if i32::from(family.kind) != libc::AF_INET6 || !counters.contains(&setting.kind) {
                let _infallible = write!(text, "[{}.{}={}]", family.kind, setting.kind, value(setting.value));
            }
        }
    }
    text
}

/// Text where the bytes are one, so that a difference can be read.
fn value(bytes: &[u8]) -> String {
    match bytes.split_last() {
        Some((0, text)) if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => {
            format!("{:?}", String::from_utf8_lossy(text))
        }
        _ => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
