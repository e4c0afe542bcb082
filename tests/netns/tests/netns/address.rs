//! Another address for a link, in the same command as its shape and its policy.
//!
//! The agent does this when a test plan asks for it; here a flag that nobody is told of does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use shaper::measure::ping;
use shaper::netlink::route::{self, Entry, Route};
use shaper::netlink::{self, address};
use shaper::policy::TABLE;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{kernel, wait};

/// What of a family the trials go by.
struct Names {
    family: Family,
    /// The address that `eth0` has.
    old: &'static str,
    /// The one that it gets.
    new: &'static str,
    /// The same with another length than that of its network, which counts.
    asked: &'static str,
    /// Where the router of the data network leads.
    far: &'static str,
    /// Where a route leads that somebody made, with a source.
    said: (&'static str, u8),
    /// All addresses.
    any: &'static str,
}

const V4: Names = Names {
    family: Family::V4,
    old: "10.77.0.1",
    new: "10.77.0.9",
    asked: "10.77.0.9/12",
    far: "10.99.0.1",
    said: ("10.78.0.0", 16),
    any: "0.0.0.0:0",
};
const V6: Names = Names {
    family: Family::V6,
    old: "fd00:77::1",
    new: "fd00:77::9",
    asked: "fd00:77::9/48",
    far: "fd00:99::1",
    said: ("fd00:78::", 64),
    any: "[::]:0",
};
/// What each link with IPv6 has usually, and those of a world have not.
const LINK_LOCAL: &str = "fe80::1";

impl Names {
    fn of(context: &Context) -> &'static Self {
        match context.family() {
            Family::V4 => &V4,
            Family::V6 => &V6,
        }
    }

    fn netlink(&self) -> netlink::Family {
        netlink::Family::of(ip(self.old))
    }

