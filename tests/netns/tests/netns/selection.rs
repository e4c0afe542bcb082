//! Finding the namespace and the link: by name, by path, by process, and all there are.

use std::process::{Command, Stdio};

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::contained;
use shaper_netns_tests::named::Name;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{self as binary, Exit};
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("a_namespace_is_found_by_name", Load::Light, by_name),
        Case::each_engine("a_namespace_is_found_by_process", Load::Light, by_process),
        Case::each_engine("show_and_clear_all_find_every_namespace", Load::Light, all),
        Case::each_engine("self_is_the_namespace_of_the_command", Load::Light, own),
    ]
}

fn by_name(context: &Context) {
    let world = World::new();
    let name = Name::give(&world.inst);
    let world = world.selected_by(name.as_str());
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "5ms"]);
    let objects = world.bpf_objects();
    assert_eq!(world.show().attachments(), 1);
    world.clear();
    world.expect_restored(&before, &objects);
}

fn by_process(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let mut sleeper = world
        .inst
        .run(|| Command::new("sleep").arg("60").stdin(Stdio::null()).spawn())
        .expect("sleep is installed");
    let pid = sleeper.id().to_string();
    let run = |verb: &str, args: &[&str]| {
        binary::run(world.command().args([verb, "--pid", &pid]).args(args)).expect(Exit::Done)
    };
    run("apply", &["--engine", context.engine().name(), "--latency", "5ms"]);
    let objects = world.bpf_objects();
    assert_eq!(world.show().attachments(), 1);
    run("clear", &[]);
    world.expect_restored(&before, &objects);
    sleeper.kill().expect("our own child can be killed");
    sleeper.wait().expect("our own child can be waited for");
}

/// Contained: on this machine someone may be working with `shaper`.
fn all(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    world.apply(context.engine(), &["--latency", "5ms", "--direction", "both"]);
    let objects = world.bpf_objects();
    let contained = |args: &[&str]| {
        let mut command = contained::command(&world.inst, "inst-1", &binary::binary());
        binary::run(command.args(args)).expect(Exit::Done)
    };
    let shown = contained(&["show", "--json"]);
    assert!(shown.stdout.contains("inst-1"), "{shown}");
    contained(&["clear", "--all"]);
    world.expect_restored(&before, &objects);
}

fn own(context: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let run = |verb: &str, args: &[&str]| {
        let command = || binary::run(world.command().args([verb, "--self"]).args(args));
        run_in(&world.inst, command).expect(Exit::Done)
    };
    run("apply", &["--engine", context.engine().name(), "--latency", "5ms"]);
    let objects = world.bpf_objects();
    assert_eq!(world.show().attachments(), 1);
    run("clear", &[]);
    world.expect_restored(&before, &objects);
}

fn run_in<T: Send>(node: &Node, inside: impl FnOnce() -> T + Send) -> T {
    node.run(inside)
}
