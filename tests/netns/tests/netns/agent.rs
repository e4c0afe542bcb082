//! `shaper agent`: the API does what the commands do, in order, and signals.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use shaper::measure::ping;
use shaper::testground::client::Client;
use shaper::testground::keys::Run;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::directory::Directory;
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::named::Name;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::redis::{self, Redis};
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{http, wait};

pub(crate) const LINK: &str = "/v1/instances/inst/links/eth0";
const POLICY: &str = "/v1/instances/inst/policy";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("agent_puts_patches_tells_and_deletes_rules", Load::Timing, rules),
        Case::once("agent_signals_once_and_tells_who_waits_in_vain", Load::Light, callbacks),
        Case::once("agent_signals_once_for_each_instance_however_often_it_is_asked", Load::Light, once)
            .when(|| redis::program().map(drop))
            .deadline(Duration::from_secs(60)),
        Case::once("agent_carries_out_orders_in_the_order_they_come", Load::Light, in_order),
        Case::once("agent_sets_and_takes_back_a_policy", Load::Light, policy),
        Case::once("agent_told_to_end_keeps_or_clears", Load::Light, ends),
        Case::once("agent_has_only_the_privileges_it_uses", Load::Light, privileges),
        Case::once("agent_takes_tcp_calls_with_its_token_alone", Load::Light, token),
        Case::once("agent_strict_lets_an_instance_publish_about_its_own_network", Load::Light, strict),
        Case::once("agent_shares_states_by_a_server_that_is_killed_in_between", Load::Light, shared)
            .when(|| redis::program().map(drop))
            .deadline(Duration::from_secs(60)),
        Case::once(
            "agent_does_the_sidecars_part_for_a_sync_service_that_comes_back",
            Load::Timing,
            connected,
        )
        .when(|| redis::program().map(drop))
        .deadline(Duration::from_secs(60)),
        Case::once("agent_forgets_an_instance_that_is_gone", Load::Light, gone),
        Case::once("agent_counts_for_prometheus", Load::Light, metrics),
    ]
}

/// An agent that knows `inst`.
#[track_caller]
fn agent_with(world: &World, args: &[&str]) -> Agent {
    let agent = Agent::start(&world.peer, world.command(), args);
    agent.register("inst", &json!({ "ns": world.inst.path() }));
    agent
}

pub(crate) fn agent(world: &World) -> Agent {
    agent_with(world, &[])
}

/// Makes a call that succeeds.
#[track_caller]
pub(crate) fn call(agent: &Agent, method: &str, target: &str, body: &Value) -> Value {
    let (status, answer) = agent.call(method, target, &body.to_string());
    assert_eq!(status, 200, "{method} {target} {body}: {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::String(answer))
}

#[track_caller]
pub(crate) fn refused(agent: &Agent, method: &str, target: &str, body: &Value) -> (u16, String) {
    let (status, answer) = agent.call(method, target, &body.to_string());
    assert!(status >= 400, "{method} {target} {body}: {status} {answer}");
    let answer: Value = serde_json::from_str(&answer).expect("a refusal is JSON");
    (status, answer["message"].as_str().expect("a refusal says what is wrong").to_owned())
}

#[track_caller]
pub(crate) fn count(agent: &Agent, state: &str) -> u64 {
    call(agent, "GET", &format!("/v1/states/{state}"), &json!({}))["count"]
        .as_u64()
        .expect("a count is a number")
}

fn until_one_waits(agent: &Agent) {
    wait::until("somebody waits for a state", GONE_WITHIN, || {
        let (_, metrics) = agent.call("GET", "/metrics", "");
        metrics.contains("shaper_waiters 1\n").then_some(())
    });
}

fn latency(engine: Engine, latency: &str) -> Value {
    json!({ "engine": engine.name(), "rules": [{ "latency": latency }] })
}

fn rules(context: &Context) {
    let world = World::new();
    let baseline_ns = world.baseline_ns();
    let before = world.snapshot();
    let agent = agent(&world);
    let engine = context.engine();
    let done = call(&agent, "PUT", LINK, &latency(engine, "40ms"));
    assert_eq!((&done["outcome"], &done["engine"]), (&json!("added"), &json!(engine.name())), "{done}");
    world.expect_rtt(baseline_ns + 40e6);
    assert_eq!(call(&agent, "PUT", LINK, &latency(engine, "40ms"))["outcome"], "unchanged");

    let peer = world.peer.ipv4(0).to_string();
    let beside = json!({ "rules": [{ "to": peer, "latency": "10ms" }] });
    assert_eq!(call(&agent, "PATCH", LINK, &beside)["outcome"], "changed");
    world.expect_rtt(baseline_ns + 10e6);
    let told = call(&agent, "GET", LINK, &json!({}));
    assert_eq!(told["rules"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(call(&agent, "PUT", LINK, &told)["outcome"], "unchanged", "what is told is what is taken");
    // The command line sees the same.
    assert_eq!(world.shaper("show", &["--as", "json"]).json()["rules"], told["rules"]);

    assert_eq!(call(&agent, "DELETE", LINK, &json!({}))["outcome"], "cleared");
    before.expect_same(&world.snapshot());
    world.expect_rtt(baseline_ns);
}

fn callbacks(_: &Context) {
    let world = World::new();
    let agent = agent(&world);
    let config = |latency: &str, state: &str| json!({ "rules": [{ "latency": latency }], "callback_state": state, "callback_target": 1 });
    let done = call(&agent, "PUT", LINK, &config("10ms", "slow"));
    assert_eq!(done["callback"], json!({ "state": "slow", "seq": 1, "target": 1 }));
    let waited = call(&agent, "GET", "/v1/states/slow?target=1", &json!({}));
    assert_eq!(waited["reached"], true);

    // Who waits before it is refused is told as well as who comes later.
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| refused(&agent, "GET", "/v1/states/never?target=1", &json!({})));
        until_one_waits(&agent);
        let other = LINK.replace("eth0", "eth9");
        let (status, said) = refused(&agent, "PUT", &other, &config("10ms", "never"));
        assert_eq!(status, 400, "{said}");
        assert!(said.contains("there is no link `eth9`"), "{said}");
        let (status, told) = waiter.join().expect("the waiter does not panic");
        assert_eq!(status, 409, "{told}");
        assert!(told.contains("instance `inst`") && told.contains("there is no link `eth9`"), "{told}");
    });
    assert_eq!(refused(&agent, "GET", "/v1/states/never?target=1", &json!({})).0, 409);
    assert_eq!(count(&agent, "never"), 0);
    // A bad order makes nobody deaf.
    assert_eq!(call(&agent, "PUT", LINK, &config("20ms", "later"))["callback"]["seq"], 1);
}

