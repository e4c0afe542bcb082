//! `shaper agent`: who may not is refused, and the log says who it was and what they wanted.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Instant;

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde_json::json;
use shaper::testground::client::Client;
use shaper::testground::keys::Run;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::directory::Directory;
use shaper_netns_tests::http;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::world::World;

const ADDRESS: &str = "127.0.0.1:8765";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// As the agent bounds lines that others can cause: so many in each span.
const LINES_MAX: usize = 10;
const SPAN_SECONDS: u64 = 10;
/// nobody's.
const OTHER_USER: u32 = 65_534;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("agent_refuses_a_wrong_token_and_logs_whose_it_is", Load::Light, wrong_token),
        Case::once("agent_is_out_of_reach_of_other_users", Load::Light, other_user),
        Case::once("agent_strict_logs_who_wanted_another_instances_topic", Load::Light, other_topic),
    ]
}

/// The lines of the log that say `words`.
fn lines(agent: &Agent, words: &str) -> Vec<String> {
    agent.log().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

fn wrong_token(_: &Context) {
    const MANY: usize = 5 * LINES_MAX;
    let world = World::new();
    let file = Directory::new();
    let path = file.path().join("token");
    std::fs::write(&path, TOKEN).expect("a file can be written in a directory of our own");
    let args = ["--http", ADDRESS, "--token-file", &path.display().to_string()];
    let agent = Agent::start(&world.peer, world.command(), &args);
    let wrong = TOKEN.replace('0', "1");
    let header = format!("Authorization: Bearer {wrong}\r\n");
    let delete = || http::call_tcp(ADDRESS, "DELETE", "/v1/instances/inst-1", &header).expect("it answers");
    let begin = Instant::now();
    for _ in 0..MANY {
        let (status, said) = world.peer.run(delete);
        assert_eq!(status, 401, "{said}");
    }
    let told = lines(&agent, "refused: wrong token");
    for part in [" WARN ", "peer=127.0.0.1:", "method=DELETE", "/v1/instances/inst-1"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    let spans = 1 + begin.elapsed().as_secs() / SPAN_SECONDS;
    assert!(told.len() as u64 <= spans * LINES_MAX as u64, "{}", agent.log());
    assert!(told.len() >= LINES_MAX, "{}", agent.log());
    for token in [TOKEN, &wrong] {
        assert!(!agent.log().contains(token), "a token is never logged");
    }
}

/// The kernel refuses them at the socket, of which the agent never hears: there is nothing that it could log.
fn other_user(_: &Context) {
    let world = World::new();
    let agent = Agent::start(&world.peer, world.command(), &[]);
    let before = agent.log();
    let socket = agent.socket();
    let connect = move |user: u32| {
        let socket = socket.clone();
        let mut command = Command::new("true");
        let enter = move || {
            setgroups(&[])?;
            setgid(Gid::from_raw(user))?;
            setuid(Uid::from_raw(user))?;
            UnixStream::connect(&socket).map(drop)
        };
        // SAFETY: between fork and exec this makes system calls only, with values it owns.
        unsafe { command.pre_exec(enter) };
        command.status()
    };
    assert!(connect(0).expect("root may connect").success());
    let error = connect(OTHER_USER).expect_err("another user may not");
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{error}");
    assert_eq!(agent.log(), before);
}

fn other_topic(_: &Context) {
    let world = World::new();
    let sync = SocketAddr::new(world.peer.ipv4(0), 5050);
    let agent = Agent::start(&world.peer, world.command(), &["--strict", "--sync", &sync.to_string()]);
    let testground = json!({ "hostname": "a", "run": "r", "plan": "p", "case": "c", "dev": "eth0" });
    agent.register("a", &json!({ "ns": world.inst.path(), "testground": testground }));
    let topic = Run::new("r", "p", "c").expect("names without colons").topic("network:a");
    let error = publish(&world.peer, sync, &topic).expect_err("it is no instance");
    assert!(error.contains("alone may publish about its network"), "{error}");
    let told = lines(&agent, "refused: the topic of another instance");
    let peer = format!("peer={}", world.peer.ipv4(0));
    for part in [" WARN ", peer.as_str(), "network:a"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    agent.call("DELETE", "/v1/instances/a", "");
}

fn publish(node: &Node, sync: SocketAddr, topic: &str) -> Result<(), String> {
    let talk = async {
        let client = Client::connect(sync).await.map_err(|error| error.to_string())?;
        client.publish(topic, &json!({})).await.map(drop).map_err(|error| error.to_string())
    };
    node.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(talk)
    })
}
