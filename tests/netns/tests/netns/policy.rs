//! Routing policies: what stays reachable, what is refused, and that nothing of the user's routes is ever touched.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shaper::measure::ping;
use shaper::netlink::link::{self, Settings};
use shaper::netlink::route::{self, Entry, Route};
use shaper::netlink::rule::{Action, Rule};
use shaper::netlink::{Family, address};
use shaper::policy::{PREF, PROTOCOL, TABLE};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::shaper::{Exit, Output};
use shaper_netns_tests::wait;
use shaper_netns_tests::world::{GONE_WITHIN, World};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once(
            "policy_deny_all_refuses_what_is_not_kept_and_allow_all_gives_it_back",
            Load::Light,
            denies,
        ),
        Case::once("a_policy_with_another_keep_replaces_the_first_without_a_gap", Load::Light, replaces),
        Case::once("a_shape_and_a_policy_come_and_go_together", Load::Timing, with_a_shape),
        Case::once("a_policy_that_fails_takes_its_shape_back", Load::Light, all_or_nothing),
        Case::once("connections_over_the_data_network_survive_a_policy", Load::Light, connections),
        Case::once("a_route_changed_under_a_policy_is_what_allow_all_leaves", Load::Light, user_changes),
        Case::once("a_policy_killed_half_way_is_finished_or_cleared", Load::Light, half_way),
        Case::once("a_policy_is_mended_after_its_link_was_down", Load::Light, link_was_down),
        Case::once("a_policy_that_cannot_be_is_refused_and_nothing_changed", Load::Light, refusals),
    ]
}

/// Hosts of one family around `inst`, whose link 0 is the data network and link 1 the control network.
struct Hosts {
    /// On the data network.
    data: IpAddr,
    /// On the control network; the way to all others leads by `router`.
    kept: IpAddr,
    control: IpAddr,
    router: IpAddr,
    /// By the default route.
    far: IpAddr,
    kept_far: IpAddr,
}

/// A world with hosts of both families; all are addresses of `peer`.
fn world() -> (World, [Hosts; 2]) {
    let world = World::with_links(2);
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let hosts = [
        Hosts {
            data: world.peer.ipv4(0),
            router: world.peer.ipv4(1),
            kept: ip("10.77.1.3"),
            control: ip("10.77.1.4"),
            far: ip("10.99.0.1"),
            kept_far: ip("10.99.0.2"),
        },
        Hosts {
            data: world.peer.ipv6(0),
            router: world.peer.ipv6(1),
            kept: ip("fd00:77:0:1::3"),
            control: ip("fd00:77:0:1::4"),
            far: ip("fd00:99::1"),
            kept_far: ip("fd00:99::2"),
        },
    ];
    let (control, lo) = (world.peer.device("eth1"), world.peer.device("lo"));
    for hosts in &hosts {
        let bits = Family::of(hosts.data).bits();
        for (host, device) in
            [(hosts.kept, &control), (hosts.control, &control), (hosts.far, &lo), (hosts.kept_far, &lo)]
        {
            world.peer.request(address::add(device, host, bits));
        }
        let dev = Some(world.inst.device("eth1"));
        world.inst.request(route::add(&Route { to: None, via: hosts.router, dev }));
    }
    for hosts in &hosts {
        for host in hosts.all() {
            wait::until("every host answers", GONE_WITHIN, || answers(&world, host).then_some(()));
        }
    }
    (world, hosts)
}

impl Hosts {
    fn all(&self) -> [IpAddr; 6] {
        [self.data, self.kept, self.control, self.router, self.far, self.kept_far]
    }
}

fn answers(world: &World, host: IpAddr) -> bool {
    let train = ping::Train { count: 1, timeout: Duration::from_millis(300), ..Default::default() };
    world.ping_to(host, &train).rtt_ns[0].is_some()
}

fn any(host: IpAddr) -> SocketAddr {
    match host {
        IpAddr::V4(_) => "0.0.0.0:0".parse().expect("an address"),
        IpAddr::V6(_) => "[::]:0".parse().expect("an address"),
    }
}

/// Whether a connect to the host is refused with `EACCES`; nothing is sent.
fn is_refused(world: &World, host: IpAddr) -> bool {
    let connected = world.inst.run(|| UdpSocket::bind(any(host))?.connect((host, 9)));
    matches!(connected, Err(error) if error.kind() == ErrorKind::PermissionDenied)
}

