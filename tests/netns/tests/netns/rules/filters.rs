//! A filter that drops is silent, begins and ends when it was said, and is for its peers only.

use std::time::{Duration, Instant};

use shaper::measure::{tcp, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER, Path};
use shaper_netns_tests::tolerance::WORST_WAKEUP;
use shaper_netns_tests::world::World;

const OWN: u8 = 21;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("rules_that_drop_are_silent_and_for_their_peers_only", Load::Light, |c| {
            drops(c, "egress")
        }),
        Case::each_engine(
            "rules_that_drop_on_ingress_are_silent_and_for_their_peers_only",
            Load::Light,
            |c| {
                drops(c, "ingress");
            },
        ),
        Case::each_engine("rules_that_drop_begin_after_their_time_and_end_in_time", Load::Timing, |c| {
            begins_and_ends(c, "egress");
        }),
        Case::each_engine(
            "rules_that_drop_on_ingress_begin_after_their_time_and_end_in_time",
            Load::Timing,
            |c| {
                begins_and_ends(c, "ingress");
            },
        ),
    ]
}

fn world() -> World {
    let world = World::new();
    peers::join(&world, &[OWN]);
    for family in Family::ALL {
        peers::warm_up(&world, &[OWN, PEER].map(|host| family.near(host)));
    }
    world
}

/// Neither end of a path to a dropped host is told of anything; another port, another host, and both again after `clear` are well.
fn drops(context: &Context, direction: &str) {
    let world = world();
    let train = udp::Train {
        count: 50,
        interval: Duration::from_millis(1),
        drain: Duration::from_millis(100),
        ..Default::default()
    };
    for family in Family::ALL {
        let path = || match direction {
            "egress" => Path::out(&world, family.near(OWN)),
            _ => Path::back(&world, family),
        };
        // On ingress all packets come from the same address, and the other peer is the other port.
        let [dropped, well] = [path(), path()];
        let port = if direction == "egress" { dropped.destination().port() } else { dropped.source().port() };
        let host = if direction == "egress" { family.near(OWN) } else { dropped.source().ip() };
        let to = peers::at(host, &format!("{port}/udp"));
        let filter = ["--direction", direction, "--filter", "drop"];
        world.apply(context.engine(), &[&["--to", &to], &filter[..]].concat());
        assert_eq!(dropped.send(&train).missing().len(), train.count, "nothing arrives");
        assert_eq!(well.send(&train).missing(), [0_usize; 0], "others are well");
        world.baseline_to(host);
        let show = world.show();
        let rule = show.rule(direction, Some(&to));
        assert_eq!(rule.counted("filtered"), train.count as u64, "{rule:?}");
        world.shaper("clear", &["--to", &to]).expect(shaper_netns_tests::shaper::Exit::Done);
        assert_eq!(dropped.send(&train).missing(), [0_usize; 0], "no rule is left");

        let host = family.near(OWN);
        world.apply(context.engine(), &[&["--to", &host.to_string()], &filter[..]].concat());
        expect_no_connection(&world, family);
        world.baseline_to(family.near(PEER));
        world.clear();
        world.baseline_to(host);
    }
}

/// A connection to the host neither comes about nor is refused.
fn expect_no_connection(world: &World, family: Family) {
    let listener = world.peer.tcp_listener(family.near(OWN), tcp::Buffers::default());
    let wait = Duration::from_millis(300);
    let refused = world.inst.run(|| std::net::TcpStream::connect_timeout(&listener.address(), wait));
    let error = refused.expect_err("nothing passes");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "nobody is told: {error}");
}

/// One train sees the beginning and the end: packets arrive, then none, then all again.
fn begins_and_ends(context: &Context, direction: &str) {
    const AFTER: Duration = Duration::from_millis(1000);
    const FOR: Duration = Duration::from_millis(1500);
    for family in Family::ALL {
        let world = world();
        let path = match direction {
            "egress" => Path::out(&world, family.near(OWN)),
            _ => Path::back(&world, family),
        };
        let to = if direction == "egress" { path.destination() } else { path.source() }.ip().to_string();
        let asked = Instant::now();
        let filter = ["--filter", "drop", "--after", "1s", "--for", "1500ms"];
        world.apply(context.engine(), &[&["--to", &to, "--direction", direction], &filter[..]].concat());
        let since_asked = asked.elapsed();
        let train = udp::Train {
            count: 900,
            interval: Duration::from_millis(2),
            drain: Duration::from_millis(100),
            ..Default::default()
        };
        let report = path.send(&train);
        let copies = report.copies();
        let begin = copies.iter().position(|&copies| copies == 0).expect("the filter begins");
        let count = copies[begin..].iter().take_while(|&&copies| copies == 0).count();
        let end = begin + count;
        assert!(end < copies.len() && copies[end..].iter().all(|&copies| copies == 1), "the filter ends");
        let at = |index: usize| Duration::from_nanos(report.departures_ns[index] - report.departures_ns[0]);
        println!(
            "{} {direction} {family:?}: dropped from {:?} to {:?}",
            context.engine(),
            at(begin),
            at(end)
        );
        for (at, wanted) in [(at(begin), AFTER), (at(end), FOR)] {
            assert!(at <= wanted + WORST_WAKEUP, "{at:?} after the first packet, and not {wanted:?}");
            assert!(
                at + since_asked + WORST_WAKEUP >= wanted,
                "{at:?} after the first packet, which is too soon"
            );
        }
        let dropped = at(end) - at(begin);
        assert!(dropped.abs_diff(FOR - AFTER) <= WORST_WAKEUP, "{dropped:?} of dropping");
    }
}
