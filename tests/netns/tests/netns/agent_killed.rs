//! `shaper agent` killed, and the one that comes after it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use shaper::testground::keys::Run;
use shaper::units::Delay;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::bpf::Objects;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::redis::{self, Redis};
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{http, kernel, wait};

use crate::agent::{LINK, agent, call, configure, count, register_in_run};

/// How often the agent is killed under a stream of configurations.
const KILLS: u32 = 200;
/// In User-mode Linux, where an order takes ten times as long.
const KILLS_USER_MODE: u32 = 20;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("agent_killed_leaves_what_is_in_force_to_the_next", Load::Timing, killed),
        Case::once("agent_killed_goes_on_and_signals_nothing_twice", Load::Timing, by_itself),
        Case::once("agent_killed_goes_on_by_a_server_and_signals_nothing_twice", Load::Timing, by_a_server)
            .when(|| redis::program().map(drop))
            .deadline(Duration::from_secs(60)),
        Case::each_engine("agent_killed_at_any_moment_loses_and_repeats_nothing", Load::Light, at_any_moment)
            .deadline(Duration::from_secs(180)),
    ]
}

fn killed(_: &Context) {
    let world = World::new();
    let baseline_ns = world.baseline_ns();
    let first = agent(&world);
    let rules = json!({ "rules": [{ "latency": "20ms" }] });
    assert_eq!(call(&first, "PUT", LINK, &rules)["outcome"], "added");
    let objects = world.bpf_objects();
    first.end_by(Signal::SIGKILL);
    world.expect_rtt(baseline_ns + 20e6);
    let second = agent(&world);
    assert_eq!(call(&second, "PUT", LINK, &rules)["outcome"], "unchanged");
    assert!(world.bpf_objects() == objects, "the same programs and maps");
    world.expect_rtt(baseline_ns + 20e6);
    call(&second, "DELETE", LINK, &json!({}));
}

/// With what it had written down beside its socket, and no other help.
fn by_itself(_: &Context) {
    let world = World::new();
    let sync = SocketAddr::new(world.peer.ipv4(0), 5050);
    let args = ["--sync", &sync.to_string()];
    let one = Agent::start(&world.peer, world.command(), &args);
    register_in_run(&one, &world);
    goes_on(&world, sync, one, |one| one.killed_and_started(&world.peer, world.command(), &args));
}

/// With the states that a server keeps, and a user who registers the instance once more.
fn by_a_server(_: &Context) {
    let world = World::new();
    let redis = Redis::start(&world.peer);
    let sync = SocketAddr::new(world.peer.ipv4(0), 5050);
    let start = || {
        let args = ["--sync", &sync.to_string(), "--states", &redis.url()];
        let agent = Agent::start(&world.peer, world.command(), &args);
        register_in_run(&agent, &world);
        agent
    };
    goes_on(&world, sync, start(), |one| {
        one.end_by(Signal::SIGKILL);
        start()
    });
}

fn goes_on(world: &World, sync: SocketAddr, one: Agent, followed: impl FnOnce(Agent) -> Agent) {
    let baseline_ns = world.baseline_ns();
    let run = Run::new("r", "p", "c").expect("names without colons");
    let counts = |agent: &Agent| ["network-initialized", "done"].map(|state| count(agent, &run.state(state)));
    configure(world, sync, &one);
    world.expect_rtt(baseline_ns + 10e6);
    assert_eq!(counts(&one), [1, 1]);
    let objects = world.bpf_objects();
    let other = followed(one);
    wait::until("the other agent goes on", GONE_WITHIN, || {
        other.log().contains("goes on behind").then_some(())
    });
    configure(world, sync, &other);
    let state = format!("/v1/states/{}?target=2", run.state("done"));
    assert_eq!(call(&other, "GET", &state, &json!({}))["count"], 2);
    assert_eq!(counts(&other), [1, 2]);
    assert!(world.bpf_objects() == objects, "the same programs and maps");
    world.expect_rtt(baseline_ns + 10e6);
    call(&other, "DELETE", "/v1/instances/a", &json!({}));
}

/// An instance that is sent one configuration after the other, each until it is acknowledged.
struct Stream<'a> {
    name: &'static str,
    node: &'a Node,
    engine: Engine,
}