/// Each way of a program to begin fails at once.
#[track_caller]
fn expect_refused(world: &World, host: IpAddr) {
    let kind = |result: std::io::Result<()>| result.map_err(|error| error.kind());
    let attempts = world.inst.run(|| {
        let socket = UdpSocket::bind(any(host))?;
        let sent = socket.send_to(b"x", (host, 9)).map(drop);
        let connected = socket.connect((host, 9));
        Ok::<_, std::io::Error>([kind(sent), kind(connected), kind(TcpStream::connect((host, 9)).map(drop))])
    });
    let attempts = attempts.expect("a socket can be bound");
    assert_eq!(attempts, [Err(ErrorKind::PermissionDenied); 3], "sendto, connect and TCP connect to {host}");
}

#[track_caller]
fn expect_answers(world: &World, host: IpAddr) {
    assert!(answers(world, host), "{host} does not answer");
}

#[track_caller]
fn apply(world: &World, args: &[&str]) -> Output {
    world.shaper("apply", args).expect(Exit::Done)
}

/// `apply --dev eth0 --policy deny-all` and a `--keep` for each host.
#[track_caller]
fn deny(world: &World, keep: &[IpAddr]) -> Output {
    let keep: Vec<String> = keep.iter().map(|host| format!("--keep={host}")).collect();
    let args = ["--dev", "eth0", "--policy", "deny-all"];
    apply(world, &[&args[..], &keep.iter().map(String::as_str).collect::<Vec<_>>()].concat())
}