    /// The network, as routes and refusals say it.
    fn network(&self) -> &'static str {
        self.family.near_network()
    }

    /// An address of the network, as `ip address` takes it.
    fn in_network(&self, address: &str) -> String {
        format!("{address}/{}", self.family.prefix_len())
    }

    /// The addresses that `eth0` has afterwards.
    fn moved(&self) -> Vec<String> {
        let new = self.in_network(self.new);
        match self.family {
            Family::V4 => vec![new],
            Family::V6 => vec![format!("{LINK_LOCAL}/64"), new],
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// No command has more effects.
const STEPS_MAX: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    let faults = Case::once("each_fault_of_another_address", Load::Timing, faults).each_family();
    vec![
        Case::each_engine("another_address_comes_with_its_routes_and_its_policy", Load::Timing, comes)
            .each_family(),
        Case::once("another_address_takes_the_place_of_secondary_ones", Load::Light, secondary),
        Case::once("a_link_without_an_address_gets_one", Load::Light, first).each_family(),
        Case::once("an_address_that_cannot_be_is_refused_and_nothing_changed", Load::Light, refusals)
            .each_family(),
        Case::once("an_address_goes_back_when_its_policy_fails", Load::Light, goes_back).each_family(),
        faults.deadline(Duration::from_secs(300)),
    ]
}

/// Link 0 is the data network, with a router of which `inst` has routes; link 1 the control network.
fn world(names: &Names) -> World {
    let world = World::with_links(2).measured_over(names.family);
    let (far, bits) = (ip(names.far), names.netlink().bits());
    world.peer.request(address::add(&world.peer.device("lo"), far, bits));
    let dev = world.inst.device("eth0");
    let via = world.peer.address(names.family, 0);
    world.inst.request(route::add(&Route { to: Some((far, bits)), via, dev: Some(dev.clone()) }));
    // With a source that somebody said.
    let (to, prefix_len) = names.said;
    let said = Entry::on_link(ip(to), prefix_len, dev.ifindex, 254).with_source(ip(names.old));
    world.inst.request(said.replace(&|_| "eth0".to_owned()));
    if names.family == Family::V6 {
        world.inst.request(address::add(&dev, ip(LINK_LOCAL), 64));
        until_own(&world.inst, ip(LINK_LOCAL));
        until_own(&world.peer, far);
    }
    world
}

/// The kernel takes an address of IPv6 for its own a moment after it is there.
#[track_caller]
fn until_own(node: &Node, address: IpAddr) {
    wait::until("an address is the node's own", GONE_WITHIN, || {
        let routes = route::dump(&mut node.socket(), netlink::Family::of(address), None);
        let routes = routes.unwrap_or_else(|error| panic!("{error}"));
        routes.iter().any(|route| route.to == address && route.table == 255).then_some(())
    });
}

#[track_caller]
fn apply(world: &World, args: &[&str]) -> Output {
    world.shaper("apply", args).expect(Exit::Done)
}

fn answers(world: &World, host: IpAddr) -> bool {
    let train = ping::Train { count: 1, timeout: Duration::from_millis(300), ..Default::default() };
    world.ping_to(host, &train).rtt_ns[0].is_some()
}

/// Addresses of `eth0`, and routes with the sources they say, but for the tables that are the kernel's.
fn state(world: &World, names: &Names) -> (Vec<String>, Vec<String>) {
    let device = world.inst.device("eth0");
    let mut socket = world.inst.socket();
    let addresses =
        address::of_link(&mut socket, &device, names.netlink()).unwrap_or_else(|error| panic!("{error}"));
    let mut addresses: Vec<_> =
        addresses.iter().map(|entry| format!("{}/{}", entry.local, entry.prefix_len)).collect();
    if names.family == Family::V6 {
        // The kernel's order says nothing.
        addresses.sort_by_key(|address| !address.starts_with(LINK_LOCAL));
    }
    let routes = route::dump(&mut socket, names.netlink(), None).unwrap_or_else(|error| panic!("{error}"));
    let routes = routes.iter().filter(|route| route.table != 255);
    let mut routes: Vec<_> =
        routes.map(|route| route.replace(&|ifindex| format!("if{ifindex}")).command().to_owned()).collect();
    routes.sort();
    (addresses, routes)
}

/// Every route of the data link that said the old address says the new one, in the table of the policy, too.
#[track_caller]
fn expect_moved(world: &World, names: &Names, has_policy: bool) {
    let (addresses, routes) = state(world, names);
    assert_eq!(addresses, names.moved());
    let old = format!("src {} ", names.old);
    assert!(!routes.iter().any(|route| format!("{route} ").contains(&old)), "{routes:#?}");
    let has = |to: &str, table: u32, source: &str| {
        let begin = format!("{} route replace {to} ", names.netlink().ip());
        let is_one =
            |route: &&String| route.starts_with(&begin) && route.contains(&format!("table {table} "));
        assert!(
            routes.iter().filter(is_one).any(|route| route.contains(source)),
            "{to} in {table}: {routes:#?}"
        );
    };
    let tables = if has_policy { &[254, TABLE][..] } else { &[254] };
    let (said, prefix_len) = names.said;
    let source = format!("src {}", names.new);
    for table in tables {
        // The route of a network of IPv6 says no source.
        has(names.network(), *table, if names.family == Family::V4 { &source } else { " dev " });
        has(&format!("{said}/{prefix_len}"), *table, &source);
    }
    has(names.far, 254, &format!("via {}", world.peer.address(names.family, 0)));
}

const DENY: [&str; 4] = ["--dev", "eth0", "--policy", "deny-all"];

fn comes(context: &Context) {
    let names = Names::of(context);
    let world = world(names);
    let baseline_ns = world.baseline_ns();
    let before = world.snapshot();
    let engine = context.engine();
    // Open since before: a listener on all addresses, and a connection by the control network's.
    let listener = world.inst.run(|| TcpListener::bind(names.any)).expect("a port");
    let port = listener.local_addr().expect("its own").port();
    let call = |to: IpAddr| {
        let call = || TcpStream::connect_timeout(&SocketAddr::new(to, port), Duration::from_secs(2));
        let called = world.peer.run(call).unwrap_or_else(|error| panic!("{to}: {error}"));
        (called, listener.accept().expect("what was called").0)
    };
    let control = call(world.inst.address(names.family, 1));

    let shaped = [&DENY[..], &["--latency", "10ms", "--seed", "1"]].concat();
    world.apply(engine, &shaped);
    let had = world.snapshot();
    let moved = [&shaped[..], &["--address", names.asked]].concat();
    let dry = world.apply(engine, &[&moved[..], &["--dry-run"]].concat());
    let (old, new) = (names.in_network(names.old), names.in_network(names.new));
    let lines = match names.family {
        Family::V4 => vec![
            "ip address add 10.77.0.9/32 dev eth0".to_owned(),
            format!("ip address del {old} dev eth0"),
            format!("ip address add {new} dev eth0"),
            "ip address del 10.77.0.9/32 dev eth0".to_owned(),
            "ip route replace 10.77.0.0/24 table 254 proto kernel scope link src 10.77.0.9 dev eth0"
                .to_owned(),
            "ip route replace 10.77.0.0/24 table 23040 proto kernel scope link src 10.77.0.9 dev eth0"
                .to_owned(),
        ],
        Family::V6 => {
            vec![format!("ip address add {new} dev eth0 nodad"), format!("ip address del {old} dev eth0")]
        }
    };
    for line in lines {
        assert!(dry.stdout.contains(&format!("\n{line}\n")), "{line}: {dry}");
    }
    had.expect_same(&world.snapshot());

    world.apply(engine, &moved);
    expect_moved(&world, names, true);
    world.expect_rtt(baseline_ns + 10e6);
    // What asks for no address has the new one; the policy holds.
    let own = world.inst.run(|| {
        let socket = UdpSocket::bind(names.any)?;
        socket.connect((world.destination(), 9))?;
        socket.local_addr()
    });
    assert_eq!(own.expect("a way").ip(), ip(names.new));
    let refused =
        world.inst.run(|| UdpSocket::bind(names.any)?.connect((world.peer.address(names.family, 1), 9)));
    assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied));
    let called = call(ip(names.new));

    // The same again changes nothing, and connections live on.
    let (now, address) = (world.snapshot(), state(&world, names));
    let again = world.apply(engine, &moved);
    assert!(again.stdout.starts_with("unchanged: egress"), "{again}");
    now.expect_same(&world.snapshot());
    world.apply(engine, &[&moved[..], &["--jitter", "1ms"]].concat());
    assert_eq!(state(&world, names), address);
    // With a policy that lets everything pass, the one by the control network does so, too.
    apply(&world, &["--policy", "allow-all"]);
    for (mut near, mut far) in [called, control] {
        near.write_all(b"x").and_then(|()| far.read_exact(&mut [0])).expect("the connection lives");
        far.write_all(b"y").and_then(|()| near.read_exact(&mut [0])).expect("the connection lives");
    }
    expect_moved(&world, names, false);

    world.apply(engine, &["--dev", "eth0", "--latency", "10ms", "--address", &old]);
    world.clear();
    before.expect_same(&world.snapshot());
}

