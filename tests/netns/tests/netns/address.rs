//! Another IPv4 address for a link, in the same command as its shape and its policy.
//!
//! The agent does this when a test plan asks for it; here a flag that nobody is told of does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use shaper::measure::ping;
use shaper::netlink::route::{self, Entry, Route};
use shaper::netlink::{Family, address};
use shaper::policy::TABLE;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::kernel;
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::world::World;

const OLD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const NEW: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// Where the router of the data network leads.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// No command has more effects.
const STEPS_MAX: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    let faults = Case::once("each_fault_of_another_address", Load::Timing, faults);
    vec![
        Case::each_engine("another_address_comes_with_its_routes_and_its_policy", Load::Timing, comes),
        Case::once("another_address_takes_the_place_of_secondary_ones", Load::Light, secondary),
        Case::once("a_link_without_an_address_gets_one", Load::Light, first),
        Case::once("an_address_that_cannot_be_is_refused_and_nothing_changed", Load::Light, refusals),
        Case::once("an_address_goes_back_when_its_policy_fails", Load::Light, goes_back),
        faults.deadline(Duration::from_secs(300)),
    ]
}

/// Link 0 is the data network, with a router of which `inst` has routes; link 1 the control network.
fn world() -> World {
    let world = World::with_links(2);
    world.peer.request(address::add(&world.peer.device("lo"), FAR.into(), 32));
    let dev = Some(world.inst.device("eth0"));
    world.inst.request(route::add(&Route { to: Some((FAR.into(), 32)), via: world.peer.ipv4(0), dev }));
    // With a source that somebody said.
    let ifindex = world.inst.device("eth0").ifindex;
    let said = Entry::on_link([10, 78, 0, 0].into(), 16, ifindex, 254).with_source(OLD.into());
    world.inst.request(said.replace(&|_| "eth0".to_owned()));
    world
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
fn state(world: &World) -> (Vec<String>, Vec<String>) {
    let device = world.inst.device("eth0");
    let mut socket = world.inst.socket();
    let addresses = address::of_link(&mut socket, &device).unwrap_or_else(|error| panic!("{error}"));
    let addresses = addresses.iter().map(|entry| format!("{}/{}", entry.local, entry.prefix_len)).collect();
    let routes = route::dump(&mut socket, Family::V4, None).unwrap_or_else(|error| panic!("{error}"));
    let routes = routes.iter().filter(|route| route.table != 255);
    let mut routes: Vec<_> =
        routes.map(|route| route.replace(&|ifindex| format!("if{ifindex}")).command().to_owned()).collect();
    routes.sort();
    (addresses, routes)
}

/// Every route of the data link that said the old address says the new one, in the table of the policy, too.
#[track_caller]
fn expect_moved(world: &World, has_policy: bool) {
    let (addresses, routes) = state(world);
    assert_eq!(addresses, ["10.77.0.9/24"]);
    assert!(
        !routes.iter().any(|route| route.ends_with(" src 10.77.0.1") || route.contains("src 10.77.0.1 ")),
        "{routes:#?}"
    );
    let has = |to: &str, table: u32, source: &str| {
        let begin = format!("ip route replace {to} ");
        let is_one =
            |route: &&String| route.starts_with(&begin) && route.contains(&format!("table {table} "));
        assert!(
            routes.iter().filter(is_one).any(|route| route.contains(source)),
            "{to} in {table}: {routes:#?}"
        );
    };
    let tables = if has_policy { &[254, TABLE][..] } else { &[254] };
    for table in tables {
        has("10.77.0.0/24", *table, "src 10.77.0.9");
        has("10.78.0.0/16", *table, "src 10.77.0.9");
    }
    has("10.99.0.1", 254, "via 10.77.0.2");
}

const DENY: [&str; 4] = ["--dev", "eth0", "--policy", "deny-all"];

fn comes(context: &Context) {
    let world = world();
    let baseline_ns = world.baseline_ns();
    let before = world.snapshot();
    let engine = context.engine();
    // Open since before: a listener on all addresses, and a connection by the control network's.
    let listener = world.inst.run(|| TcpListener::bind("0.0.0.0:0")).expect("a port");
    let port = listener.local_addr().expect("its own").port();
    let call = |to: IpAddr| {
        let call = || TcpStream::connect_timeout(&SocketAddr::new(to, port), Duration::from_secs(2));
        let called = world.peer.run(call).unwrap_or_else(|error| panic!("{to}: {error}"));
        (called, listener.accept().expect("what was called").0)
    };
    let control = call(world.inst.ipv4(1));

    let shaped = [&DENY[..], &["--latency", "10ms", "--seed", "1"]].concat();
    world.apply(engine, &shaped);
    let had = world.snapshot();
    let moved = [&shaped[..], &["--address", "10.77.0.9/12"]].concat();
    let dry = world.apply(engine, &[&moved[..], &["--dry-run"]].concat());
    for line in [
        "\nip address add 10.77.0.9/32 dev eth0\n",
        "\nip address del 10.77.0.1/24 dev eth0\n",
        "\nip address add 10.77.0.9/24 dev eth0\n",
        "\nip address del 10.77.0.9/32 dev eth0\n",
        "\nip route replace 10.77.0.0/24 table 254 proto kernel scope link src 10.77.0.9 dev eth0\n",
        "\nip route replace 10.77.0.0/24 table 23040 proto kernel scope link src 10.77.0.9 dev eth0\n",
    ] {
        assert!(dry.stdout.contains(line), "{line}: {dry}");
    }
    had.expect_same(&world.snapshot());

    world.apply(engine, &moved);
    expect_moved(&world, true);
    world.expect_rtt(baseline_ns + 10e6);
    // What asks for no address has the new one; the policy holds.
    let own = world.inst.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect((world.peer.ipv4(0), 9))?;
        socket.local_addr()
    });
    assert_eq!(own.expect("a way").ip(), IpAddr::from(NEW));
    let refused = world.inst.run(|| UdpSocket::bind("0.0.0.0:0")?.connect((world.peer.ipv4(1), 9)));
    assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied));
    let called = call(NEW.into());

    // The same again changes nothing, and connections live on.
    let (now, address) = (world.snapshot(), state(&world));
    let again = world.apply(engine, &moved);
    assert!(again.stdout.starts_with("unchanged: egress"), "{again}");
    now.expect_same(&world.snapshot());
    world.apply(engine, &[&moved[..], &["--jitter", "1ms"]].concat());
    assert_eq!(state(&world), address);
    // With a policy that lets everything pass, the one by the control network does so, too.
    apply(&world, &["--policy", "allow-all"]);
    for (mut near, mut far) in [called, control] {
        near.write_all(b"x").and_then(|()| far.read_exact(&mut [0])).expect("the connection lives");
        far.write_all(b"y").and_then(|()| near.read_exact(&mut [0])).expect("the connection lives");
    }
    expect_moved(&world, false);

    world.apply(engine, &["--dev", "eth0", "--latency", "10ms", "--address", "10.77.0.1/24"]);
    world.clear();
    before.expect_same(&world.snapshot());
}