/// A call that is made again; one without a name of its own; one of another instance, by an agent elsewhere in which that has the same name.
fn once(_: &Context) {
    let world = World::new();
    let redis = Redis::start(&world.peer);
    let start = |node: &Node| {
        let agent = Agent::start(&world.peer, world.command(), &["--states", &redis.url()]);
        agent.register("inst", &json!({ "ns": node.path() }));
        agent
    };
    let (one, other) = (start(&world.inst), start(&world.peer));
    let config = |once: Option<&str>| json!({ "rules": [{ "latency": "1ms" }], "callback_state": "s", "callback_once": once });
    for (agent, once, seq) in [
        (&one, Some("first"), 1),
        (&one, Some("first"), 1),
        (&other, Some("first"), 2),
        (&one, Some("second"), 3),
        (&other, Some("first"), 2),
        (&one, None, 4),
        (&one, None, 5),
        (&one, Some("first"), 1),
    ] {
        assert_eq!(call(agent, "PUT", LINK, &config(once))["callback"]["seq"], seq, "{once:?}");
    }
    assert_eq!(count(&one, "s"), 5);
    let (status, said) = refused(&one, "PUT", LINK, &json!({ "rules": [], "callback_once": "first" }));
    assert!(status == 400 && said.contains("callback_once"), "{said}");
    for agent in [one, other] {
        call(&agent, "DELETE", LINK, &json!({}));
    }
}

fn in_order(_: &Context) {
    const ORDERS: u64 = 40;
    let world = World::new();
    let agent = agent(&world);
    for nth in 1..=ORDERS {
        let body = json!({ "rules": [{ "latency": format!("{nth}ms") }], "callback_state": "step" });
        let done = call(&agent, "PUT", LINK, &body);
        assert_eq!(done["callback"]["seq"], nth);
    }
    let told = call(&agent, "GET", LINK, &json!({}));
    assert_eq!(told["rules"][0]["latency"], format!("{ORDERS}ms"));
    assert_eq!(count(&agent, "step"), ORDERS);
}

fn policy(_: &Context) {
    let world = World::with_links(2);
    let far = SocketAddr::new(world.peer.ipv4(1), 9);
    let has_route =
        || world.inst.run(|| UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect(far))).is_ok();
    let before = world.snapshot();
    let agent = agent(&world);
    let deny = json!({ "policy": "deny-all", "dev": "eth0" });
    assert_eq!(call(&agent, "PUT", POLICY, &deny)["outcome"], "added");
    assert!(!has_route(), "`deny-all` leaves the network of eth0 alone");
    assert_eq!(call(&agent, "GET", POLICY, &json!({}))["policy"], "deny-all");
    assert_eq!(call(&agent, "DELETE", POLICY, &json!({}))["outcome"], "removed");
    assert!(has_route());
    before.expect_same(&world.snapshot());
}

