//! Unmodified clients of Testground's SDKs, served by `shaper agent`.

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::shaper::{Exit, Output};
use shaper_netns_tests::testground::{self, Plan, Sdk, World};

/// What the agent and two or three instances take where a system call takes 15 us; a plan gives up after a minute.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(150);

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, load, body: fn(&Context)| Case::once(name, load, body).deadline(DEADLINE);
    let rust = |name, load, body| case(name, load, body).when(|| available(Sdk::Rust));
    let js = |name, load, body| case(name, load, body).when(|| available(Sdk::JavaScript));
    vec![
        rust("sdk_rust_ping_pong_gets_what_it_asks", Load::Alone, |_| ping_pong(Sdk::Rust)),
        js("sdk_js_ping_pong_gets_what_it_asks", Load::Alone, |_| ping_pong(Sdk::JavaScript)),
        rust("sdk_rust_traffic_is_allowed", Load::Light, |_| passes("network", "traffic-allowed", 1)),
        rust("sdk_rust_traffic_is_blocked", Load::Light, |_| passes("network", "traffic-blocked", 1)),
        rust("sdk_rust_splitbrain_accept_splits_nobody", Load::Light, |_| splitbrain("accept")),
        rust("sdk_rust_splitbrain_reject_splits_a_from_b", Load::Light, |_| splitbrain("reject")),
        rust("sdk_rust_splitbrain_drop_splits_a_from_b", Load::Light, |_| splitbrain("drop")),
        rust("sdk_rust_uses_the_data_network_only", Load::Light, |_| {
            passes("verify", "uses-data-network", 2)
        }),
    ]
}

fn available(sdk: Sdk) -> Result<(), String> {
    Plan::find(sdk)?;
    testground::available()
}

/// The times are judged by the plan.
fn ping_pong(sdk: Sdk) {
    for output in run(sdk, "network", "ping-pong", 2) {
        let measures = output.stdout.lines().filter(|line| line.contains("each way: RTT"));
        assert_eq!(measures.count(), 2, "{output}");
    }
}

/// Each of three tries both others: all connect, or all but those of A and B with each other. The plan judges.
fn splitbrain(case: &str) {
    let outputs = run(Sdk::Rust, "splitbrain", case, 3);
    let attempts: Vec<&str> = outputs.iter().flat_map(|output| output.stdout.lines()).collect();
    let count = |is_reached: fn(&str) -> bool| attempts.iter().filter(|line| is_reached(line)).count();
    let split = if case == "accept" { 0 } else { 2 };
    let (reached, failed) = (count(|line| line.ends_with(": Ok(())")), count(|line| line.contains(": Err(")));
    assert_eq!((reached, failed), (6 - split, split), "{attempts:#?}");
    // The one of A is told, or never hears of it.
    let (told, silent) = (count(|line| line.contains("Refused")), count(|line| line.contains("TimedOut")));
    match case {
        "reject" => assert!(told > 0, "{attempts:#?}"),
        "drop" => assert_eq!(silent, split, "{attempts:#?}"),
        _ => {}
    }
}

fn passes(plan: &str, case: &str, instances: u8) {
    run(Sdk::Rust, plan, case, instances);
}

/// Runs a case in as many instances, which must all end with success.
#[track_caller]
fn run(sdk: Sdk, plan: &str, case: &str, instances: u8) -> Vec<Output> {
    let program = Plan::find(sdk).unwrap_or_else(|reason| panic!("{reason}"));
    let mut world = World::new(plan, case, instances);
    world.start_agent();
    let outputs = world.run(&program);
    outputs.into_iter().map(|output| output.expect(Exit::Done)).collect()
}
