//! `example rust|js CASE`: one case of the plan in `examples`, run as the tests run it, with its measures on standard output.
//!
//! `cargo xtask example` builds what it takes and starts it.

use std::process::ExitCode;

use shaper_netns_tests::shaper::{Exit, Output};
use shaper_netns_tests::testground::{self, Plan, Sdk, World};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (sdk, case) = match words[..] {
        ["rust", case] => (Sdk::Rust, case),
        ["js", case] => (Sdk::JavaScript, case),
        _ => return failed("usage: example rust|js CASE"),
    };
    let plan = testground::available().and_then(|()| Plan::find(sdk));
    let plan = match plan {
        Ok(plan) => plan,
        Err(reason) => return failed(&reason),
    };
    let instances = instances_of(case);
    let mut world = World::new("network", case, instances);
    world.start_agent();
    println!("`shaper agent` serves the network of {instances} instances of `{case}`");
    let outputs = world.run(&plan);
    for (output, number) in outputs.iter().zip(1..) {
        // The SDKs' own lines are JSON objects.
        for line in output.stdout.lines().filter(|line| !line.starts_with('{')) {
            println!("i{number}  {line}");
        }
    }
    match outputs.iter().find(|output| output.exit != Exit::Done) {
        Some(Output { stderr, .. }) => failed(stderr),
        None => ExitCode::SUCCESS,
    }
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("example: {}", reason.trim());
    ExitCode::FAILURE
}

/// As many as the case takes.
fn instances_of(case: &str) -> u8 {
    match case {
        "traffic-allowed" | "traffic-blocked" => 1,
        "accept" | "reject" | "drop" => 3,
        _ => 2,
    }
}