fn ends(_: &Context) {
    let world = World::new();
    let before = world.snapshot();
    for (on_exit, is_left) in [("keep", true), ("clear", false)] {
        let agent = agent_with(&world, &["--on-exit", on_exit]);
        call(&agent, "PUT", LINK, &json!({ "rules": [{ "latency": "10ms" }] }));
        let socket = agent.socket();
        agent.end_by(Signal::SIGTERM);
        assert!(!socket.exists(), "the socket goes with the agent");
        assert_eq!(world.show().attachments() > 0, is_left, "--on-exit {on_exit}");
    }
    before.expect_same(&world.snapshot());
}

fn privileges(_: &Context) {
    let world = World::new();
    let agent = agent(&world);
    let mode = std::fs::metadata(agent.socket()).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("it runs");
    let field = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{status}"));
        u64::from_str_radix(line.trim(), 16).expect("a set is a number")
    };
    // CAP_SETPCAP 8, CAP_NET_ADMIN 12, CAP_NET_RAW 13, CAP_SYS_MODULE 16, CAP_SYS_PTRACE 19, CAP_SYS_ADMIN 21, CAP_SYS_NICE 23,
    // CAP_BPF 39 (linux/capability.h).
    let used = [8, 12, 13, 16, 19, 21, 23, 39].iter().fold(0, |set, bit| set | 1 << bit);
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set) & !used, 0, "{set} {status}");
    }
    assert_eq!((field("CapInh:"), field("CapAmb:"), field("NoNewPrivs:")), (0, 0, 1));
    // And they are enough for a relay of each direction, and for what an ifb takes.
    let both = json!({ "direction": "both", "rules": [{ "latency": "5ms" }] });
    assert_eq!(call(&agent, "PUT", LINK, &both)["outcome"], "added");
    call(&agent, "DELETE", LINK, &json!({}));
}

fn token(_: &Context) {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let world = World::new();
    let file = Directory::new();
    std::fs::write(file.path().join("token"), TOKEN)
        .expect("a file can be written in a directory of our own");
    let path = file.path().join("token").display().to_string();
    let agent = agent_with(&world, &["--http", "127.0.0.1:8765", "--token-file", &path]);
    let get = |token: Option<&str>| {
        let headers = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        world
            .peer
            .run(|| http::call_tcp("127.0.0.1:8765", "GET", "/v1/states", &headers))
            .expect("it answers")
    };
    let wrong = TOKEN.replace('0', "1");
    for token in [None, Some(""), Some(wrong.as_str()), Some(&TOKEN[1..])] {
        let (status, body) = get(token);
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("unauthorized"), "{body}");
    }
    assert_eq!(get(Some(TOKEN)).0, 200);
    assert!(agent.log().contains("refused: wrong token"), "{}", agent.log());
    assert!(!agent.log().contains(TOKEN), "a token is never logged");
}

fn gone(_: &Context) {
    let world = World::new();
    let name = Name::give(&world.inst);
    let agent = Agent::start(&world.peer, world.command(), &[]);
    let target = format!("/v1/instances/{}", name.as_str());
    call(&agent, "PUT", &format!("{target}/links/eth0"), &json!({ "rules": [{ "latency": "5ms" }] }));
    world.clear();
    drop(name);
    wait::until("the agent notices", GONE_WITHIN, || {
        let (status, _) = agent.call("GET", &target, "");
        (status == 404).then_some(())
    });
    let (status, said) = refused(&agent, "PUT", &format!("{target}/links/eth0"), &json!({ "rules": [] }));
    assert_eq!(status, 404, "{said}");
}

fn metrics(_: &Context) {
    const PACKETS: usize = 5;
    let world = World::new();
    world.baseline_ns();
    let agent = agent(&world);
    call(&agent, "PUT", LINK, &json!({ "rules": [{ "latency": "5ms" }] }));
    let train = ping::Train { count: PACKETS, interval: Duration::from_millis(5), ..Default::default() };
    world.ping(&train).expect_all();
    let (_, text) = agent.call("GET", "/metrics", "");
    let line = r#"shaper_shaped_packets_total{instance="inst",link="eth0",direction="egress",to=""} "#;
    let value = text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(value, PACKETS.to_string());
    call(&agent, "DELETE", LINK, &json!({}));
}

/// Makes `inst` known as instance `a` of a run.
#[track_caller]
pub(crate) fn register_in_run(agent: &Agent, world: &World) {
    let testground = json!({ "hostname": "a", "run": "r", "plan": "p", "case": "c", "dev": "eth0" });
    agent.register("a", &json!({ "ns": world.inst.path(), "testground": testground }));
}

/// Has that instance configured by its sidecar, `agent`.
#[track_caller]
pub(crate) fn configure(world: &World, sync: SocketAddr, agent: &Agent) {
    publish(&world.inst, sync, "a").unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
}

