//! What `show --as` prints, `apply -f` takes: nothing changes.

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::peers::{self, PEER};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;

const OWN: u8 = 21;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("show_as_a_file_and_apply_it_changes_no_rule", Load::Light, round_trip),
        Case::each_engine("a_file_replaces_all_rules_and_an_empty_one_clears", Load::Light, replaces),
    ]
}

/// Rules of both directions, with filters, ports, faults and time limits.
fn round_trip(context: &Context) {
    let world = World::new();
    peers::join(&world, &[OWN]);
    let [v4, v6] = Family::ALL.map(|family| family.near(OWN));
    let port = peers::at(v6, "443/tcp");
    let engine = context.engine();
    world.apply(engine, &["--latency", "1ms", "--direction", "both", "--seed", "18446744073709551615"]);
    world.apply(engine, &["--to", Family::V6.near_network(), "--bandwidth", "10mbit", "--queue", "40ms"]);
    let v4 = v4.to_string();
    let lossy = ["--to", &v4, "--loss", "0.1%", "--direction", "ingress"];
    // netem duplicates only where it is alone.
    let doubles: &[&str] = if engine == Engine::Netem { &[] } else { &["--duplicate", "1%"] };
    world.apply(engine, &[&lossy, doubles].concat());
    world.apply(
        engine,
        &["--to", &port, "--filter", "drop", "--after", "1h", "--for", "2h", "--direction", "both"],
    );
    let objects = world.bpf_objects();
    let mut texts = Vec::new();
    for format in ["toml", "yaml", "json"] {
        let shown = world.shaper("show", &["--as", format]).expect(Exit::Done).stdout;
        let output = world.apply_file(engine, &shown);
        // The times that are left are shorter, which is a change.
        let is_timed = shown.contains("for");
        assert!(
            is_timed && (output.stdout.contains("changed") || output.stdout.contains("unchanged")),
            "{output}"
        );
        texts.push(shown);
    }
    println!("{}", texts[0]);
    world.shaper("clear", &["--to", &port]).expect(Exit::Done);
    let objects_before = world.bpf_objects();
    for format in ["toml", "yaml", "json"] {
        let shown = world.shaper("show", &["--as", format]).expect(Exit::Done).stdout;
        let output = world.apply_file(engine, &shown);
        assert!(output.stdout.starts_with("unchanged"), "{format}: {output}\n{shown}");
        let again = world.shaper("show", &["--as", format]).expect(Exit::Done).stdout;
        assert_eq!(again, shown);
    }
    assert_eq!(world.bpf_objects(), objects_before, "programs and maps stay");
    assert!(!objects.programs.is_empty());
}

fn replaces(context: &Context) {
    let world = World::new();
    peers::join(&world, &[OWN]);
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "1ms", "--direction", "both"]);
    world.apply(context.engine(), &["--to", &Family::V4.near(PEER).to_string(), "--latency", "2ms"]);
    let mut objects = world.bpf_objects();
    let own = Family::V6.near(OWN);
    let file = format!("direction = 'both'\n\n[[rules]]\nto = '{own}'\nlatency = '3ms'\n");
    let output = world.apply_file(context.engine(), &file);
    assert!(output.stdout.starts_with("changed"), "{output}");
    for direction in ["egress", "ingress"] {
        let show = world.show();
        let _there = show.rule(direction, Some(&own.to_string()));
    }
    let shown = world.shaper("show", &["--as", "json"]).expect(Exit::Done).json();
    assert_eq!(shown["rules"].as_array().map(Vec::len), Some(1), "{shown:#}");
    objects.extend(world.bpf_objects());
    let output = world.apply_file(context.engine(), "direction = 'both'\nrules = []\n");
    assert!(output.stdout.starts_with("cleared"), "{output}");
    world.expect_restored(&before, &objects);
    let output = world.apply_file(context.engine(), "direction = 'both'\nrules = []\n");
    assert!(output.stdout.starts_with("unchanged"), "{output}");
    before.expect_same(&world.snapshot());
}
