//! A world: two namespaces joined by links, and the commands and measurements of a trial.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shaper::measure::{ping, stats, tcp, udp};
use shaper::netlink::{address, link};

use crate::engine::Engine;
use crate::family::Family;
use crate::node::Node;
use crate::shaper::{self as binary, Exit, Output};
use crate::snapshot::Snapshot;
use crate::{bpf, process, progress, snapshot, tolerance, undisturbed, wait};

/// How long the pieces of a shape may take to go once `clear` is done or their owner is dead.
///
/// The kernel frees programs and maps after an RCU grace period, the relay ends on its own; both take milliseconds.
pub const GONE_WITHIN: Duration = Duration::from_secs(3);

/// Two namespaces: `inst`, whose links get shaped, and `peer`, the rest of the network.
///
/// The links are veth pairs `eth0`, `eth1`, ... with the same name at both ends; link `n` has `10.77.n.1` and `fd00:77:0:n::1`
/// in `inst`, and the same ending in 2 in `peer`. What is measured goes over link 0 and one family, unless an address is named.
#[derive(Debug)]
pub struct World {
    /// Where shapes are applied.
    pub inst: Node,
    /// The other end.
    pub peer: Node,
    family: Family,
    mark: String,
    selector: PathBuf,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Makes a world with one link, whose measurements go over IPv4.
    ///
    /// # Panics
    /// Without `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`.
    pub fn new() -> Self {
        Self::with_links(1)
    }

