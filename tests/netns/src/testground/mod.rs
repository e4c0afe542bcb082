//! What Testground's runners make for the instances of a run, without Testground: for unmodified clients of its SDKs.
//!
//! ```text
//!   hub: bridge `control` 192.18.0.1, where the agent serves; bridge `data`; 198.51.100.1, which is outside of all
//!         │                          │
//!   i1: eth0 192.18.0.2/16     eth1 16.0.0.2/16      a namespace for its network, host name and mounts each
//!   i2: eth0 192.18.0.3/16     eth1 16.0.0.3/16
//! ```

mod instance;
mod outside;
mod plan;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use shaper::netlink::link::{self, Settings};
use shaper::netlink::{address, route};

use crate::agent::Agent;
use crate::directory::Directory;
use crate::node::Node;
use crate::shaper::{self as binary, Output};
use crate::world::GONE_WITHIN;
use crate::{process, progress, snapshot, wait};
use instance::Instance;
use outside::Outside;
pub use plan::{Plan, Sdk};

/// Where the agent serves the sync protocol, and what stays reachable under any policy.
pub const SYNC: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 18, 0, 1), 5050);
/// A web server that is reached by the default route only.
pub const OUTSIDE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 80);
/// The data network, as `TEST_SUBNET` says it.
pub const SUBNET: &str = "16.0.0.0/16";
const PREFIX_LEN: u8 = 16;

/// Instances of a run, their networks, and the agent that serves them.
#[derive(Debug)]
pub struct World {
    agent: Option<Agent>,
    instances: Vec<Instance>,
    _outside: Outside,
    hub: Node,
    run: String,
    plan: String,
    case: String,
    directory: Directory,
}

impl World {
    /// Makes the networks of a run of `case`, a case of the plan `plan`, with `count` instances.
    ///
    /// # Panics
    /// Without `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, and on a kernel without bridges.
    pub fn new(plan: &str, case: &str, count: u8) -> Self {
        static WORLDS: AtomicUsize = AtomicUsize::new(0);
        progress::note("making the world of a Testground run");
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let run = format!("testground-{}-{number}", std::process::id());
        let hub = hub();
        let instances = (1..=count).map(|number| Instance::new(&hub, number)).collect();
        let outside = Outside::open(&hub, OUTSIDE);
        let (plan, case) = (plan.to_owned(), case.to_owned());
        Self { agent: None, instances, _outside: outside, hub, run, plan, case, directory: Directory::new() }
    }

    /// Starts `shaper agent` in the hub and makes every instance known to it.
    ///
    /// # Panics
    /// When it does not come up, or refuses an instance; with what it said.
    #[track_caller]
    pub fn start_agent(&mut self) {
        let mut command = binary::command();
        command.env(process::MARK, &self.run);
        let agent = Agent::start(&self.hub, command, &["--sync", &SYNC.to_string()]);
        for instance in &self.instances {
            agent.register(instance.hostname(), &self.registration(instance));
        }
        self.agent = Some(agent);
    }

