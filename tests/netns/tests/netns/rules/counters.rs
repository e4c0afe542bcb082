//! What a rule loses is lost of its own peers only, and `show` counts it; with the same file and seed, every engine that decides with
//! our core loses the same packets.

use std::time::Duration;

use shaper::measure::udp;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::{self, Engine};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER, Path};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, fates, tolerance};

const OWN: u8 = 21;
const LOSS: f64 = 0.1;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("rules_lose_of_their_own_peers_and_count_it", Load::Alone, losses),
        Case::once("parity_over_rules_of_edt_and_relay", Load::Alone, parity).when(has_edt_and_relay),
    ]
}

fn has_edt_and_relay() -> Result<(), String> {
    engine::available(Engine::Edt)?;
    engine::available(Engine::Relay)
}

fn train(engine: Engine) -> udp::Train {
    let train = fates::train(engine);
    udp::Train { count: train.count / 4, ..train }
}

/// One host loses a tenth, another of the same network nothing; both rules and the link count what was sent.
fn losses(context: &Context) {
    for family in Family::ALL {
        let world = World::new();
        peers::join(&world, &[OWN]);
        let hosts = [OWN, PEER].map(|host| family.near(host));
        peers::warm_up(&world, &hosts);
        let to = hosts.map(|host| host.to_string());
        let fault = ["--loss", "10%", "--latency", "1ms"];
        dice::cast(context.engine(), || {
            let _nothing = world.shaper("clear", &[]);
            world.apply(context.engine(), &[&["--to", &to[0]], &fault[..]].concat());
            world.apply(context.engine(), &["--to", &to[1], "--latency", "1ms"]);
            let train = train(context.engine());
            let [lossy, whole] = hosts.map(|host| Path::out(&world, host).send(&train));
            assert_eq!(whole.missing(), [0_usize; 0], "a host without loss loses nothing");
            let lost = lossy.missing().len() as u64;
            let show = world.show();
            let rules = [&to[0], &to[1]].map(|to| show.rule("egress", Some(to)));
            for rule in rules {
                assert_eq!(rule.counted("packets"), train.count as u64, "{rule:?}");
            }
            let all = show.counted("egress", "packets");
            assert!(all >= 2 * train.count as u64, "{all} packets under all rules");
            if context.engine() != Engine::Netem {
                assert_eq!((rules[0].counted("lost"), rules[1].counted("lost")), (lost, 0), "{rules:?}");
                assert_eq!(show.counted("egress", "lost"), lost, "under all rules");
                let (decided, share) = rules[0].achieved("loss").expect("a loss was asked for");
                assert_eq!(decided, train.count as u64);
                assert!((share - lost as f64 / train.count as f64).abs() < 1e-6, "{share}");
            }
            dice::within(&format!("lost of {}", train.count), lost, tolerance::count(train.count, LOSS))
        });
    }
}

/// The packets of each host are numbered by themselves, so that the one that goes first does not matter.
fn parity(_: &Context) {
    let hosts = Family::ALL.map(|family| [family.near(OWN), family.near(PEER)]).concat();
    let rule = |(host, loss): (&std::net::IpAddr, &str)| {
        format!(r#"{{"to": "{host}", "loss": "{loss}", "duplicate": "5%"}}"#)
    };
    let rules: Vec<_> = hosts.iter().zip(["5%", "20%", "10%", "40%"]).map(rule).collect();
    let rules = format!(r#"{{"seed": 7, "rules": [{}]}}"#, rules.join(", "));
    let count = train(Engine::Edt).count.min(train(Engine::Relay).count);
    let copies = [Engine::Edt, Engine::Relay].map(|engine| {
        let world = World::new();
        peers::join(&world, &[OWN]);
        peers::warm_up(&world, &hosts);
        world.apply_file(engine, &rules);
        let linger = Duration::from_millis(50);
        let of = |host: &std::net::IpAddr| {
            Path::out(&world, *host).send(&udp::Train { linger, count, ..train(engine) }).copies()
        };
        // In another order with the other engine.
        let mut copies: Vec<Vec<u32>> = match engine {
            Engine::Relay => hosts.iter().rev().map(of).collect(),
            Engine::Edt | Engine::Netem => hosts.iter().map(of).collect(),
        };
        if engine == Engine::Relay {
            copies.reverse();
        }
        copies
    });
    for ((host, edt), relay) in hosts.iter().zip(&copies[0]).zip(&copies[1]) {
        let count = |wanted| edt.iter().filter(|copies| **copies == wanted).count();
        println!("{host}: of {} packets {} came never, {} twice", edt.len(), count(0), count(2));
        assert!(edt == relay, "the engines do not do the same to {host}");
        assert!(count(0) > 0 && count(2) > 0, "the faults happened");
    }
    assert_ne!(copies[0][0], copies[0][1], "each host has draws of its own");
}