/// Publishes a configuration about the network of `hostname` from `node`, and waits for its callback.
fn publish(node: &Node, sync: SocketAddr, hostname: &str) -> Result<(), String> {
    let run = Run::new("r", "p", "c").expect("names without colons");
    let config = json!({
        "network": "default", "enable": true, "routing_policy": "allow_all", "callback_state": "done",
        "default": { "latency": 10_000_000 }
    });
    let talk = async {
        let client = Client::connect(sync).await.map_err(|error| error.to_string())?;
        let topic = run.topic(&format!("network:{hostname}"));
        client.publish(&topic, &config).await.map_err(|error| error.to_string())?;
        client.barrier(&run.state("done"), 1).await.map_err(|error| error.to_string())
    };
    node.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(talk)
    })
}

fn strict(_: &Context) {
    let world = World::new();
    let baseline_ns = world.baseline_ns();
    let sync = SocketAddr::new(world.peer.ipv4(0), 5050);
    let agent = Agent::start(&world.peer, world.command(), &["--strict", "--sync", &sync.to_string()]);
    register_in_run(&agent, &world);
    for (node, hostname) in [(&world.inst, "b"), (&world.peer, "a")] {
        let error = publish(node, sync, hostname).expect_err("not its own");
        assert!(error.contains(&format!("no address of the instance `{hostname}`")), "{error}");
    }
    assert!(agent.log().contains("refused: the topic of another instance"), "{}", agent.log());
    configure(&world, sync, &agent);
    world.expect_rtt(baseline_ns + 10e6);
    call(&agent, "DELETE", "/v1/instances/a", &json!({}));
}

/// Two agents that look after an instance each and share the states.
fn shared(_: &Context) {
    let world = World::new();
    let mut redis = Redis::start(&world.peer);
    let (one, other) =
        (agent_with(&world, &["--states", &redis.url()]), agent_with(&world, &["--states", &redis.url()]));
    let signal = |agent: &Agent, state: &str| call(agent, "POST", &format!("/v1/states/{state}"), &json!({}));
    let reach = |agent: &Agent, state: &str, target: u64| {
        call(agent, "GET", &format!("/v1/states/{state}?target={target}&timeout=15s"), &json!({}))
    };
    assert_eq!(signal(&one, "both")["seq"], 1);
    assert_eq!(count(&other, "both"), 1);

    // A barrier over both, while whose waiter waits the server is killed.
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| reach(&one, "both", 3));
        until_one_waits(&one);
        redis.kill();
        // Signalled while nobody is there, and counted once.
        let late = scope.spawn(|| {
            let body = json!({ "rules": [{ "latency": "5ms" }], "callback_state": "both" });
            call(&other, "PUT", LINK, &body)["callback"]["seq"].clone()
        });
        redis.restart();
        assert_eq!(late.join().expect("the call does not panic"), 2);
        assert_eq!(signal(&other, "both")["seq"], 3);
        let reached = waiter.join().expect("the waiter does not panic");
        assert_eq!((&reached["reached"], &reached["count"]), (&json!(true), &json!(3)), "{reached}");
    });

    // What one refuses, who waits at the other is told.
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| refused(&one, "GET", "/v1/states/never?target=1", &json!({})));
        let body = json!({ "rules": [{ "latency": "5ms" }], "callback_state": "never" });
        refused(&other, "PUT", &LINK.replace("eth0", "eth9"), &body);
        let (status, told) = waiter.join().expect("the waiter does not panic");
        assert_eq!(status, 409, "{told}");
        assert!(told.contains("there is no link `eth9`"), "{told}");
    });
    call(&one, "DELETE", LINK, &json!({}));
}

fn connected(_: &Context) {
    let world = World::new();
    let baseline_ns = world.baseline_ns();
    let redis = Redis::start(&world.peer);
    let sync = SocketAddr::new(world.peer.ipv4(0), 5050);
    let serve = || {
        let args = ["--sync", &sync.to_string(), "--states", &redis.url()];
        Agent::start(&world.peer, world.command(), &args)
    };
    let service = serve();
    let agent = Agent::start(&world.peer, world.command(), &["--sync-connect", &sync.to_string()]);
    register_in_run(&agent, &world);
    configure(&world, sync, &agent);
    world.expect_rtt(baseline_ns + 10e6);
    service.end_by(Signal::SIGKILL);

    let service = serve();
    configure(&world, sync, &agent);
    let run = Run::new("r", "p", "c").expect("names without colons");
    let state = |name: &str| format!("/v1/states/{}", run.state(name));
    let reached = call(&service, "GET", &format!("{}?target=2", state("done")), &json!({}));
    assert_eq!(reached["count"], 2, "each configuration is carried out once");
    assert_eq!(call(&service, "GET", &state("network-initialized"), &json!({}))["count"], 1);
    call(&agent, "DELETE", "/v1/instances/a", &json!({}));
}