fn denies(_: &Context) {
    let (world, hosts) = world();
    // Strict: what comes from a host without a route back is dropped, which kept hosts and their routers must not be.
    let strict = world.inst.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1"));
    strict.expect("the setting is the namespace's own");
    let before = world.snapshot();
    let before_by_iproute2 = world.snapshot_by_iproute2();

    // Open since before; what the kernel remembers of their way must not outlive the policy.
    let open = hosts.each_ref().map(|hosts| {
        world.inst.run(|| {
            let socket = UdpSocket::bind(any(hosts.far))?;
            socket.connect((hosts.control, 9)).map(|()| socket)
        })
    });
    let open = open.map(|socket| socket.expect("a UDP socket"));
    // The answer to it is an ICMP error, which the next call would return instead.
    let refused = |socket: &UdpSocket| {
        let _error_of_the_past = socket.take_error();
        socket.send(b"x").map_err(|error| error.kind())
    };
    for socket in &open {
        assert_eq!(refused(socket), Ok(1));
    }

    let keep = hosts.each_ref().map(|hosts| [hosts.kept, hosts.kept_far]).concat();
    let args = ["--dev", "eth0", "--policy", "deny-all"];
    let words: Vec<String> = keep.iter().map(|host| format!("--keep={host}")).collect();
    let words = [&args[..], &words.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let dry = apply(&world, &[&words[..], &["--dry-run"]].concat());
    assert!(dry.stdout.contains("ip rule add pref 91 protocol 90 prohibit"), "{dry}");
    assert!(dry.stdout.contains("ip -6 route replace fd00:77:0:1::3 table 23040"), "{dry}");
    before.expect_same(&world.snapshot());

    let output = deny(&world, &keep);
    assert!(output.stdout.starts_with("added: policy of"), "{output}");
    for hosts in &hosts {
        for host in [hosts.data, hosts.kept, hosts.kept_far, hosts.router] {
            expect_answers(&world, host);
        }
        for host in [hosts.control, hosts.far] {
            expect_refused(&world, host);
        }
    }
    for socket in &open {
        assert_eq!(refused(socket), Err(ErrorKind::PermissionDenied), "a socket that was connected before");
    }
    for own in ["127.0.0.1", "::1", "10.77.1.1", "fd00:77:0:1::1"] {
        expect_answers(&world, own.parse().expect("an address"));
    }
    let show = world.shaper("show", &["--json"]).expect(Exit::Done).json();
    let policy = &show["policies"][0];
    assert_eq!(
        (policy["policy"].as_str(), policy["link"].as_str()),
        (Some("deny-all"), Some("eth0")),
        "{show:#}"
    );
    let kept: Vec<&str> =
        policy["kept"].as_array().into_iter().flatten().filter_map(|row| row["to"].as_str()).collect();
    assert!(keep.iter().all(|host| kept.contains(&host.to_string().as_str())), "{show:#}");
    assert!(world.shaper("show", &[]).stdout.contains("deny-all but the network of `eth0`"));

    let denied = world.snapshot();
    let again = deny(&world, &keep);
    assert!(again.stdout.starts_with("unchanged: policy of"), "{again}");
    denied.expect_same(&world.snapshot());

    apply(&world, &["--policy", "allow-all"]);
    before.expect_same(&world.snapshot());
    before_by_iproute2.expect_same(&world.snapshot_by_iproute2());
    for host in hosts.iter().flat_map(Hosts::all) {
        expect_answers(&world, host);
    }
    for socket in &open {
        assert_eq!(refused(socket), Ok(1));
    }
    assert!(apply(&world, &["--policy", "allow-all"]).stdout.starts_with("unchanged: policy of"));
    assert_eq!(world.shaper("show", &["--json"]).json()["policies"], serde_json::json!([]));

    deny(&world, &keep);
    let cleared = world.clear();
    assert!(cleared.stdout.contains("cleared: policy of"), "{cleared}");
    world.expect_restored(&before, &Default::default());
}

/// While others come and go, what is kept all the time never fails, and what is never kept never passes.
fn replaces(_: &Context) {
    let (world, hosts) = world();
    let before = world.snapshot();
    let always = hosts.each_ref().map(|hosts| hosts.kept_far);
    let first = [always, hosts.each_ref().map(|hosts| hosts.kept)].concat();
    let second = [always, hosts.each_ref().map(|hosts| hosts.far)].concat();
    deny(&world, &first);
    let never = hosts.each_ref().map(|hosts| hosts.control);
    watching(&world, &hosts, &never, || {
        for _ in 0..10 {
            let changed = deny(&world, &second);
            assert!(changed.stdout.starts_with("changed: policy of"), "{changed}");
            deny(&world, &first);
        }
    });
    // Nor does it fail while the policy comes and goes.
    watching(&world, &hosts, &[], || {
        for _ in 0..10 {
            apply(&world, &["--policy", "allow-all"]);
            deny(&world, &first);
            world.clear();
            deny(&world, &first);
        }
    });
    deny(&world, &second);
    for hosts in &hosts {
        expect_answers(&world, hosts.far);
        expect_refused(&world, hosts.kept);
    }
    deny(&world, &[]);
    for hosts in &hosts {
        expect_answers(&world, hosts.data);
        expect_refused(&world, hosts.far);
        expect_refused(&world, hosts.router);
    }
    apply(&world, &["--policy", "allow-all"]);
    before.expect_same(&world.snapshot());
}

/// Looks as often as can be, while `change` runs, that data network and kept host can be reached and `never` cannot.
fn watching(world: &World, hosts: &[Hosts; 2], never: &[IpAddr], change: impl FnOnce()) {
    /// Also when `change` panics, or the scope would wait for ever.
    struct EndsAtLast<'a>(&'a AtomicBool);
    impl Drop for EndsAtLast<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let always: Vec<IpAddr> = hosts.iter().flat_map(|hosts| [hosts.data, hosts.kept_far]).collect();
    let connect = |host: &IpAddr| {
        let connected = UdpSocket::bind(any(*host)).and_then(|socket| socket.connect((*host, 9)));
        connected.map_err(|error| error.kind())
    };
    let done = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            world.inst.run(|| {
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) {
                    for host in &always {
                        assert_eq!(connect(host), Ok(()), "{host} after {rounds} rounds");
                    }
                    for host in never {
                        let refused = Err(ErrorKind::PermissionDenied);
                        assert_eq!(connect(host), refused, "{host} after {rounds} rounds");
                    }
                    rounds += 1;
                }
                rounds
            })
        });
        let ends = EndsAtLast(&done);
        change();
        drop(ends);
        watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    println!("looked {rounds} times");
}

