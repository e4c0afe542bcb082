//! A packet costs the same however many rules there are: a search has as many steps as there are lengths of prefixes, at most 7.

use std::time::Duration;

use shaper::measure::{ping, tcp};
use shaper_common::abi::program;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::classify::{Classifier, HOSTS};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::kernel;
use shaper_netns_tests::world::World;

/// By how much more a packet may take with many rules than with one, as the issue has it.
const MORE: f64 = 0.1;

/// Times that each size is measured, one after the other: others on the machine only make a reading worse, so the best is what it takes
/// when nobody disturbs.
const ROUNDS: usize = 12;

pub(crate) fn cases() -> Vec<Case> {
    let deadline = Duration::from_secs(180);
    vec![
        Case::once("rules_cost_a_packet_the_same_however_many", Load::Alone, in_the_classifier)
            .when(has_jit)
            .each_family()
            .deadline(deadline),
        Case::each_engine("rules_cost_round_trips_and_throughput_nothing", Load::Alone, on_the_link)
            .only(Engine::Relay)
            .when(not_user_mode)
            .each_family()
            .deadline(deadline),
    ]
}

fn not_user_mode() -> Result<(), String> {
    if kernel::is_user_mode() {
        return Err("User-mode Linux runs programs on an interpreter, and all else on one processor".into());
    }
    Ok(())
}

fn has_jit() -> Result<(), String> {
    not_user_mode()?;
    match std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => Err("the kernel interprets programs: net.core.bpf_jit_enable is 0".into()),
        _ => Ok(()),
    }
}

/// The best of each size, read in rounds until the larger ones are as good as the first, or the rounds are over.
fn best_of_rounds(mut read: impl FnMut(usize) -> f64) -> [f64; HOSTS.len()] {
    let mut best = [f64::INFINITY; HOSTS.len()];
    for round in 0..ROUNDS {
        for (index, best) in best.iter_mut().enumerate() {
            *best = best.min(read(index));
        }
        if round >= 2 && is_flat(&best) {
            break;
        }
    }
    best
}

fn is_flat(best: &[f64]) -> bool {
    best.iter().all(|&best_of_many| best_of_many <= best[0] * (1.0 + MORE))
}

fn in_the_classifier(context: &Context) {
    let classifiers = HOSTS.map(|hosts| {
        Classifier::new(program::STEER, context.family(), hosts).unwrap_or_else(|why| panic!("{why}"))
    });
    let same = best_of_rounds(|size| classifiers[size].same_ns().unwrap_or_else(|why| panic!("{why}")));
    let others = best_of_rounds(|size| classifiers[size].others_ns().unwrap_or_else(|why| panic!("{why}")));
    println!(
        "with {HOSTS:?} hosts: {same:?} ns to the same one; {others:?} ns to one that the caches do not know"
    );
    assert!(is_flat(&same), "{same:?} ns with {HOSTS:?} hosts");
}

fn on_the_link(context: &Context) {
    let bulk = tcp::Bulk { warm_up: Duration::from_millis(300), duration: Duration::from_millis(700) };
    let train = ping::Train { count: 100, interval: Duration::from_millis(2), ..Default::default() };
    let worlds = HOSTS.map(|hosts| {
        let world = World::over(context.family());
        world.baseline_ns();
        // The peer is one of the hosts; the others are not there.
        let others = (1..hosts).map(|n| match context.family() {
            Family::V4 => format!("10.{}.{}.{}", 100 + (n >> 16), n >> 8 & 255, n & 255),
            Family::V6 => format!("fd00:100::{n:x}"),
        });
        let to = |host| format!(r#"{{"to": "{host}", "latency": "1ms"}}"#);
        let rules: Vec<String> = others
            .chain([world.destination().to_string()])
            .map(to)
            .chain([r#"{"latency": "1ms"}"#.to_owned()])
            .collect();
        world.apply_file(context.engine(), &format!(r#"{{"rules": [{}]}}"#, rules.join(",\n")));
        world
    });
    let rtt = best_of_rounds(|size| worlds[size].ping(&train).expect_all().p50);
    // Less is better: the time of a bit.
    let bit = best_of_rounds(|size| 1e9 / worlds[size].tcp(1, &bulk).goodput_bits_per_sec());
    println!(
        "with {HOSTS:?} hosts: round trips of {:?} ms, {:?} Mbit/s",
        rtt.map(|rtt| rtt / 1e6),
        bit.map(|bit| 1e3 / bit)
    );
    assert!(is_flat(&rtt), "round trips of {rtt:?} ns with {HOSTS:?} hosts");
    assert!(is_flat(&bit), "{bit:?} ns for a bit with {HOSTS:?} hosts");
}
