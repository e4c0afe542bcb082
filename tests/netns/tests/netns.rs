//! Tests of the real binary in real network namespaces: root needed, `cargo xtask test` runs them.

#[path = "netns/achieved.rs"]
mod achieved;
#[path = "netns/address.rs"]
mod address;
#[path = "netns/address_config.rs"]
mod address_config;
#[path = "netns/address_moves.rs"]
mod address_moves;
#[path = "netns/agent.rs"]
mod agent;
#[path = "netns/agent_cli.rs"]
mod agent_cli;
#[path = "netns/agent_killed.rs"]
mod agent_killed;
#[path = "netns/bandwidth.rs"]
mod bandwidth;
#[path = "netns/bottleneck.rs"]
mod bottleneck;
#[path = "netns/container.rs"]
mod container;
#[path = "netns/corrupt.rs"]
mod corrupt;
#[path = "netns/death.rs"]
mod death;
#[path = "netns/discovery.rs"]
mod discovery;
#[path = "netns/distribution.rs"]
mod distribution;
#[path = "netns/duplicate.rs"]
mod duplicate;
#[path = "netns/expiry.rs"]
mod expiry;
#[path = "netns/faults.rs"]
mod faults;
#[path = "netns/fuzz.rs"]
mod fuzz;
#[path = "netns/idempotence.rs"]
mod idempotence;
#[path = "netns/image.rs"]
mod image;
#[path = "netns/instruments.rs"]
mod instruments;
#[path = "netns/isolation.rs"]
mod isolation;
#[path = "netns/jitter.rs"]
mod jitter;
#[path = "netns/leftovers.rs"]
mod leftovers;
#[path = "netns/loss.rs"]
mod loss;
#[path = "netns/parity.rs"]
mod parity;
#[path = "netns/pcapng.rs"]
mod pcapng;
#[path = "netns/policy.rs"]
mod policy;
#[path = "netns/refusals.rs"]
mod refusals;
#[path = "netns/reorder.rs"]
mod reorder;
#[path = "netns/restore.rs"]
mod restore;
#[path = "netns/rtt.rs"]
mod rtt;
#[path = "netns/rules.rs"]
mod rules;
#[path = "netns/sdk.rs"]
mod sdk;
#[path = "netns/selection.rs"]
mod selection;
#[path = "netns/settings.rs"]
mod settings;
#[path = "netns/strangers.rs"]
mod strangers;
#[path = "netns/throughput.rs"]
mod throughput;
#[path = "netns/trace.rs"]
mod trace;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = leftovers::hold_if_asked() {
        return code;
    }
    shaper_netns_tests::runner::main(
        [
            instruments::cases(),
            rtt::cases(),
            jitter::cases(),
            distribution::cases(),
            bandwidth::cases(),
            bottleneck::cases(),
            loss::cases(),
            duplicate::cases(),
            corrupt::cases(),
            reorder::cases(),
            achieved::cases(),
            parity::cases(),
            pcapng::cases(),
            throughput::cases(),
            idempotence::cases(),
            restore::cases(),
            settings::cases(),
            death::cases(),
            faults::cases(),
            expiry::cases(),
            rules::cases(),
            trace::cases(),
            isolation::cases(),
            selection::cases(),
            refusals::cases(),
            policy::cases(),
            address::cases(),
            address_config::cases(),
            address_moves::cases(),
            agent::cases(),
            agent_cli::cases(),
            agent_killed::cases(),
            fuzz::cases(),
            strangers::cases(),
            sdk::cases(),
            container::cases(),
            image::cases(),
            discovery::cases(),
            leftovers::cases(),
        ]
        .concat(),
    )
}
