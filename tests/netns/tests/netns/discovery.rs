//! Containers that are shaped by name, and those that the agent finds by their labels.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use shaper::target::netns::Netns;
use shaper::testground::client::Client;
use shaper::testground::keys::Run;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::directory::Directory;
use shaper_netns_tests::docker::{self, BUSYBOX, Dockerd};
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::{http, undisturbed, wait};

/// How long the agent may take from the start of a container to its shape.
const SHAPED_WITHIN: Duration = Duration::from_secs(1);
const GONE_WITHIN: Duration = Duration::from_secs(3);
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How much later than asked a reply may come, in ms: it is busybox that reads the clock.
const LATE_MS: f64 = 10.0;
/// Below this nothing is delayed, in ms.
const AT_ONCE_MS: f64 = 5.0;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::once("container_is_shaped_shown_and_cleared_by_name_and_id", Load::Timing, by_name),
        Case::once("container_registered_by_name_is_known_after_its_restart", Load::Timing, registered),
        Case::once("container_labels_shape_the_named_network_alone", Load::Timing, labels),
        Case::once("container_with_wrong_labels_is_told_and_left_alone", Load::Light, wrong_labels),
        Case::once("container_stays_shaped_when_the_agent_is_killed", Load::Timing, killed),
        Case::once("container_is_found_again_when_the_runtime_comes_back", Load::Light, comes_back),
        Case::once("container_of_testgrounds_is_configured_by_what_it_publishes", Load::Timing, testground),
    ]
    .map(|case| case.when(docker::available).deadline(Duration::from_secs(90)))
    .into()
}

/// A daemon with networks `front` and `data`.
struct Docker {
    node: Node,
    dockerd: Dockerd,
}

impl Docker {
    fn start() -> Self {
        let node = Node::new("host", 1);
        let dockerd = Dockerd::start(&node);
        dockerd.build_busybox();
        let docker = Self { node, dockerd };
        docker.network("front", "192.18.0.0/24");
        docker.network("data", "16.0.0.0/16");
        docker
    }

    fn network(&self, name: &str, subnet: &str) {
        // As compose makes them: with a name of its own, and the one in the file as a label.
        let label = format!("--label=com.docker.compose.network={name}");
        let own = format!("shop_{name}");
        self.dockerd.docker(&["network", "create", "--subnet", subnet, &label, &own]);
    }

    /// Starts a container on both networks.
    fn run(&self, name: &str, options: &[&str]) {
        let create = [&["create", "--name", name, "--network=shop_front"], options, &[BUSYBOX]].concat();
        self.dockerd.docker(&create);
        self.dockerd.docker(&["network", "connect", "shop_data", name]);
        self.dockerd.docker(&["start", name]);
    }

    fn address(&self, name: &str, network: &str) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"shop_{network}\").IPAddress}}}}");
        self.dockerd.inspect(name, &format)
    }

    /// A command of the binary, beside the daemon.
    fn command(&self) -> Command {
        let mut command = self.dockerd.command(&binary::binary());
        self.dockerd.lead(&mut command);
        command
    }

    fn shaper(&self, args: &[&str]) -> Output {
        binary::run(self.command().args(args))
    }

    fn agent(&self, args: &[&str]) -> Agent {
        let socket = format!("unix:{}", self.dockerd.socket().display());
        Agent::start(&self.node, self.command(), &[&["--docker", &socket], args].concat())
    }

    /// The least round trip from a container to an address, in ms.
    fn rtt_ms(&self, from: &str, to: &str) -> f64 {
        let said = self.dockerd.exec(from, &["ping", "-c", "5", "-i", "0.1", "-W", "2", to]);
        let found = said.split("min/avg/max = ").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        found.unwrap_or_else(|| panic!("{said}"))
    }

    #[track_caller]
    fn expect_rtt(&self, from: &str, to: &str, ms: f64) {
        let range = if ms > 0.0 { ms..ms + LATE_MS } else { 0.0..AT_ONCE_MS };
        undisturbed::reading(|| {
            undisturbed::check(self.rtt_ms(from, to), true, |_| String::new()).and_then(|rtt| {
                undisturbed::check(rtt, range.contains(&rtt), |rtt| {
                    format!("{from} to {to}: {rtt} ms, not {ms}")
                })
            })
        });
    }
}

#[track_caller]
fn get(agent: &Agent, target: &str) -> Value {
    let (status, answer) = agent.call("GET", target, "");
    assert_eq!(status, 200, "GET {target}: {answer}");
    serde_json::from_str(&answer).expect("an answer is JSON")
}