/// The kernel takes secondary addresses away with the first one, or not, as `promote_secondaries` says.
fn secondary(_: &Context) {
    for promote in ["0", "1"] {
        let world = world(&V4);
        let device = world.inst.device("eth0");
        let path = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries";
        world.inst.run(|| std::fs::write(path, promote)).expect("the setting is the namespace's own");
        let other = "10.77.0.8".parse().expect("an address");
        world.inst.request(address::add(&device, other, 24));
        // The new one is there already, as the last of them.
        world.inst.request(address::add(&device, ip(V4.new), 24));
        let beside = "10.76.0.1".parse().expect("an address");
        world.inst.request(address::add(&device, beside, 24));
        apply(&world, &[&DENY[..], &["--address", "10.77.0.9/16"]].concat());
        let (addresses, _) = state(&world, &V4);
        assert_eq!(addresses, ["10.76.0.1/24", "10.77.0.9/24"]);
        assert!(answers(&world, world.peer.ipv4(0)));
    }
}

fn first(context: &Context) {
    let names = Names::of(context);
    let world = World::over(names.family);
    let device = world.inst.device("eth0");
    let old = address::Entry::new(device.ifindex, ip(names.old), names.family.prefix_len());
    world.inst.request(old.delete(&device));
    let new = names.in_network(names.new);
    apply(&world, &[&DENY[..], &["--address", &new]].concat());
    assert_eq!(state(&world, names).0, [new]);
    assert!(answers(&world, world.destination()));
}