    /// Makes a world with `count` links.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn with_links(count: u8) -> Self {
        static WORLDS: AtomicUsize = AtomicUsize::new(0);
        progress::note("making the world");
        let inst = Node::new("inst", 1);
        let peer = Node::new("peer", 2);
        for link in 0..count {
            join(&inst, &peer, link);
        }
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let selector = inst.path();
        Self { inst, peer, family: Family::V4, mark, selector }
    }

    /// Makes a world with one link, whose measurements go over `family`.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn over(family: Family) -> Self {
        Self::new().measured_over(family)
    }

    /// The same, whose measurements go over `family`.
    #[must_use]
    pub fn measured_over(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Returns what measurements go over.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Returns where packets from `inst` go.
    pub fn destination(&self) -> IpAddr {
        self.peer.address(self.family, 0)
    }

    /// Returns where packets from `peer` go.
    pub fn origin(&self) -> IpAddr {
        self.inst.address(self.family, 0)
    }

    /// Makes `shaper` commands find `inst` by `name` instead of by a path.
    #[must_use]
    pub fn selected_by(mut self, name: &str) -> Self {
        self.selector = name.into();
        self
    }

    /// Returns a `shaper` command that carries the world's mark, with arguments still to come.
    pub fn command(&self) -> Command {
        let mut command = binary::command();
        command.env(process::MARK, &self.mark);
        command
    }

    /// Returns the environment that marks what a command leaves running, for commands built elsewhere.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Runs `shaper VERB --ns inst ARGS...`.
    #[track_caller]
    pub fn shaper(&self, verb: &str, args: &[&str]) -> Output {
        binary::run(self.command().arg(verb).arg("--ns").arg(&self.selector).args(args))
    }

    /// Runs `shaper apply` with the engine and returns how it ended.
    #[track_caller]
    pub fn try_apply(&self, engine: Engine, args: &[&str]) -> Output {
        self.shaper("apply", &[&["--engine", engine.name()], args].concat())
    }

    /// Runs `shaper apply` with the engine.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn apply(&self, engine: Engine, args: &[&str]) -> Output {
        self.try_apply(engine, args).expect(Exit::Done)
    }

    /// Runs `shaper apply` with the engine and `rules`, a file's text, on standard input, and returns how it ended.
    #[track_caller]
    pub fn try_apply_file(&self, engine: Engine, rules: &str) -> Output {
        let mut command = self.command();
        command.args(["apply", "--engine", engine.name(), "--file", "-", "--ns"]).arg(&self.selector);
        binary::run_fed(&mut command, rules.to_owned())
    }

    /// As [`World::try_apply_file`].
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn apply_file(&self, engine: Engine, rules: &str) -> Output {
        self.try_apply_file(engine, rules).expect(Exit::Done)
    }

    /// Runs `shaper clear`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn clear(&self) -> Output {
        self.shaper("clear", &[]).expect(Exit::Done)
    }

    /// Runs `shaper show --json`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn show(&self) -> crate::reading::Show {
        crate::reading::Show::new(self.shaper("show", &["--json"]).expect(Exit::Done).json())
    }

    /// Reads the state of both namespaces.
    #[track_caller]
    pub fn snapshot(&self) -> Snapshot {
        progress::note("taking a snapshot");
        Snapshot::of(&[&self.inst, &self.peer])
    }

    /// Reads the state of both namespaces with `ip` and `tc`; slower than [`World::snapshot`], and nothing where they are missing.
    #[track_caller]
    pub fn snapshot_by_iproute2(&self) -> Snapshot {
        progress::note("taking a snapshot with iproute2");
        Snapshot::by_iproute2(&[&self.inst, &self.peer])
    }

    /// Returns the live processes that this world's commands left.
    pub fn processes(&self) -> Vec<i32> {
        process::marked(&self.mark)
    }

    /// Checks that the world is as it was at `before`, and that no process and none of `objects` is left.
    ///
    /// # Panics
    /// With the differences.
    #[track_caller]
    pub fn expect_restored(&self, before: &Snapshot, objects: &bpf::Objects) {
        before.expect_same(&self.snapshot());
        wait::until("no process of the world is left", GONE_WITHIN, || {
            self.processes().is_empty().then_some(())
        });
        wait::until("the programs and maps are freed", GONE_WITHIN, || objects.are_gone().then_some(()));
    }

    /// Returns the programs and maps that the filters of `inst` hold now.
    #[track_caller]
    pub fn bpf_objects(&self) -> bpf::Objects {
        bpf::Objects::held_in(&self.inst)
    }

    /// Pings `peer` from `inst` on link 0.
    #[track_caller]
    pub fn ping(&self, train: &ping::Train) -> Pings {
        self.ping_to(self.destination(), train)
    }

    /// Pings `destination` from `inst`.
    #[track_caller]
    pub fn ping_to(&self, destination: IpAddr, train: &ping::Train) -> Pings {
        progress::note(format!("pinging {destination} {} times", train.count));
        let rtt_ns = self.inst.pinger(destination).run(train).unwrap_or_else(|error| panic!("{error}"));
        Pings { rtt_ns }
    }

    /// Pings `peer` from `inst` on link 0 and expects a median round trip of `expected_ns`.
    ///
    /// # Panics
    /// When it is another, three times over.
    #[track_caller]
    pub fn expect_rtt(&self, expected_ns: f64) {
        self.expect_rtt_held(1, expected_ns);
    }

    /// As [`World::expect_rtt`], when packets are held `times` on their way there and back.
    #[track_caller]
    pub fn expect_rtt_held(&self, times: u32, expected_ns: f64) {
        let train = ping::Train { count: 20, interval: Duration::from_millis(5), ..Default::default() };
        self.expect_rtt_to(self.destination(), &train, times, expected_ns);
    }

    /// As [`World::expect_rtt_held`], with a certain train to a certain address; returns the reading.
    #[track_caller]
    pub fn expect_rtt_to(
        &self,
        destination: IpAddr,
        train: &ping::Train,
        times: u32,
        expected_ns: f64,
    ) -> stats::Summary {
        undisturbed::reading(|| {
            let rtt = self.ping_to(destination, train).expect_all();
            let is_good = (rtt.p50 - expected_ns).abs() <= tolerance::rtt_median_ns(times);
            undisturbed::check(rtt, is_good, |rtt| format!("{expected_ns} ns expected: {rtt:?}"))
        })
    }

    /// Pings until the link's own round trip is known: neighbours resolved, caches warm.
    #[track_caller]
    pub fn baseline_ns(&self) -> f64 {
        self.baseline_to(self.destination())
    }

    /// As [`World::baseline_ns`], to a certain address.
    #[track_caller]
    pub fn baseline_to(&self, destination: IpAddr) -> f64 {
        let train = ping::Train { count: 30, interval: Duration::from_millis(2), ..Default::default() };
        // The least and not the median: what disturbs an unshaped link is not the link.
        self.ping_to(destination, &train).expect_all().min
    }

    /// Opens a pair of UDP ends, from `inst` to `peer` on link 0.
    #[track_caller]
    pub fn udp(&self) -> (udp::Sender, udp::Receiver) {
        let receiver = self.peer.udp_receiver(self.destination());
        (self.inst.udp_sender(&receiver), receiver)
    }

    /// Sends a packet train from `inst` to `peer` on link 0.
    #[track_caller]
    pub fn train(&self, train: &udp::Train) -> udp::Report {
        let (sender, receiver) = self.udp();
        progress::note(format!("sending a train of {} packets", train.count));
        udp::run(&sender, &receiver, train).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends over TCP from `inst` to `peer` on link 0 with the buffers that the kernel tunes by itself.
    #[track_caller]
    pub fn tcp(&self, flows: usize, bulk: &tcp::Bulk) -> tcp::Report {
        self.tcp_with(flows, bulk, tcp::Buffers::default())
    }

    /// As [`World::tcp`], with certain buffers.
    #[track_caller]
    pub fn tcp_with(&self, flows: usize, bulk: &tcp::Bulk, buffers: tcp::Buffers) -> tcp::Report {
        let listener = self.peer.tcp_listener(self.destination(), buffers);
        let callers = self.inst.tcp_callers(&listener, flows, buffers);
        progress::note(format!("sending on {flows} TCP flows for {:?}", bulk.warm_up + bulk.duration));
        tcp::run(&listener, callers, bulk).unwrap_or_else(|error| panic!("{error}"))
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for node in [&self.inst, &self.peer] {
            for (program, args) in [
                ("ip", &["-d", "-s", "link", "show"][..]),
                ("tc", &["-s", "-d", "qdisc", "show"]),
                ("tc", &["-s", "filter", "show", "dev", "eth0", "egress"]),
                ("tc", &["-s", "filter", "show", "dev", "eth0", "ingress"]),
                ("tc", &["-s", "class", "show", "dev", "eth0"]),
            ] {
                let Some(output) = node.output(program, args) else {
                    continue;
                };
                let stdout = String::from_utf8_lossy(&output.stdout);
                if !stdout.trim().is_empty() {
                    text.push_str(&format!("=== {}: {program} {}\n{stdout}", node.name(), args.join(" ")));
                }
            }
        }
        let shown = binary::run(self.command().args(["show", "--ns"]).arg(&self.selector));
        text.push_str(&format!("=== {shown}\n"));
        for pid in self.processes() {
            text.push_str(&format!("=== process {pid}: {}\n", process::command_line(pid)));
        }
        text
    }
}

