//! `shaper agent`: what its OpenAPI document says is what it does, whatever it is asked.

use std::time::Duration;

use serde_json::{Value, json};
use shaper::http::Client;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::directory::Directory;
use shaper_netns_tests::shaper::{self as binary, Exit};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{contained, fuzz, kernel, process};

const ADDRESS: &str = "127.0.0.1:8765";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What was not read meanwhile comes first.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
const SEED: u64 = 20_260_401;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("api_fuzz_finds_no_answer_that_the_document_does_not_promise", Load::Light, documented)
            .when(available)
            .deadline(fuzz::patience() + Duration::from_secs(30)),
    ]
}

fn available() -> Result<(), String> {
    if kernel::is_user_mode() {
        return Err("the API is the same on every kernel: it is fuzzed on the one that is here".into());
    }
    fuzz::program().map(drop)
}

/// Contained: a call can name any process and any namespace that the agent sees.
fn documented(_: &Context) {
    let world = World::new();
    let file = Directory::new();
    let token = file.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file can be written in a directory of our own");
    let mut command = contained::command(&world.inst, "inst-1", &binary::binary());
    command.env(process::MARK, world.mark());
    let token = token.display().to_string();
    let agent = Agent::start(&world.peer, command, &["--http", ADDRESS, "--token-file", &token]);

    // Somebody listens all the while, and reads nothing of it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let listening = runtime.block_on(Client::at(agent.socket()).lines("/v1/events"));
    let mut events = listening.unwrap_or_else(|error| panic!("{error}"));

    let fuzzed = fuzz::run(&world.peer, ADDRESS, TOKEN, SEED);
    assert_eq!(fuzzed.output.exit, Exit::Done, "{}", fuzzed.output);
    // What is refused throughout says nothing.
    for operation in operations(&agent) {
        assert!(fuzzed.successes(&operation) > 0, "{operation} never succeeded: {:?}", fuzzed.answers);
    }
    println!("{:?}", fuzzed.answers);

    let (status, said) = agent.call("GET", "/healthz", "");
    assert_eq!((status, said.as_str()), (200, "ok\n"));
    // A defect in an order or a call is caught, and told there.
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    let (status, said) = agent.call("POST", "/v1/states/the%20last", "");
    assert_eq!(status, 200, "{said}");
    let last = async {
        while let Some(line) = events.next().await.unwrap_or_else(|error| panic!("{error}")) {
            if String::from_utf8_lossy(&line).contains("the last") {
                return;
            }
        }
        panic!("the events ended");
    };
    let heard = runtime.block_on(async { tokio::time::timeout(HEARD_WITHIN, last).await });
    heard.expect("who listens hears the last event");
    // Somebody is still there to do what is asked.
    let link = "/v1/instances/inst-1/links/eth0";
    let body = json!({ "rules": [{ "latency": "5ms" }] }).to_string();
    let (status, said) = agent.call("PUT", link, &body);
    assert_eq!(status, 200, "{said}");
    let (status, said) = agent.call("DELETE", "/v1/instances/inst-1", "");
    assert_eq!(status, 200, "{said}");
}

/// What the document calls its operations, but for those that are not fuzzed: the one that never ends, and the document itself.
fn operations(agent: &Agent) -> Vec<String> {
    let (_, document) = agent.call("GET", "/v1/openapi.json", "");
    let document: Value = serde_json::from_str(&document).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("it has paths");
    let operations = paths.values().filter_map(Value::as_object).flat_map(|path| path.values());
    let names = operations.filter_map(|operation| operation["operationId"].as_str());
    names.filter(|name| !["streamEvents", "openapi"].contains(name)).map(str::to_owned).collect()
}
