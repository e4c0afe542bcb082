//! Our requests are those of iproute2, byte for byte, and so is the command line that a dry run prints for them.
//!
//! Each fixture under `fixtures/netlink` opens with the command whose request it holds, as
//! `strace -e trace=sendmsg -e write=3 COMMAND` shows it, even where the kernel then refuses. Not covered, because
//! iproute2 6.1 never sends them: `TCA_NETEM_LATENCY64`, `TCA_NETEM_JITTER64` and `TCA_NETEM_PRNG_SEED`.
#![cfg(target_endian = "little")]

use std::io::stdin;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use shaper::netlink::attr::Writer;
use shaper::netlink::link::{AddrGenMode, Device, Settings};
use shaper::netlink::route::Entry;
use shaper::netlink::rule::{Action, Rule};
use shaper::netlink::{Family, Message, Reply, address, link, route};
use shaper::tc::class::Class;
use shaper::tc::filter::{Mirred, Side, bpf};
use shaper::tc::qdisc::{Kind, Qdisc, fq, htb, netem};
use shaper::tc::{Handle, Verb};

const MBIT: u64 = 1_000_000 / 8;
const MS: u64 = 1_000_000;

#[test]
fn fq() {
    let all = fq::Options {
        limit_packets: Some(20_000),
        flow_limit_packets: Some(10_000),
        buckets_log2: Some(11),
        quantum_bytes: Some(3028),
        initial_quantum_bytes: Some(15_140),
        pacing: Some(true),
        low_rate_threshold_bytes_per_sec: Some(68_750),
        orphan_mask: Some(1023),
        timer_slack_ns: Some(10_000),
        horizon_us: Some(20_000_000),
        horizon_drop: Some(false),
    };
    check("fq", root(0x5a00, Kind::Fq(all)).message(Verb::Replace));
    let drop = fq::Options { pacing: Some(false), horizon_drop: Some(true), ..fq::Options::default() };
    check("fq_horizon_drop", root(0x5a00, Kind::Fq(drop)).message(Verb::Add));
}

#[test]
fn htb() {
    let options = htb::Qdisc { default_class: 0x10, rate2quantum: 100, direct_qlen_packets: Some(1000) };
    check("htb", root(0x5a00, Kind::Htb(options)).message(Verb::Add));
    check("htb_class_10mbit", class(htb::Class::with_rate(10 * MBIT)).message(Verb::Add));
    check("htb_class_100gbit", class(htb::Class::with_rate(100_000 * MBIT)).message(Verb::Replace));
    let burst = htb::Class {
        rate_bytes_per_sec: 154_320,
        ceil_bytes_per_sec: 20 * MBIT,
        burst_bytes: Some(15_000),
        cburst_bytes: Some(1600),
        quantum_bytes: Some(1514),
        prio: 3,
    };
    check("htb_class_burst", class(burst).message(Verb::Change));
    check("htb_class_del", class(htb::Class::with_rate(1)).message(Verb::Del));
}

#[test]
fn netem() {
    let delay = |ms| netem::Options { delay_ns: ms * MS, ..netem::Options::default() };
    let jitter = netem::Options { jitter_ns: 10 * MS, ..delay(100) };
    let tiny = netem::Distribution {
        name: "tiny".into(),
        table: vec![-16384, -8192, -4096, -1, 1, 4096, 8192, 16384],
    };
    let distribution = netem::Options { distribution: Some(tiny), ..jitter.clone() };
    let add = |options| root(0x1a, Kind::Netem(options)).message(Verb::Add);
    check("netem_delay", add(delay(20)));
    check("netem_jitter", add(jitter));
    check("netem_distribution", add(distribution.clone()));
    let rate = |bytes_per_sec| Some(netem::Rate { bytes_per_sec, ..netem::Rate::default() });
    check("netem_rate", add(netem::Options { rate: rate(10 * MBIT), ..delay(20) }));
    check("netem_rate_100gbit", add(netem::Options { rate: rate(100_000 * MBIT), ..delay(0) }));
    let ten = netem::Rate { bytes_per_sec: 10 * MBIT, packet_overhead_bytes: 24, ..netem::Rate::default() };
    check("netem_rate_overhead", add(netem::Options { rate: Some(ten), ..delay(20) }));
    let cells = netem::Rate { packet_overhead_bytes: -14, cell_bytes: 48, cell_overhead_bytes: 5, ..ten };
    check("netem_rate_cells", add(netem::Options { rate: Some(cells), ..delay(20) }));
    let all = netem::Options { limit_packets: 77, rate: rate(100_000 * MBIT), ..distribution };
    check("netem_all", root(0x1a, Kind::Netem(all)).message(Verb::Replace));

    let leaf = Qdisc {
        parent: Handle::new(0x5a00, 1),
        ..root(0x5a01, Kind::Netem(netem::Options { limit_packets: 4321, ..delay(3) }))
    };
    check("netem_leaf_limit", leaf.message(Verb::Change));
}

