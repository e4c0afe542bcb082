//! An address that goes from one instance to another: who had it at the first finds it at the second, at once.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use shaper::measure::ping;
use shaper::netlink::address;
use shaper::netlink::link::{self, Settings};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{self as binary, Exit};
use shaper_netns_tests::world::GONE_WITHIN;
use shaper_netns_tests::{testground, wait};

/// Of the host that is neither, and of the first and the second instance.
const HOSTS: [u8; 3] = [1, 2, 3];
/// Where the first instance goes.
const ELSEWHERE: u8 = 4;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("an_address_that_moves_is_found_where_it_is_now", Load::Timing, moves)
            .each_family()
            .when(testground::available),
    ]
}

fn moves(context: &Context) {
    let family = context.family();
    let hub = hub(family);
    let [first, second] = [HOSTS[1], HOSTS[2]].map(|host| joined(&hub, family, host));
    let moving = family.near(HOSTS[1]);
    assert!(answers(&hub, moving), "the first has it");
    readdress(&first, family, ELSEWHERE);
    readdress(&second, family, HOSTS[1]);
    // An entry that is too old is asked for again; this one is seconds old.
    assert!(answers(&hub, moving), "the second has it, and the hub does not know");
    assert!(answers(&hub, family.near(ELSEWHERE)), "the first is elsewhere");
}

/// A bridge, which is a host of the network, too.
fn hub(family: Family) -> Node {
    let hub = Node::new("hub", HOSTS[0]);
    hub.request(link::add("bridge", &Settings { name: Some("data".into()), ..Default::default() }));
    set_up(&hub, "data", Settings::default());
    hub.request(address::add(&hub.device("data"), family.near(HOSTS[0]), family.prefix_len()));
    hub
}

/// An instance with a link to the bridge.
fn joined(hub: &Node, family: Family, host: u8) -> Node {
    let node = Node::new("an instance", host);
    // A router would pass on what is another's now.
    for setting in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
        let path = format!("/proc/sys/net/{setting}");
        node.run(|| std::fs::write(path, "0")).expect("the setting is the namespace's own");
    }
    let port = format!("data{host}");
    let near = Settings { name: Some("eth0".into()), ..Default::default() };
    let far = Settings { name: Some(port.clone()), netns: Some(hub.netns().as_fd()), ..Default::default() };
    node.request(link::add_veth(&near, &far));
    set_up(hub, &port, Settings { master: Some(hub.device("data")), ..Default::default() });
    set_up(&node, "eth0", Settings::default());
    node.request(address::add(&node.device("eth0"), family.near(host), family.prefix_len()));
    wait::until("the instance is found", GONE_WITHIN, || answers(hub, family.near(host)).then_some(()));
    node
}

fn set_up(node: &Node, name: &str, settings: Settings<'_>) {
    let device = node.device(name);
    let mode = Settings { addr_gen_mode: Some(link::AddrGenMode::None), ..Default::default() };
    node.request(link::set(&device, &mode));
    node.request(link::set(&device, &Settings { up: Some(true), ..settings }));
}

#[track_caller]
fn readdress(node: &Node, family: Family, host: u8) {
    let address = format!("{}/{}", family.near(host), family.prefix_len());
    let mut command = binary::command();
    command.arg("apply").arg("--ns").arg(node.path()).args(["--dev", "eth0", "--policy", "allow-all"]);
    binary::run(command.args(["--address", &address])).expect(Exit::Done);
}

fn answers(node: &Node, host: IpAddr) -> bool {
    let train = ping::Train { count: 1, timeout: Duration::from_millis(300), ..Default::default() };
    // Where there is no way yet, nobody answers.
    let rtt = node.run(|| ping::Pinger::open(host).and_then(|pinger| pinger.run(&train)));
    rtt.is_ok_and(|rtt| rtt[0].is_some())
}