fn refusals(context: &Context) {
    let names = Names::of(context);
    let world = world(names);
    apply(&world, &DENY);
    let before = world.snapshot();
    let network = names.network();
    let cases = match names.family {
        Family::V4 => vec![
            ("10.78.0.9/12", format!("is in no network of `eth0`: give an address of {network}")),
            ("10.77.0.0/24", format!("10.77.0.0 is the address of {network}")),
            ("10.77.0.255/12", format!("10.77.0.255 is the broadcast address of {network}")),
        ],
        Family::V6 => vec![
            ("fd00:78::9/48", format!("is in no network of `eth0`: give an address of {network}")),
            ("fd00:77::/48", format!("fd00:77:: is the address of {network}")),
        ],
    };
    for (address, words) in cases {
        let output =
            world.shaper("apply", &[&DENY[..], &["--address", address]].concat()).expect(Exit::Usage);
        assert!(output.stderr.contains(&words), "{output}");
        before.expect_same(&world.snapshot());
    }
}

fn goes_back(context: &Context) {
    let names = Names::of(context);
    let world = world(names);
    let before = world.snapshot();
    let new = names.in_network(names.new);
    let args = [&DENY[..], &["--address", &new, "--keep", "198.51.100.7"]].concat();
    let output = world.shaper("apply", &args).expect(Exit::Usage);
    assert!(output.stderr.contains("198.51.100.7 cannot be kept: no route leads there"), "{output}");
    before.expect_same(&world.snapshot());
}

/// Each effect is refused once, and the command is killed once before and once behind each.
fn faults(context: &Context) {
    let names = Names::of(context);
    let had = [&DENY[..], &["--engine", "relay", "--latency", "3ms", "--seed", "1"]].concat();
    let wanted =
        [&DENY[..], &["--engine", "relay", "--latency", "9ms", "--seed", "2", "--address", names.asked]];
    // In User-mode Linux, the address and its policy alone: the rest is a trial of its own, and takes long.
    let (had, wanted) = if kernel::is_user_mode() {
        (DENY.to_vec(), [&DENY[..], &["--address", names.asked]].concat())
    } else {
        (had, wanted.concat())
    };
    let run = |world: &World, fault: String| {
        let mut shaper = world.command();
        shaper.env("SHAPER_FAULT", fault).arg("apply").arg("--ns").arg(world.inst.path());
        binary::run(shaper.args(&wanted))
    };
    let prepared = || {
        let world = world(names);
        apply(&world, &had);
        world
    };
    let world = prepared();
    let before = world.snapshot();
    let mut failures = 0;
    let output = loop {
        assert!(failures < STEPS_MAX, "no command has so many effects");
        let output = run(&world, format!("fail:{}", failures + 1));
        if output.exit == Exit::Done {
            break output;
        }
        let output = output.expect(Exit::Failed);
        assert!(output.stderr.contains("cannot ") && !output.stderr.contains("undoing"), "{output}");
        before.expect_same(&world.snapshot());
        failures += 1;
    };
    // Address, two routes and two copies, deletion, address, deletion; or address, a route and its copy, deletion.
    let least = if names.family == Family::V4 { 8 } else { 4 };
    assert!(failures >= least, "{failures}: {output}");
    expect_moved(&world, names, true);
    let done = state(&world, names);

    let mut kills = 0;
    'kills: loop {
        for kind in ["kill", "killafter"] {
            let world = prepared();
            let output = run(&world, format!("{kind}:{}", kills + 1));
            if output.exit == Exit::Done {
                break 'kills;
            }
            output.expect(Exit::Other(None));
            run(&world, String::new()).expect(Exit::Done);
            assert_eq!(state(&world, names), done, "{kind}:{}", kills + 1);
        }
        kills += 1;
        assert!(kills < STEPS_MAX, "no command has so many effects");
    }
    println!("{failures} effects refused, killed at {kills}");
    assert!(kills >= if names.family == Family::V4 { 3 } else { 2 }, "{kills}");
}