#[test]
fn netem_loss() {
    let add = |loss| {
        let options = netem::Options { loss, ..netem::Options::default() };
        root(0x1a, Kind::Netem(options)).message(Verb::Add)
    };
    check("netem_loss", add(netem::Loss::Random(percent(10.0))));
    check(
        "netem_loss_gemodel",
        add(netem::Loss::GilbertElliott {
            p: percent(1.0),
            r: percent(10.0),
            one_minus_h: percent(75.0),
            one_minus_k: percent(0.1),
        }),
    );
    check(
        "netem_loss_state",
        add(netem::Loss::FourState {
            p13: percent(1.0),
            p31: percent(10.0),
            p32: percent(20.0),
            p23: percent(30.0),
            p14: percent(2.0),
        }),
    );
    let correlated = netem::Options {
        loss: netem::Loss::Random(percent(0.1)),
        correlation: Some(netem::Correlation { loss: percent(25.0), ..netem::Correlation::default() }),
        ..netem::Options::default()
    };
    check("netem_loss_correlated", root(0x1a, Kind::Netem(correlated)).message(Verb::Add));
}

#[test]
fn netem_chances() {
    let none = netem::Options::default;
    let delay = |ms| netem::Options { delay_ns: ms * MS, ..none() };
    let add = |options| root(0x1a, Kind::Netem(options)).message(Verb::Add);
    let chance = |probability, correlation| {
        Some(netem::Chance { probability: percent(probability), correlation: percent(correlation) })
    };
    let correlation = |delay, loss, duplicate| {
        let [delay, loss, duplicate] = [delay, loss, duplicate].map(percent);
        Some(netem::Correlation { delay, loss, duplicate })
    };
    let zero = correlation(0.0, 0.0, 0.0);

    check("netem_duplicate", add(netem::Options { duplicate: percent(1.0), ..none() }));
    let duplicate =
        netem::Options { duplicate: percent(1.0), correlation: correlation(0.0, 0.0, 50.0), ..none() };
    check("netem_duplicate_correlated", add(duplicate));
    check("netem_corrupt", add(netem::Options { corrupt: chance(0.5, 0.0), ..none() }));
    let corrupt = netem::Options { corrupt: chance(0.5, 30.0), correlation: zero, ..none() };
    check("netem_corrupt_correlated", add(corrupt));
    check("netem_reorder", add(netem::Options { reorder: chance(25.0, 0.0), gap: 1, ..delay(100) }));
    let reorder = netem::Options { reorder: chance(25.0, 50.0), gap: 5, correlation: zero, ..delay(100) };
    check("netem_reorder_gap", add(reorder));
    let jitter =
        netem::Options { jitter_ns: 10 * MS, correlation: correlation(25.0, 0.0, 0.0), ..delay(100) };
    check("netem_jitter_correlated", add(jitter.clone()));
    let every = netem::Options {
        correlation: correlation(25.0, 2.0, 6.0),
        loss: netem::Loss::Random(percent(1.0)),
        duplicate: percent(5.0),
        corrupt: chance(3.0, 4.0),
        reorder: chance(7.0, 8.0),
        gap: 9,
        rate: Some(netem::Rate { bytes_per_sec: 10 * MBIT, ..netem::Rate::default() }),
        ..jitter
    };
    check("netem_every_chance", add(every));

    let removed = netem::Options {
        correlation: zero,
        corrupt: chance(0.0, 0.0),
        reorder: chance(0.0, 0.0),
        rate: Some(netem::Rate::default()),
        ..delay(20)
    };
    check("netem_removed", root(0x1a, Kind::Netem(removed)).message(Verb::Change));
}

#[test]
fn qdiscs_without_options() {
    check("clsact", Qdisc::clsact(lo()).message(Verb::Add));
    check("clsact_del", Qdisc::clsact(lo()).message(Verb::Del));
    check("noqueue", Qdisc { handle: Handle::NONE, ..root(0, Kind::Noqueue) }.message(Verb::Replace));
}

