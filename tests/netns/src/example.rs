//! `example rust|js CASE TIMES`: one case of the plan in `examples`, run as the tests run it, with its measures on standard output.
//!
//! `cargo xtask example` builds what it takes and starts it.

#[path = "example/measures.rs"]
mod measures;

use std::process::ExitCode;

use measures::Measures;
use shaper_netns_tests::shaper::{Exit, Output};
use shaper_netns_tests::testground::{self, Plan, Sdk, World};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (sdk, case, times) = match words[..] {
        ["rust", case, times] => (Sdk::Rust, case, times),
        ["js", case, times] => (Sdk::JavaScript, case, times),
        _ => return failed("usage: example rust|js CASE TIMES"),
    };
    let Ok(times) = times.parse::<u32>() else { return failed("TIMES is no number") };
    let plan = testground::available().and_then(|()| Plan::find(sdk));
    let plan = match plan {
        Ok(plan) => plan,
        Err(reason) => return failed(&reason),
    };
    let instances = instances_of(case);
    println!("`shaper agent` serves the network of {instances} instances of `{case}`");
    let mut measures = Measures::default();
    let mut failures = 0;
    for _ in 0..times {
        if let Err(reason) = run(&plan, case, instances, &mut measures) {
            failures += 1;
            failed(&reason);
        }
    }
    if times > 1 {
        print!("{measures}");
        println!("{} of {times} runs passed", times - failures);
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the case once, and prints what its instances say.
fn run(plan: &Plan, case: &str, instances: u8, measures: &mut Measures) -> Result<(), String> {
    let mut world = World::new("network", case, instances);
    world.start_agent();
    let outputs = world.run(plan);
    for (output, number) in outputs.iter().zip(1..) {
        // The SDKs' own lines are JSON objects.
        for line in output.stdout.lines().filter(|line| !line.starts_with('{')) {
            println!("i{number}  {line}");
            measures.read(line);
        }
    }
    match outputs.into_iter().find(|output| output.exit != Exit::Done) {
        Some(Output { stderr, .. }) => Err(stderr),
        None => Ok(()),
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