/// The relay outlives its namespace's other users only for the moment it needs to see that; a failing trial says what there was.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
        for pid in self.processes() {
            process::kill_now(pid);
        }
    }
}

/// Round-trip times of a ping train.
#[derive(Clone, Debug)]
pub struct Pings {
    /// Nanoseconds per request; `None` for one without a reply.
    pub rtt_ns: Vec<Option<u64>>,
}

impl Pings {
    /// Summarises the replies.
    ///
    /// # Panics
    /// When a request stayed without one.
    #[track_caller]
    pub fn expect_all(&self) -> stats::Summary {
        let unanswered = self.rtt_ns.iter().filter(|rtt| rtt.is_none()).count();
        assert_eq!(unanswered, 0, "requests without a reply, of {}", self.rtt_ns.len());
        stats::Summary::of(self.rtt_ns.iter().flatten().copied()).expect("a train is not empty")
    }
}

/// Adds link `number` between the nodes, with addresses, and waits until it carries packets.
fn join(inst: &Node, peer: &Node, number: u8) {
    let name = format!("eth{number}");
    let near = link::Settings { name: Some(name.clone()), ..Default::default() };
    let far = link::Settings { netns: Some(peer.netns().as_fd()), ..near.clone() };
    inst.request(link::add_veth(&near, &far));
    for node in [inst, peer] {
        let device = node.device(&name);
        // Link-local addresses come with duplicate detection and reports to routers: traffic that is none of a trial's.
        let mode = Some(link::AddrGenMode::None);
        node.request(link::set(&device, &link::Settings { addr_gen_mode: mode, ..Default::default() }));
        node.request(link::set(&device, &link::Settings { up: Some(true), ..Default::default() }));
        node.request(address::add(&device, node.ipv4(number), 24));
        node.request(address::add(&device, node.ipv6(number), 64));
    }
    // The kernel notices the carrier a moment after the ends are up, and only then joins the groups of IPv6's neighbour discovery
    // and adds the routes of the addresses.
    for node in [inst, peer] {
        wait::until("the link is up", GONE_WITHIN, || snapshot::is_operational(node, &name).then_some(()));
        for address in [node.ipv4(number), node.ipv6(number)] {
            wait::until("the address has its route", GONE_WITHIN, || {
                snapshot::is_delivered(node, address).then_some(())
            });
        }
    }
}