#[test]
fn filter() {
    let program = stdin();
    let egress = bpf::Filter {
        dev: lo(),
        parent: Handle::EGRESS,
        pref: 0x5a00,
        handle: 1,
        // tc appends what it took the program from.
        name: "shaper_egress:[*fsobj]".into(),
        action: bpf::Action::Direct,
    };
    check("bpf_direct_action", egress.attach(Verb::Add, program.as_fd()));
    check("bpf_replace", egress.attach(Verb::Replace, program.as_fd()));
    check("bpf_del", egress.delete());
    let ingress = bpf::Filter {
        parent: Handle::INGRESS,
        name: "shaper_ingress:[*fsobj]".into(),
        action: bpf::Action::Redirect(Mirred { side: Side::Egress, dev: lo() }),
        ..egress
    };
    check("bpf_mirred", ingress.attach(Verb::Add, program.as_fd()));
    let finish = bpf::Filter {
        parent: Handle::EGRESS,
        name: "shaper_finish:[*fsobj]".into(),
        action: bpf::Action::Checksum,
        ..ingress
    };
    check("bpf_csum", finish.attach(Verb::Add, program.as_fd()));
}

#[test]
fn link() {
    let named = |name: &str| Settings { name: Some(name.to_owned()), ..Settings::default() };
    let sizes = Settings { mtu: Some(1400), txqlen: Some(500), ..Settings::default() };
    check("link_add_ifb", link::add("ifb", &Settings { name: Some("shi-2".into()), ..sizes.clone() }));
    check("link_add_veth", link::add_veth(&named("v0"), &named("v1")));
    check("link_set", link::set(&lo(), &Settings { gso_max_segs: Some(1), up: Some(true), ..sizes }));
    let mac = Settings { mac: Some([2, 0, 0, 0, 0x5a, 1]), up: Some(false), ..Settings::default() };
    check("link_set_address", link::set(&lo(), &mac));
    let alias = Settings { ifalias: Some("hello there".into()), ..Settings::default() };
    check("link_set_alias", link::set(&lo(), &alias));
    let mode = Settings { addr_gen_mode: Some(AddrGenMode::None), ..Settings::default() };
    check("link_set_addrgenmode", link::set(&lo(), &mode));
    let port = Settings { master: Some(lo()), ..Settings::default() };
    check("link_set_master", link::set(&lo(), &port));
    check("link_set_name", link::set(&lo(), &named("lo7")));
    check("link_del", link::delete(&lo()));
}

#[test]
fn address_and_route() {
    check("address_v4", address::add(&lo(), ip("10.0.0.1"), 24));
    check("address_v6", address::add(&lo(), ip("fd00::1"), 64));
    let mut told = Writer::new();
    let (noprefixroute, permanent) = (0x200u32, 0x80u32);
    // As in /usr/include/linux/if_addr.h: broadcast, label, flags, metric, and a time that has no end.
    told.raw(&[2, 24, 0x80, 253, 1, 0, 0, 0]).attr_ip(1, ip("10.0.0.1")).attr_ip(2, ip("10.0.0.1"));
    told.attr_ip(4, ip("10.0.0.255")).attr_str(3, "lo:x").attr_u32(8, noprefixroute | permanent);
    told.attr_u32(9, 50).attr(6, &[255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 1, 2, 3, 4]);
    let told = Reply { kind: libc::RTM_NEWADDR, body: told.as_bytes().to_vec() };
    let told = address::Entry::parse(&told, "lo").expect("an address");
    check("address_told", told.add(&lo()));
    check("address_del", told.delete(&lo()));
    check("route_default", route::add(&route::Route { to: None, via: ip("10.0.0.2"), dev: None }));
    let v6 = route::Route { to: Some((ip("fd01::"), 64)), via: ip("fd00::2"), dev: Some(lo()) };
    check("route_v6", route::add(&v6));
}

#[test]
fn rules() {
    let lookup = |family| Rule::new(family, 90, 90, Action::Lookup(23040));
    let prohibit = |family| Rule::new(family, 91, 90, Action::Prohibit);
    check("rule_lookup", lookup(Family::V4).add());
    check("rule_lookup_v6", lookup(Family::V6).add());
    check("rule_prohibit", prohibit(Family::V4).add());
    check("rule_lookup_del", lookup(Family::V4).delete());
    check("rule_prohibit_del_v6", prohibit(Family::V6).delete());
}