/// The links of an instance that are shaped; none where there is no such instance.
fn shaped(agent: &Agent, name: &str) -> Vec<String> {
    let (_, answer) = agent.call("GET", &format!("/v1/instances/{name}"), "");
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let links = answer["attachments"].as_array().into_iter().flatten();
    links.filter_map(|row| row["link"].as_str().map(str::to_owned)).collect()
}

#[track_caller]
fn until_shaped(agent: &Agent, name: &str) -> Duration {
    wait::until(&format!("`{name}` is shaped"), SHAPED_WITHIN, || {
        (!shaped(agent, name).is_empty()).then_some(())
    })
    .1
}

fn by_name(_: &Context) {
    let docker = Docker::start();
    docker.dockerd.run("one", &["--network=shop_data", BUSYBOX]);
    docker.dockerd.run("two", &["--network=shop_data", BUSYBOX]);
    let two = docker.address("two", "data");
    docker.expect_rtt("one", &two, 0.0);
    let id = docker.dockerd.inspect("one", "{{.Id}}");
    for name in ["one", &id[..12]] {
        let said =
            docker.shaper(&["apply", "--container", name, "--latency", "40ms"]).expect(Exit::Done).stdout;
        assert!(said.contains(&format!("in `container {name}`")), "{said}");
        docker.expect_rtt("one", &two, 40.0);
        let shown = docker.shaper(&["show", "--json", "--container", name]).expect(Exit::Done).json();
        assert_eq!(shown["attachments"][0]["namespace"], format!("container {name}"), "{shown}");
        // Who has its network is the same instance.
        let sharer = ["--network=container:one", BUSYBOX];
        docker.dockerd.run("sharer", &sharer);
        let shown = docker.shaper(&["show", "--container", "sharer"]).expect(Exit::Done).stdout;
        assert!(shown.contains("latency 40ms"), "{shown}");
        docker.dockerd.remove("sharer");
        let traced = docker.shaper(&["clear", "--container", name]).expect(Exit::Done).stdout;
        assert!(traced.contains(&format!("in `container {name}`")), "{traced}");
        docker.expect_rtt("one", &two, 0.0);
    }
    refusals(&docker);
}

fn refusals(docker: &Docker) {
    let refused = |name: &str, exit, words: &[&str]| {
        let output = docker.shaper(&["apply", "--container", name, "--latency", "1ms"]).expect(exit);
        for word in words {
            assert!(output.stderr.contains(word), "{output}");
        }
    };
    docker.dockerd.run("host", &["--network=host", BUSYBOX]);
    docker.dockerd.run("sharer", &["--network=container:host", BUSYBOX]);
    docker.dockerd.docker(&["create", "--name=stopped", BUSYBOX]);
    refused("nobody", Exit::Usage, &["`nobody`", "host, one, sharer, two"]);
    refused("a/b", Exit::Usage, &["`a/b` cannot be"]);
    refused("stopped", Exit::Usage, &["`stopped` is not running (created)"]);
    for name in ["host", "sharer"] {
        refused(name, Exit::Usage, &[&format!("`{name}` has the network of the host"), "by the process"]);
    }
    let over = |host: &str| {
        let mut command = docker.command();
        binary::run(command.env("DOCKER_HOST", host).args(["show", "--container", "one"]))
    };
    let away = over("unix:///nowhere/docker.sock").expect(Exit::Unreachable);
    assert!(away.stderr.contains("`/nowhere/docker.sock`"), "{away}");
    let remote = over("tcp://127.0.0.1:2375").expect(Exit::Usage);
    assert!(remote.stderr.contains("DOCKER_HOST is `tcp://127.0.0.1:2375`"), "{remote}");
    // Where the runtime's process ids mean others, nobody else's network is shaped.
    let mut outside = binary::command();
    docker.dockerd.lead(&mut outside);
    let outside = binary::run(outside.args(["show", "--container", "one"])).expect(Exit::Failed);
    assert!(outside.stderr.contains("process ids are others"), "{outside}");
}

