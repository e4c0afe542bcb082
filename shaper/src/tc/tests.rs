//! The kernel gives back what it was given: needs CAP_SYS_ADMIN, and skips the kinds that the kernel lacks.

use nix::errno::Errno;

use super::class::{self, Class};
use super::filter;
use super::qdisc::{self, Kind, Qdisc, fq, htb, netem};
use super::{Handle, Observed, Verb};
use crate::netlink::link::{self, Device, Settings};
use crate::netlink::{Error, Socket};
use crate::target::netns::{self, Netns};

/// Makes a namespace with an ifb; `None`, with the reason on stdout, where this process may not.
fn world(test: &str) -> Option<(Socket, Device)> {
    let netns = match Netns::create() {
        Ok(netns) => netns,
        Err(error @ netns::Error::Permission { .. }) => {
            println!("SKIP {test}: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let mut socket = netns.run(Socket::open).expect("just made").expect("a socket");
    let settings = Settings { name: Some("shi-1".into()), up: Some(true), ..Settings::default() };
    match socket.request(link::add("ifb", &settings)) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            println!("SKIP {test}: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let dev = link::by_name(&mut socket, "shi-1").expect("just made").device();
    Some((socket, dev))
}

/// Puts a qdisc on the device's root and reads it back; `None`, with the kernel's words on stdout, where it has none such.
fn observed(socket: &mut Socket, dev: &Device, kind: Kind) -> Option<Observed> {
    let qdisc = Qdisc { dev: dev.clone(), parent: Handle::ROOT, handle: Handle::qdisc(0x5a00), kind };
    match socket.request(qdisc.message(Verb::Replace)) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::ENOENT => {
            let name = qdisc.kind.name();
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot replace qdisc `{name}` on `shi-1` (parent root): ENOENT: \"Specified qdisc kind is unknown\""
                )
            );
            println!("SKIP {name}: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let dump = qdisc::dump(socket).expect("a dump");
    let observed = dump.into_iter().find(|observed| observed.ifindex == dev.ifindex).expect("just added");
    assert_eq!((observed.handle, observed.parent), (Handle::qdisc(0x5a00), Handle::ROOT));
    assert_eq!(observed.kind, qdisc.kind.name());
    Some(observed)
}

#[test]
fn fq_comes_back_as_sent() {
    let Some((mut socket, dev)) = world("fq_comes_back_as_sent") else {
        return;
    };
    let options = fq::Options {
        limit_packets: Some(20_000),
        flow_limit_packets: Some(10_000),
        buckets_log2: Some(11),
        quantum_bytes: Some(3028),
        initial_quantum_bytes: Some(15_140),
        pacing: Some(false),
        low_rate_threshold_bytes_per_sec: Some(68_750),
        orphan_mask: Some(255),
        timer_slack_ns: Some(20_000),
        horizon_us: Some(30_000_000),
        horizon_drop: Some(false),
    };
    let Some(observed) = observed(&mut socket, &dev, Kind::Fq(options.clone())) else {
        return;
    };
    assert_eq!(fq::Options::parse(&observed.options), options);
    assert!(observed.stats.app.len() >= 80, "the kernel tells fq's own counters");
    assert_eq!(fq::Stats::parse(&observed.stats.app).flows_plimit, 0);
}

#[test]
fn netem_comes_back_as_sent() {
    let Some((mut socket, dev)) = world("netem_comes_back_as_sent") else {
        return;
    };
    let table = (-100i16..100).map(|step| step * 160).collect();
    let options = netem::Options {
        limit_packets: 4321,
        delay_ns: 300_000_000_007,
        jitter_ns: 1_500_001,
        distribution: Some(netem::Distribution { name: "uniform".into(), table }),
        correlation: Some(netem::Correlation { delay: 1 << 30, loss: 0, duplicate: 1 << 29 }),
        loss: netem::Loss::GilbertElliott { p: 1, r: 2, one_minus_h: 3, one_minus_k: 4 },
        duplicate: 1 << 27,
        corrupt: Some(netem::Chance { probability: 5, correlation: 6 }),
        reorder: Some(netem::Chance { probability: 7, correlation: 8 }),
        gap: 9,
        rate: Some(netem::Rate {
            bytes_per_sec: 12_500_000_000,
            packet_overhead_bytes: -14,
            cell_bytes: 48,
            cell_overhead_bytes: 5,
        }),
        seed: Some(0x5a5a_0000_0001),
    };
    let Some(observed) = observed(&mut socket, &dev, Kind::Netem(options.clone())) else {
        return;
    };
    let parsed = netem::Options::parse(&observed.options).expect("long enough");
    // Kernels before 6.6 have no seed.
    assert!(parsed.seed.is_none() || parsed.seed == options.seed);
    assert_eq!(
        netem::Options { seed: options.seed, ..parsed },
        netem::Options { distribution: None, ..options }
    );
}

#[test]
fn htb_classes_come_back_as_sent() {
    let Some((mut socket, dev)) = world("htb_classes_come_back_as_sent") else {
        return;
    };
    let qdisc = htb::Qdisc { default_class: 1, ..htb::Qdisc::default() };
    let Some(_) = observed(&mut socket, &dev, Kind::Htb(qdisc)) else {
        return;
    };
    let parent = Handle::qdisc(0x5a00);
    let class = |minor, rate| Class {
        dev: dev.clone(),
        parent,
        classid: Handle::new(0x5a00, minor),
        options: htb::Class { quantum_bytes: Some(1514), ..htb::Class::with_rate(rate) },
    };
    let messages = (1..=300).map(|minor| class(minor, u64::from(minor) << 30).message(Verb::Add)).collect();
    socket.batch(messages).expect("600 KB of classes at once");
    socket.request(class(300, 1_250_000).message(Verb::Change)).expect("a class that is there");
    let rates: Vec<_> = class::dump(&mut socket, &dev)
        .expect("a dump")
        .iter()
        .map(|class| {
            let (rate, ceil) = htb::Class::parse_rates(&class.options).expect("present");
            assert_eq!(rate, ceil);
            (class.handle.minor(), rate)
        })
        .collect();
    assert_eq!(rates.len(), 300);
    for (minor, rate) in rates {
        let expected = if minor == 300 { 1_250_000 } else { u64::from(minor) << 30 };
        assert_eq!(rate, expected, "class {minor}");
    }
    socket.request(class(300, 1).message(Verb::Del)).expect("a class that is there");
    let error = socket.request(class(300, 1).message(Verb::Del)).expect_err("it is gone");
    assert_eq!(
        error.to_string(),
        "cannot delete htb class 5a00:12c from `shi-1` (parent 5a00:): ENOENT: No such file or directory"
    );
}

#[test]
fn deleting_spares_a_qdisc_of_another_kind() {
    let Some((mut socket, dev)) = world("deleting_spares_a_qdisc_of_another_kind") else {
        return;
    };
    let Some(_) = observed(&mut socket, &dev, Kind::Htb(htb::Qdisc::default())) else {
        return;
    };
    let other = Qdisc {
        dev: dev.clone(),
        parent: Handle::ROOT,
        handle: Handle::qdisc(0x5a00),
        kind: Kind::Netem(netem::Options::default()),
    };
    let error = socket.request(other.message(Verb::Del)).expect_err("it is an htb");
    assert!(matches!(error, Error::Refused { errno: Errno::EINVAL, .. }), "{error}");
}

#[test]
fn clsact_has_no_filters_at_first() {
    let Some((mut socket, dev)) = world("clsact_has_no_filters_at_first") else {
        return;
    };
    assert_eq!(filter::dump(&mut socket, &dev, Handle::EGRESS).expect("a dump"), []);
    let clsact = Qdisc::clsact(dev.clone());
    match socket.request(clsact.message(Verb::Add)) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::ENOENT => return println!("SKIP clsact: {error}"),
        Err(error) => panic!("{error}"),
    }
    let dump = qdisc::dump(&mut socket).expect("a dump");
    let observed = dump.iter().find(|observed| observed.kind == "clsact").expect("just added");
    assert_eq!((observed.ifindex, observed.parent), (dev.ifindex, Handle::CLSACT));
    assert_eq!(filter::dump(&mut socket, &dev, Handle::INGRESS).expect("a dump"), []);
    let error = socket.request(clsact.message(Verb::Add)).expect_err("there is one");
    assert_eq!(error.errno(), Errno::EEXIST);
    socket.request(clsact.message(Verb::Del)).expect("there is one");
}