/// A route that the kernel told, with what is its own business (age, whether the link is up), goes into another table.
#[test]
fn routes_of_tables() {
    let name = |ifindex| if ifindex == 1 { "lo".to_owned() } else { format!("if{ifindex}") };
    check("route_on_link", Entry::on_link(ip("224.0.0.0"), 4, 1, 23040).replace(&name));
    const ONLINK: u32 = 4;
    const LINK_IS_DOWN: u32 = 16;
    let told = |header: [u8; 8], flags: u32, attributes: &dyn Fn(&mut Writer)| {
        let mut body = Writer::new();
        body.raw(&header).raw(&(flags | LINK_IS_DOWN).to_ne_bytes());
        attributes(body.attr_u32(libc::RTA_TABLE, 254));
        let age = [1; 32];
        body.attr(libc::RTA_CACHEINFO, &age);
        let reply = Reply { kind: libc::RTM_NEWROUTE, body: body.as_bytes().to_vec() };
        Entry::parse(&reply).expect("a route").in_table(23040)
    };
    let network = told([2, 24, 0, 0, 254, 4, 0, 1], ONLINK, &|body| {
        body.attr_ip(libc::RTA_DST, ip("10.1.0.0")).attr_u32(libc::RTA_PRIORITY, 5);
        body.nest(libc::RTA_METRICS, |metrics| {
            metrics.attr_u32(2, 1400);
        });
        body.attr_ip(libc::RTA_PREFSRC, ip("127.0.0.1")).attr_ip(libc::RTA_GATEWAY, ip("127.0.0.2"));
        body.attr_u32(libc::RTA_OIF, 1);
    });
    let host = network.leading_to(ip("10.1.0.9"), 32);
    check("route_copied", host.replace(&name));
    check("route_copied_del", host.delete(&name));
    let v6 = told([10, 64, 0, 0, 254, 2, 0, 1], 0, &|body| {
        body.attr_ip(libc::RTA_DST, ip("fd01::")).attr_u32(libc::RTA_PRIORITY, 256);
        body.attr_u32(libc::RTA_OIF, 1).attr_u8(libc::RTA_PREF, 0);
    });
    check("route_copied_v6", v6.replace(&name));
    check("route_copied_v6_del", v6.delete(&name));
    let multipath = told([2, 16, 0, 0, 254, 4, 0, 1], 0, &|body| {
        let (dead, len, weight, lo) = (1, 16, 0, [1, 0, 0, 0]);
        let path = |host| [&[len, 0, dead, weight][..], &lo, &[8, 0, 5, 0, 127, 0, 0, host]].concat();
        body.attr_ip(libc::RTA_DST, ip("10.9.0.0"));
        body.attr(libc::RTA_MULTIPATH, &[path(2), path(3)].concat());
    });
    check("route_multipath", multipath.replace(&name));
    let blackhole = told([2, 16, 0, 0, 254, 4, 0, 6], 0, &|body| {
        body.attr_ip(libc::RTA_DST, ip("10.9.0.0"));
    });
    check("route_blackhole", blackhole.replace(&name));
    check("route_blackhole_del", blackhole.delete(&name));
}

/// A probability as tc reads it.
fn percent(percent: f64) -> u32 {
    (percent / 100.0 * f64::from(u32::MAX)).round_ties_even() as u32
}

fn lo() -> Device {
    Device { ifindex: 1, name: "lo".into() }
}

fn root(major: u16, kind: Kind) -> Qdisc {
    Qdisc { dev: lo(), parent: Handle::ROOT, handle: Handle::qdisc(major), kind }
}

fn class(options: htb::Class) -> Class {
    Class { dev: lo(), parent: Handle::qdisc(0x5a00), classid: Handle::new(0x5a00, 1), options }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Compares a message with a fixture: type, flags, body and command.
#[track_caller]
fn check(fixture: &str, message: Message<'_>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/netlink/{fixture}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let command =
        text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a command comes first");
    assert_eq!(message.command().replace(":[*fsobj]", ""), command);

    let request_and_ack = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut ours = Vec::new();
    ours.extend(message.kind().to_le_bytes());
    ours.extend((message.flags() | request_and_ack).to_le_bytes());
    ours.extend(message.body());
    assert_eq!(rows(&ours), rows(&bytes(&text)), "{fixture}");
}

/// Reads commented hex, in which `00*1024` stands for that many zeros.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace) {
        let (byte, count) = word.split_once('*').unwrap_or((word, "1"));
        let byte = u8::from_str_radix(byte, 16).expect("two hex digits");
        bytes.resize(bytes.len() + count.parse::<usize>().expect("a count"), byte);
    }
    bytes
}

/// Prints four bytes a row, so that a failure shows where.
fn rows(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(4).enumerate().map(|(row, bytes)| format!("{:04x}: {bytes:02x?}", row * 4)).collect()
}