/// The kernel takes secondary addresses away with the first one, or not, as `promote_secondaries` says.
fn secondary(_: &Context) {
    for promote in ["0", "1"] {
        let world = world();
        let device = world.inst.device("eth0");
        let path = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries";
        world.inst.run(|| std::fs::write(path, promote)).expect("the setting is the namespace's own");
        let other = "10.77.0.8".parse().expect("an address");
        world.inst.request(address::add(&device, other, 24));
        // The new one is there already, as the last of them.
        world.inst.request(address::add(&device, NEW.into(), 24));
        let beside = "10.76.0.1".parse().expect("an address");
        world.inst.request(address::add(&device, beside, 24));
        apply(&world, &[&DENY[..], &["--address", "10.77.0.9/16"]].concat());
        let (addresses, _) = state(&world);
        assert_eq!(addresses, ["10.76.0.1/24", "10.77.0.9/24"]);
        assert!(answers(&world, world.peer.ipv4(0)));
    }
}

fn first(_: &Context) {
    let world = World::new();
    let device = world.inst.device("eth0");
    let old = address::Entry::new(device.ifindex, OLD, 24);
    world.inst.request(old.delete(&device));
    apply(&world, &[&DENY[..], &["--address", "10.77.0.9/24"]].concat());
    assert_eq!(state(&world).0, ["10.77.0.9/24"]);
    assert!(answers(&world, world.peer.ipv4(0)));
}

fn refusals(_: &Context) {
    let world = world();
    apply(&world, &DENY);
    let before = world.snapshot();
    for (address, words) in [
        ("10.78.0.9/12", "is in no network of `eth0`: give an address of 10.77.0.0/24"),
        ("10.77.0.0/24", "10.77.0.0 is the address of 10.77.0.0/24"),
        ("10.77.0.255/12", "10.77.0.255 is the broadcast address of 10.77.0.0/24"),
    ] {
        let output =
            world.shaper("apply", &[&DENY[..], &["--address", address]].concat()).expect(Exit::Usage);
        assert!(output.stderr.contains(words), "{output}");
        before.expect_same(&world.snapshot());
    }
}

fn goes_back(_: &Context) {
    let world = world();
    let before = world.snapshot();
    let args = [&DENY[..], &["--address", "10.77.0.9/24", "--keep", "198.51.100.7"]].concat();
    let output = world.shaper("apply", &args).expect(Exit::Usage);
    assert!(output.stderr.contains("198.51.100.7 cannot be kept: no route leads there"), "{output}");
    before.expect_same(&world.snapshot());
}

/// Each effect is refused once, and the command is killed once before and once behind each.
fn faults(_: &Context) {
    let had = [&DENY[..], &["--engine", "relay", "--latency", "3ms", "--seed", "1"]].concat();
    let wanted =
        [&DENY[..], &["--engine", "relay", "--latency", "9ms", "--seed", "2", "--address", "10.77.0.9/12"]];
    // In User-mode Linux, the address and its policy alone: the rest is a trial of its own, and takes long.
    let (had, wanted) = if kernel::is_user_mode() {
        (DENY.to_vec(), [&DENY[..], &["--address", "10.77.0.9/12"]].concat())
    } else {
        (had, wanted.concat())
    };
    let run = |world: &World, fault: String| {
        let mut shaper = world.command();
        shaper.env("SHAPER_FAULT", fault).arg("apply").arg("--ns").arg(world.inst.path());
        binary::run(shaper.args(&wanted))
    };
    let prepared = || {
        let world = world();
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
    // Address, two routes and two copies, deletion, address, deletion.
    assert!(failures >= 8, "{failures}: {output}");
    expect_moved(&world, true);
    let done = state(&world);

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
            assert_eq!(state(&world), done, "{kind}:{}", kills + 1);
        }
        kills += 1;
        assert!(kills < STEPS_MAX, "no command has so many effects");
    }
    println!("{failures} effects refused, killed at {kills}");
    assert!(kills >= 3, "{kills}");
}