fn labels(_: &Context) {
    let docker = Docker::start();
    let agent = docker.agent(&[]);
    let labels = ["--label=shaper.latency=30ms", "--label=shaper.network=data"];
    let mut took = Vec::new();
    for name in ["one", "two"] {
        docker.run(name, &labels);
        took.push(until_shaped(&agent, name));
    }
    docker.dockerd.run("other", &["--network=shop_data", BUSYBOX]);
    println!("shaped {took:?} after their start");
    let (data, front) = (docker.address("two", "data"), docker.address("two", "front"));
    docker.expect_rtt("one", &data, 60.0);
    docker.expect_rtt("one", &front, 0.0);
    assert_eq!(get(&agent, "/v1/instances/one")["registration"]["container"], "one");
    assert_eq!(get(&agent, "/v1/instances/one")["namespace"], "container one");
    assert!(shaped(&agent, "other").is_empty());

    docker.dockerd.docker(&["restart", "--time=0", "two"]);
    until_shaped(&agent, "two");
    docker.expect_rtt("one", &docker.address("two", "data"), 60.0);

    // What somebody wants of it later stays, whatever happens to it but a start.
    let rules = json!({ "direction": "egress", "rules": [{ "latency": "50ms" }] });
    let link = format!("/v1/instances/two/links/{}", shaped(&agent, "two")[0]);
    assert_eq!(agent.call("PUT", &link, &rules.to_string()).0, 200);
    docker.dockerd.docker(&["network", "connect", "bridge", "two"]);
    docker.expect_rtt("one", &docker.address("two", "data"), 80.0);

    docker.dockerd.docker(&["network", "disconnect", "shop_data", "two"]);
    wait::until("the agent says that the network is gone", SHAPED_WITHIN, || {
        get(&agent, "/v1/instances/two")["failed"]
            .as_str()
            .is_some_and(|why| why.contains("not on network `data`"))
            .then_some(())
    });
    docker.dockerd.docker(&["network", "connect", "shop_data", "two"]);
    until_shaped(&agent, "two");
    docker.expect_rtt("one", &docker.address("two", "data"), 60.0);
    docker.expect_rtt("one", &docker.address("two", "front"), 0.0);
    assert!(get(&agent, "/v1/instances/two").get("failed").is_none());

    docker.dockerd.remove("two");
    wait::until("the agent forgets the container", SHAPED_WITHIN, || {
        (agent.call("GET", "/v1/instances/two", "").0 == 404).then_some(())
    });
}

/// A container without labels, registered by its name with an agent that follows no runtime.
fn registered(_: &Context) {
    let docker = Docker::start();
    for name in ["one", "two"] {
        docker.dockerd.run(name, &["--network=shop_data", BUSYBOX]);
    }
    let agent = Agent::start(&docker.node, docker.command(), &[]);
    let shape = || {
        agent.register("mine", &json!({ "container": "one" }));
        let rules = json!({ "rules": [{ "latency": "25ms" }] });
        let (status, answer) = agent.call("PUT", "/v1/instances/mine/links/eth0", &rules.to_string());
        assert_eq!(status, 200, "{answer}");
        docker.expect_rtt("one", &docker.address("two", "data"), 25.0);
    };
    shape();
    assert_eq!(get(&agent, "/v1/instances/mine")["namespace"], "container one");
    // More than once: who is gone is also looked for every second.
    for _ in 0..4 {
        docker.dockerd.docker(&["restart", "--time=0", "one"]);
        shape();
    }
    let (status, answer) = agent.call("PUT", "/v1/instances/x", r#"{"container": "nobody"}"#);
    assert!(status == 400 && answer.contains("running are: one, two"), "{status} {answer}");
}

fn wrong_labels(_: &Context) {
    let docker = Docker::start();
    let agent = docker.agent(&[]);
    docker.dockerd.run("wrong", &["--network=shop_data", "--label=shaper.latancy=30ms", BUSYBOX]);
    docker.run("several", &["--label=shaper.latency=30ms"]);
    docker.dockerd.run("host", &["--network=host", "--label=shaper.latency=30ms", BUSYBOX]);
    docker
        .dockerd
        .run("right", &["--network=shop_data", "--label=shaper.rules=rules: [{latency: 20ms}]", BUSYBOX]);
    until_shaped(&agent, "right");
    for (name, words) in [
        ("wrong", "label `shaper.latancy`: there is no such label; did you mean `shaper.latency`?"),
        (
            "several",
            "the container is on several networks, `data`, `front`: say which with the label `shaper.network`",
        ),
    ] {
        wait::until("the agent tells", SHAPED_WITHIN, || {
            let told = get(&agent, &format!("/v1/instances/{name}"))["failed"].as_str().map(str::to_owned);
            told.filter(|told| told.contains(words))
        });
        assert!(shaped(&agent, name).is_empty());
        assert_eq!(agent.log().matches(words).count(), 1, "{}", agent.log());
    }
    assert!(agent.log().contains("container `host` has the network of the host"), "{}", agent.log());
    let listed = get(&agent, "/v1/instances");
    let is_wrong = |one: &Value| one["name"] == "wrong" && one["failed"].is_string();
    assert!(listed["instances"].as_array().is_some_and(|all| all.iter().any(is_wrong)), "{listed}");
    docker.expect_rtt("right", &docker.address("wrong", "data"), 20.0);
    docker.expect_rtt("wrong", &docker.address("several", "data"), 0.0);
}

fn killed(_: &Context) {
    let docker = Docker::start();
    let first = docker.agent(&[]);
    // Its second link comes only later.
    let labels = ["--label=shaper.latency=20ms", "--label=shaper.dev=eth1"];
    docker.dockerd.run("one", &[&["--network=shop_front"], &labels[..], &[BUSYBOX]].concat());
    docker.dockerd.docker(&["network", "connect", "shop_data", "one"]);
    docker.dockerd.run("two", &["--network=shop_data", BUSYBOX]);
    until_shaped(&first, "one");
    let two = docker.address("two", "data");
    docker.expect_rtt("one", &two, 20.0);
    first.end_by(Signal::SIGKILL);
    docker.expect_rtt("one", &two, 20.0);
    let second = docker.agent(&[]);
    wait::until("the next agent finds the container", SHAPED_WITHIN, || {
        second.log().contains("is as its labels say instance=one outcome=unchanged").then_some(())
    });
    docker.expect_rtt("one", &two, 20.0);
}

/// A second daemon beside the first, which can be ended and started again: with the first one everything would end.
struct Second<'d> {
    docker: &'d Docker,
    directory: Directory,
    child: Child,
}