impl Stream<'_> {
    /// The one after `acknowledged` others.
    fn config(&self, acknowledged: u64) -> Value {
        let (number, name) = (acknowledged + 1, self.name);
        json!({
            "engine": self.engine.name(), "rules": [{ "latency": format!("{number}us") }],
            "callback_state": format!("in-force-{name}"), "callback_once": number.to_string(),
        })
    }

    /// Sends one; whether it is acknowledged. It must be the next one to be signalled, and once.
    fn send(&self, socket: &Path, acknowledged: u64) -> bool {
        let target = format!("/v1/instances/{}/links/eth0", self.name);
        let config = self.config(acknowledged).to_string();
        // A connection that breaks, or that nobody takes, says nothing about what became of the call.
        let Ok((status, answer)) = http::call(socket, "PUT", &target, &config) else { return false };
        assert_eq!(status, 200, "{}: {answer}", self.name);
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        let seq = &answer["callback"]["seq"];
        assert_eq!(*seq, acknowledged + 1, "signalled twice, or not at all: {answer}");
        true
    }

    /// Sends one after the other until it `is_over`; how many were acknowledged, the first included.
    fn flow(&self, socket: &Path, is_over: &AtomicBool) -> u64 {
        let mut acknowledged = 1;
        while !is_over.load(Ordering::Relaxed) {
            acknowledged += u64::from(self.send(socket, acknowledged));
        }
        acknowledged
    }
}

fn at_any_moment(context: &Context) {
    let engine = context.engine();
    let worlds = [World::new(), World::new()];
    let before = worlds.each_ref().map(World::snapshot);
    let streams =
        [("a", &worlds[0].inst), ("b", &worlds[0].peer), ("c", &worlds[1].inst), ("d", &worlds[1].peer)]
            .map(|(name, node)| Stream { name, node, engine });
    // In a network that is not shaped.
    let host = Node::new("host", 9);
    let start = |agent: Option<Agent>| match agent {
        None => Agent::start(&host, worlds[0].command(), &[]),
        Some(agent) => agent.killed_and_started(&host, worlds[0].command(), &[]),
    };
    let agent = start(None);
    for Stream { name, node, .. } in &streams {
        agent.register(name, &json!({ "ns": node.path() }));
    }
    let socket = agent.socket();
    let begin = Instant::now();
    for stream in &streams {
        assert!(stream.send(&socket, 0), "nobody killed it: {}", agent.log());
    }
    // It is killed within what the first configurations of all instances take, on this machine now.
    let alive = begin.elapsed();
    let kills = if kernel::is_user_mode() { KILLS_USER_MODE } else { KILLS };
    let is_over = AtomicBool::new(false);
    let (agent, acknowledged) = thread::scope(|scope| {
        let (socket, is_over) = (&socket, &is_over);
        // Also when this thread panics.
        let over = Over(is_over);
        let senders = streams.each_ref().map(|stream| scope.spawn(move || stream.flow(socket, is_over)));
        let mut agent = agent;
        for kill in 0..kills {
            // Moments all over the span, in no order: 89 and the numbers of kills have no common divisor.
            thread::sleep(alive * (kill * 89 % kills) / kills);
            agent = start(Some(agent));
        }
        drop(over);
        (agent, senders.map(|sender| sender.join().expect("a sender says why it panicked")))
    });
    let mut objects = Objects::default();
    for (Stream { name, node, .. }, acknowledged) in streams.iter().zip(acknowledged) {
        // Enough that kills came into the middle of something.
        assert!(acknowledged > u64::from(kills) / 10, "`{name}`: {acknowledged} configurations");
        let told = call(&agent, "GET", &format!("/v1/instances/{name}/links/eth0"), &json!({}));
        let latency = told["rules"][0]["latency"].as_str().map(str::parse::<Delay>);
        let latency_ns = latency.expect("there is one rule").expect("a latency is a delay").as_ns();
        assert_eq!(latency_ns, 1_000 * acknowledged, "`{name}`: {told}");
        assert_eq!(count(&agent, &format!("in-force-{name}")), acknowledged, "`{name}`");
        objects.extend(Objects::held_in(node));
        println!("{name}: {acknowledged} configurations over {kills} kills within {alive:?}");
    }
    let relays = if engine == Engine::Relay { streams.len() } else { 0 };
    assert_eq!(worlds[0].processes().len(), relays + 1, "the agent, and what each instance takes");
    for Stream { name, .. } in &streams {
        assert_eq!(
            call(&agent, "DELETE", &format!("/v1/instances/{name}"), &json!({}))["outcome"],
            "cleared"
        );
    }
    agent.end_by(Signal::SIGTERM);
    for (world, before) in worlds.iter().zip(&before) {
        world.expect_restored(before, &objects);
    }
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
