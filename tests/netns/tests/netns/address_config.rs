//! An address in a configuration of Testground's: who is told that it is in force can use it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use shaper::measure::ping;
use shaper::netlink::address;
use shaper::testground::client::Client;
use shaper::testground::keys::Run;
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::world::World;

const INITIAL: u8 = 1;
const ASKED: u8 = 9;

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::once("a_configured_address_is_there_when_that_is_told", Load::Light, configured).each_family()]
}

fn configured(context: &Context) {
    let family = context.family();
    let world = World::over(family);
    let sync = SocketAddr::new(world.peer.address(other(family), 0), 5050);
    let agent = Agent::start(&world.peer, world.command(), &["--sync", &sync.to_string()]);
    let keep = [sync.ip()];
    let testground =
        json!({ "hostname": "a", "run": "r", "plan": "p", "case": "c", "dev": "eth0", "keep": keep });
    agent.register("a", &json!({ "ns": world.inst.path(), "testground": testground }));
    // The length of the prefix is that of the network, whatever is said, as with Testground's own sidecar.
    let (key, asked) = match family {
        Family::V4 => ("IPv4", "10.77.0.9/12"),
        Family::V6 => ("IPv6", "fd00:77::9/48"),
    };
    let config = json!({
        "network": "default", "enable": true, "routing_policy": "deny_all", "callback_state": "moved", key: asked,
    });
    publish(&world, sync, &config).unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
    let (new, old) = (family.near(ASKED), family.near(INITIAL));
    // The first packet counts.
    assert!(answers(&world, new), "{new} is not there: {}", agent.log());
    let mut socket = world.inst.socket();
    let addresses = address::dump(&mut socket).unwrap_or_else(|error| panic!("{error}"));
    let of_link = |address: IpAddr| addresses.iter().find(|found| found.local == address);
    assert!(of_link(old).is_none(), "{old} is still there");
    assert_eq!(of_link(new).map(|found| found.prefix_len), Some(family.prefix_len()));
    drop(socket);
    agent.call("DELETE", "/v1/instances/a", "");
}

/// The one by which the instance is configured, which stays as it is.
fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}

fn answers(world: &World, host: IpAddr) -> bool {
    let train = ping::Train { count: 1, timeout: Duration::from_millis(300), ..Default::default() };
    let rtt = world.peer.pinger(host).run(&train).unwrap_or_else(|error| panic!("{error}"));
    rtt[0].is_some()
}

/// Publishes a configuration from the instance, and waits for its callback.
fn publish(world: &World, sync: SocketAddr, config: &Value) -> Result<(), String> {
    let run = Run::new("r", "p", "c").expect("names without colons");
    let talk = async {
        let client = Client::connect(sync).await.map_err(|error| error.to_string())?;
        client.publish(&run.topic("network:a"), config).await.map_err(|error| error.to_string())?;
        client.barrier(&run.state("moved"), 1).await.map_err(|error| error.to_string())
    };
    world.inst.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(talk)
    })
}