fn with_a_shape(_: &Context) {
    let (world, hosts) = world();
    let baseline_ns = world.baseline_ns();
    let before = world.snapshot();
    apply(&world, &["--dev", "eth0", "--latency", "20ms", "--policy", "deny-all", "--for", "1h"]);
    world.expect_rtt(baseline_ns + 20e6);
    hosts.iter().for_each(|hosts| expect_refused(&world, hosts.far));
    // A shape alone leaves the policy, a policy alone the shape.
    apply(&world, &["--dev", "eth0", "--latency", "10ms"]);
    hosts.iter().for_each(|hosts| expect_refused(&world, hosts.far));
    apply(&world, &["--policy", "allow-all"]);
    world.expect_rtt(baseline_ns + 10e6);
    hosts.iter().for_each(|hosts| expect_answers(&world, hosts.far));
    apply(&world, &["--dev", "eth0", "--latency", "10ms", "--policy", "deny-all"]);
    assert_eq!(world.show().attachments(), 1);
    let objects = world.bpf_objects();
    world.clear();
    world.expect_restored(&before, &objects);
}

/// The kernel takes no copy of a route whose router it has no route to any more, while the route itself goes on.
fn all_or_nothing(_: &Context) {
    let (world, hosts) = world();
    let denied = ["--dev", "eth0", "--latency", "20ms", "--policy", "deny-all", "--keep", "10.99.0.1"];
    for had in [None, Some([hosts[0].kept, hosts[1].kept_far])] {
        if let Some(had) = had {
            deny(&world, &had);
        }
        let network = take_away_the_network_of_the_router(&world);
        let before = world.snapshot();
        let output = world.shaper("apply", &denied).expect(Exit::Failed);
        assert!(
            output.stderr.contains("10.99.0.1 via 10.77.1.2") && output.stderr.contains("invalid gateway"),
            "{output}"
        );
        world.expect_restored(&before, &Default::default());
        world.inst.request(network.replace(&name));
        expect_answers(&world, hosts[0].kept);
    }
}

fn take_away_the_network_of_the_router(world: &World) -> Entry {
    let routes = route::dump(&mut world.inst.socket(), Family::V4, Some(libc::RT_TABLE_MAIN.into()));
    let eth1 = world.inst.device("eth1").ifindex;
    let mut routes = routes.expect("a dump").into_iter();
    let network = routes.find(|route| route.is_on_link(eth1)).expect("the link's network");
    world.inst.request(network.delete(&name));
    network
}

fn name(ifindex: u32) -> String {
    format!("if{ifindex}")
}

fn connections(_: &Context) {
    let (world, hosts) = world();
    let open = hosts.each_ref().map(|hosts| {
        let listener = world.peer.run(|| TcpListener::bind((hosts.data, 0))).expect("a listener");
        let to = listener.local_addr().expect("bound");
        let near = world.inst.run(|| TcpStream::connect(to)).expect("the data network carries TCP");
        let (far, _) = listener.accept().expect("connected");
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(GONE_WITHIN)).expect("a timeout");
        }
        (near, far)
    });
    let exchange = |when: &str| {
        for (near, far) in &open {
            for (mut from, mut to) in [(near, far), (far, near)] {
                let mut byte = [0];
                from.write_all(b"x").and_then(|()| to.read_exact(&mut byte)).unwrap_or_else(|error| {
                    panic!("{when}: {error}");
                });
            }
        }
    };
    exchange("before");
    deny(&world, &[hosts[0].kept]);
    exchange("denied");
    deny(&world, &[hosts[1].far]);
    exchange("denied with another keep");
    apply(&world, &["--policy", "allow-all"]);
    exchange("allowed");
}

fn user_changes(_: &Context) {
    let (world, hosts) = world();
    let change = || {
        for hosts in &hosts {
            let table = Some(libc::RT_TABLE_MAIN.into());
            let family = Family::of(hosts.far);
            let routes = route::dump(&mut world.inst.socket(), family, table).expect("a dump");
            let default: &Entry = routes.iter().find(|route| route.prefix_len == 0).expect("a default route");
            world.inst.request(default.delete(&name));
            let (to, dev) = (Some((hosts.far, family.bits())), Some(world.inst.device("eth1")));
            world.inst.request(route::add(&Route { to, via: hosts.router, dev }));
        }
    };
    deny(&world, &[hosts[0].far]);
    change();
    hosts.iter().for_each(|hosts| expect_refused(&world, hosts.control));
    apply(&world, &["--policy", "allow-all"]);
    let after = world.snapshot();
    for hosts in &hosts {
        expect_answers(&world, hosts.far);
        assert!(!is_refused(&world, hosts.control));
    }

    deny(&world, &[]);
    world.clear();
    after.expect_same(&world.snapshot());
}