    /// Runs the plan in every instance at the same time, and returns how each ended.
    ///
    /// # Panics
    /// When one does not end in two minutes.
    #[track_caller]
    pub fn run(&self, plan: &Plan) -> Vec<Output> {
        progress::note(format!("running the case `{}` in {} instances", self.case, self.instances.len()));
        std::thread::scope(|scope| {
            let running: Vec<_> = self
                .instances
                .iter()
                .map(|instance| {
                    let mut command = plan.command();
                    self.prepare(&mut command, instance);
                    scope.spawn(move || binary::run_within(&mut command, plan::PATIENCE))
                })
                .collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended.map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    fn registration(&self, instance: &Instance) -> serde_json::Value {
        serde_json::json!({
            "ns": instance.netns_path(),
            "testground": {
                "hostname": instance.hostname(),
                "run": self.run,
                "plan": self.plan,
                "case": self.case,
                "dev": "eth1",
                "keep": [SYNC.ip()],
            },
        })
    }

    /// Makes the command one of the instance: its namespaces, and the environment that Testground's runners give it.
    fn prepare(&self, command: &mut Command, instance: &Instance) {
        let count = self.instances.len().to_string();
        let directory = self.directory.path().join(instance.hostname());
        fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let path = directory.display().to_string();
        let outside = format!("outside={OUTSIDE}");
        command.env_clear().current_dir(&directory).env(process::MARK, &self.run);
        // A JavaScript runtime is found, and speaks of its own files, by these.
        command.envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "HOME"));
        command.envs([
            ("TEST_PLAN", self.plan.as_str()),
            ("TEST_CASE", &self.case),
            ("TEST_RUN", &self.run),
            ("TEST_REPO", ""),
            ("TEST_BRANCH", ""),
            ("TEST_TAG", ""),
            ("TEST_OUTPUTS_PATH", &path),
            ("TEST_TEMP_PATH", &path),
            ("TEST_INSTANCE_COUNT", &count),
            ("TEST_INSTANCE_ROLE", ""),
            ("TEST_INSTANCE_PARAMS", &outside),
            ("TEST_SIDECAR", "true"),
            ("TEST_SUBNET", SUBNET),
            ("TEST_START_TIME", "2026-01-01T00:00:00Z"),
            ("TEST_CAPTURE_PROFILES", ""),
            ("TEST_GROUP_ID", "single"),
            ("TEST_GROUP_INSTANCE_COUNT", &count),
            ("TEST_DISABLE_METRICS", "true"),
            ("HOSTNAME", instance.hostname()),
            ("INFLUXDB_URL", "http://testground-influxdb:8086"),
            ("REDIS_HOST", "testground-redis"),
        ]);
        instance.enter(command);
    }
}

/// The agent leaves shapes as they are when it ends: relays run on until their namespaces are gone.
impl Drop for World {
    fn drop(&mut self) {
        self.agent = None;
        for pid in process::marked(&self.run) {
            process::kill_now(pid);
        }
    }
}

/// Says why this kernel cannot have such a world.
///
/// # Errors
/// The reason, as a skipped trial prints it.
pub fn available() -> Result<(), String> {
    let node = Node::new("a try", 1);
    let bridge = link::add("bridge", &Settings { name: Some("control".into()), ..Default::default() });
    node.socket().request(bridge).map_err(|error| format!("this kernel has no bridges: {error}"))
}

fn hub() -> Node {
    let hub = Node::new("hub", 1);
    for name in ["control", "data"] {
        hub.request(link::add("bridge", &Settings { name: Some(name.into()), ..Default::default() }));
        set_up(&hub, name, Settings::default());
    }
    hub.request(address::add(&hub.device("control"), (*SYNC.ip()).into(), PREFIX_LEN));
    hub.request(address::add(&hub.device("lo"), (*OUTSIDE.ip()).into(), 32));
    hub
}

/// Joins `node` to a bridge of the hub by a link that has the name `name` in it and carries `address`.
fn join(hub: &Node, node: &Node, name: &str, bridge: &str, port: &str, address: Ipv4Addr) {
    let near = Settings { name: Some(name.into()), ..Default::default() };
    let far = Settings { name: Some(port.into()), netns: Some(hub.netns().as_fd()), ..Default::default() };
    node.request(link::add_veth(&near, &far));
    set_up(hub, port, Settings { master: Some(hub.device(bridge)), ..Default::default() });
    set_up(node, name, Settings::default());
    node.request(address::add(&node.device(name), address.into(), PREFIX_LEN));
    wait::until("the link is up", GONE_WITHIN, || snapshot::is_operational(node, name).then_some(()));
}

fn set_up(node: &Node, name: &str, settings: Settings<'_>) {
    let device = node.device(name);
    // Link-local addresses come with reports to routers: traffic that is none of a trial's.
    let mode = Settings { addr_gen_mode: Some(link::AddrGenMode::None), ..Default::default() };
    node.request(link::set(&device, &mode));
    node.request(link::set(&device, &Settings { up: Some(true), ..settings }));
}

/// The way to all that is on no network of the instance.
fn route_by_hub(node: &Node) {
    let via = IpAddr::V4(*SYNC.ip());
    node.request(route::add(&route::Route { to: None, via, dev: Some(node.device("eth0")) }));
}