impl<'d> Second<'d> {
    fn start(docker: &'d Docker) -> Self {
        let directory = Directory::new();
        let child = Self::spawn(docker, &directory);
        let second = Self { docker, directory, child };
        second.until_ready();
        second
    }

    fn spawn(docker: &Docker, directory: &Directory) -> Child {
        let program = PathBuf::from(std::env::var("SHAPER_DOCKERD").expect("the trial is skipped without"));
        let path = |name: &str| directory.path().join(name).display().to_string();
        // What is in it is the kernel's in part, and goes with the first one's mounts.
        let state = |name: &str| format!("/run/second/{name}");
        let mut command = docker.dockerd.command(&program);
        command
            .args(["--data-root", &state("data"), "--exec-root", &state("exec"), "--pidfile", &state("pid")])
            .args([
                "--host",
                &format!("unix://{}", path("docker.sock")),
                "--config-file",
                &path("daemon.json"),
            ])
            .args(["--bridge=none", "--iptables=false", "--exec-opt=native.cgroupdriver=cgroupfs"])
            .args(["--cgroup-parent", &format!("/{}", docker.dockerd.cgroup())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        std::fs::write(directory.path().join("daemon.json"), "{}").expect("a directory of our own");
        docker.node.host(&mut command);
        command.spawn().expect("the test binary can be started")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn until_ready(&self) {
        wait::until("the second daemon answers", READY_WITHIN, || {
            http::call(&self.socket(), "GET", "/_ping", "")
                .is_ok_and(|(status, _)| status == 200)
                .then_some(())
        });
    }

    fn docker(&self, args: &[&str]) -> String {
        let mut command = self.docker.dockerd.client();
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display())).args(args);
        binary::run(&mut command).expect(Exit::Done).stdout.trim().to_owned()
    }

    /// With it, its containers end.
    fn end(&mut self) {
        let _gone = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _reaped = self.child.wait();
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn comes_back(_: &Context) {
    let docker = Docker::start();
    let mut second = Second::start(&docker);
    let socket = format!("unix:{}", second.socket().display());
    let agent = Agent::start(&docker.node, docker.command(), &["--docker", &socket]);
    // The image goes from one daemon to the other by a file.
    let image = second.directory.path().join("image.tar").display().to_string();
    docker.dockerd.docker(&["save", "--output", &image, BUSYBOX]);
    second.docker(&["load", "--input", &image]);
    second.docker(&["network", "create", "--subnet=10.99.0.0/24", "own"]);
    let run = |name: &str| {
        let label = "--label=shaper.latency=10ms";
        second.docker(&[
            "run",
            "--detach",
            "--name",
            name,
            "--network=own",
            "--restart=always",
            label,
            BUSYBOX,
        ]);
    };
    run("one");
    run("two");
    for name in ["one", "two"] {
        until_shaped(&agent, name);
    }
    second.end();
    wait::until("the agent forgets the containers", GONE_WITHIN, || {
        ["one", "two"]
            .iter()
            .all(|name| agent.call("GET", &format!("/v1/instances/{name}"), "").0 == 404)
            .then_some(())
    });
    wait::until("the agent says that the runtime is away", GONE_WITHIN, || {
        agent.log().contains("waits for the container runtime").then_some(())
    });
    // Long enough for many lines, were each retry to write one.
    std::thread::sleep(SHAPED_WITHIN);
    second.child = Second::spawn(&docker, &second.directory);
    second.until_ready();
    for name in ["one", "two"] {
        wait::until(&format!("`{name}` is shaped again"), READY_WITHIN, || {
            (!shaped(&agent, name).is_empty()).then_some(())
        });
    }
    let lines = agent.log().matches("waits for the container runtime").count();
    assert!(lines < 6, "a runtime that is away fills no log:\n{}", agent.log());
}

fn testground(_: &Context) {
    let docker = Docker::start();
    let agent = docker.agent(&["--sync", "0.0.0.0:5050"]);
    let options = [
        "--hostname=i1",
        "--label=testground.run_id=r",
        "--env=TEST_SIDECAR=true",
        "--env=TEST_SUBNET=16.0.0.0/16",
        "--env=TEST_RUN=r",
        "--env=TEST_PLAN=p",
        "--env=TEST_CASE=c",
        "--env=REDIS_HOST=redis",
    ];
    docker.dockerd.run("redis", &["--network=shop_front", BUSYBOX]);
    docker.dockerd.run("secret", &["--network=shop_front", BUSYBOX]);
    docker.dockerd.run("peer", &["--network=shop_data", BUSYBOX]);
    docker.run("i1", &options);
    let sidecar = "--env=TEST_SIDECAR=false";
    docker.dockerd.run("alone", &["--network=shop_data", "--label=testground.run_id=r", sidecar, BUSYBOX]);
    wait::until("the agent knows the instance", SHAPED_WITHIN, || {
        (agent.call("GET", "/v1/instances/i1", "").0 == 200).then_some(())
    });
    let said = &get(&agent, "/v1/instances/i1")["registration"]["testground"];
    let links = docker.dockerd.exec("i1", &["ip", "-o", "-4", "address"]);
    let data =
        links.lines().find(|line| line.contains(" 16.0.")).expect("a link with an address in TEST_SUBNET");
    let data = data.split_whitespace().nth(1).expect("a number, then a name");
    assert_eq!(
        (&said["hostname"], &said["dev"], &said["run"]),
        (&json!("i1"), &json!(data), &json!("r")),
        "{said}"
    );

    let run = Run::new("r", "p", "c").expect("names without colons");
    let config = json!({
        "network": "default", "enable": true, "callback_state": "done", "default": { "latency": 25_000_000 }
    });
    // From within the container's network, by its own proc.
    let init = docker.dockerd.init();
    let pid = docker.dockerd.inspect("i1", "{{.State.Pid}}");
    let proc = Path::new("/proc").join(init.to_string()).join("root").join("proc");
    let netns = Netns::open_path(&proc.join(pid).join("ns/net")).expect("it runs");
    let talk = async {
        let client = Client::connect("192.18.0.1:5050").await?;
        client.barrier(&run.state("network-initialized"), 1).await?;
        client.publish(&run.topic("network:i1"), &config).await?;
        client.barrier(&run.state("done"), 1).await
    };
    let talked = netns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            tokio::time::timeout(Duration::from_secs(10), talk).await.expect("the sidecar signals")
        })
    });
    talked.expect("the namespace is entered").expect("the sync service answers");

    docker.expect_rtt("i1", &docker.address("peer", "data"), 25.0);
    // Under `deny_all`, what the environment names stays in reach; others do not.
    docker.expect_rtt("i1", &docker.address("redis", "front"), 0.0);
    let secret = docker.address("secret", "front");
    let denied = docker.dockerd.try_docker(&["exec", "i1", "ping", "-c", "1", "-W", "1", &secret]);
    assert_ne!(denied.exit, Exit::Done, "{denied}");
    assert_eq!(agent.call("GET", "/v1/instances/alone", "").0, 404, "who counts on no sidecar has none");
}