/// What is left when the command is killed after its first batch, and what a person can leave.
fn half_way(_: &Context) {
    let (world, hosts) = world();
    let before = world.snapshot();
    let eth0 = world.inst.device("eth0").ifindex;
    let lookup = |family| Rule::new(family, PREF, PROTOCOL, Action::Lookup(TABLE));
    let prohibit = |family| Rule::new(family, PREF + 1, PROTOCOL, Action::Prohibit);
    let begin = || {
        let stale = Entry::on_link(hosts[0].far, 32, eth0, TABLE);
        world.inst.request(stale.replace(&name));
        Family::ALL.iter().for_each(|family| world.inst.request(lookup(*family).add()));
    };
    let state =
        || world.shaper("show", &["--json"]).expect(Exit::Done).json()["policies"][0]["policy"].clone();

    begin();
    assert_eq!(state(), "incomplete");
    deny(&world, &[hosts[0].kept_far]);
    assert_eq!(state(), "deny-all");
    expect_refused(&world, hosts[0].far);
    expect_answers(&world, hosts[0].kept_far);
    world.inst.request(prohibit(Family::V6).delete());
    assert_eq!(state(), "incomplete");
    expect_answers(&world, hosts[1].far);
    deny(&world, &[hosts[0].kept_far]);
    expect_refused(&world, hosts[1].far);
    world.clear();
    world.expect_restored(&before, &Default::default());

    begin();
    world.clear();
    world.expect_restored(&before, &Default::default());
    begin();
    apply(&world, &["--policy", "allow-all"]);
    world.expect_restored(&before, &Default::default());
}

/// The kernel deletes the routes of a link that goes down, ours too, and brings only the user's own back.
fn link_was_down(_: &Context) {
    let (world, hosts) = world();
    let [v4, _] = &hosts;
    deny(&world, &[v4.kept]);
    let eth0 = world.inst.device("eth0");
    for up in [false, true] {
        world.inst.request(link::set(&eth0, &Settings { up: Some(up), ..Default::default() }));
    }
    expect_refused(&world, v4.data);
    expect_refused(&world, v4.far);
    expect_answers(&world, v4.kept);
    let mended = deny(&world, &[v4.kept]);
    assert!(mended.stdout.starts_with("changed: policy of"), "{mended}");
    wait::until("the data network answers", GONE_WITHIN, || answers(&world, v4.data).then_some(()));
    expect_refused(&world, v4.far);
}

fn refusals(_: &Context) {
    let world = World::with_links(2);
    let before = world.snapshot();
    for (args, words) in [
        (&["--policy", "deny-all"][..], &["eth0", "eth1", "--dev"][..]),
        (&["--policy", "deny-all", "--dev", "eth9"], &["eth9", "eth0"]),
        (
            &["--policy", "deny-all", "--dev", "eth0", "--keep", "10.99.0.1"],
            &["10.99.0.1 cannot be kept", "no route"],
        ),
        (
            &["--policy", "deny-all", "--dev", "eth0", "--keep", "fd00:99::/64"],
            &["fd00:99::/64 cannot be kept"],
        ),
        (
            &["--latency", "5ms", "--policy", "deny-all", "--dev", "eth0", "--keep", "10.99.0.1"],
            &["10.99.0.1 cannot be kept"],
        ),
    ] {
        let output = world.shaper("apply", args).expect(Exit::Usage);
        assert!(words.iter().all(|word| output.stderr.contains(word)), "{output}");
        world.expect_restored(&before, &Default::default());
    }
    // `allow-all` is of no link.
    apply(&world, &["--policy", "allow-all"]);

    let local =
        |pref| Rule::new(Family::V4, pref, libc::RTPROT_KERNEL, Action::Lookup(libc::RT_TABLE_LOCAL.into()));
    world.inst.request(local(100).add());
    world.inst.request(local(0).delete());
    let output = world.shaper("apply", &["--policy", "deny-all", "--dev", "eth0"]).expect(Exit::Failed);
    assert!(
        output.stderr.contains("table `local`") && output.stderr.contains("ip rule add pref 0"),
        "{output}"
    );
}
