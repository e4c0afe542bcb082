//! Requests that only a real namespace can refuse: the exit code, and a message that helps. What the command line alone can
//! refuse is in the table beside its parser.

use caps::{CapSet, Capability};

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::{self, Engine};
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("a_missing_namespace_is_named", Load::Light, missing_namespace),
        Case::once("a_file_that_is_no_namespace_is_refused", Load::Light, no_namespace),
        Case::once("a_missing_process_is_named", Load::Light, missing_process),
        Case::once("several_links_are_named_for_a_choice", Load::Light, several_links),
        Case::once("an_unknown_link_is_refused_with_the_choices", Load::Light, unknown_link),
        Case::once("a_namespace_without_a_link_is_refused", Load::Light, no_link),
        Case::once("a_missing_capability_is_named", Load::Light, capabilities),
        Case::once("an_absent_engine_is_refused_in_the_kernels_words", Load::Light, absent_engine),
        Case::once("doctor_agrees_with_apply", Load::Light, doctor),
        Case::once("auto_picks_an_engine_that_works", Load::Timing, auto),
    ]
}

fn missing_namespace(_: &Context) {
    let world = World::new().selected_by("shaper-test-no-such-namespace");
    for (verb, args) in [("apply", &["--latency", "1ms"][..]), ("show", &[]), ("clear", &[])] {
        let output = world.shaper(verb, args);
        expect_refusal(&output, Exit::Usage, &["shaper-test-no-such-namespace"]);
    }
    let world = world.selected_by("/proc/self/no/such/file");
    expect_refusal(&world.shaper("apply", &["--latency", "1ms"]), Exit::Usage, &["/proc/self/no/such/file"]);
}

fn no_namespace(_: &Context) {
    for path in ["/proc/self/status", "/proc/self/ns/mnt"] {
        let world = World::new().selected_by(path);
        expect_refusal(
            &world.shaper("apply", &["--latency", "1ms"]),
            Exit::Usage,
            &[path, "network namespace"],
        );
    }
}

fn missing_process(_: &Context) {
    // Above the kernel's own limit of 2^22, so that there never is such a process.
    let output = binary::run(binary::command().args(["apply", "--pid", "4194305", "--latency", "1ms"]));
    expect_refusal(&output, Exit::Usage, &["4194305"]);
}

fn several_links(_: &Context) {
    let world = World::with_links(3);
    let before = world.snapshot();
    let output = world.shaper("apply", &["--latency", "1ms"]);
    expect_refusal(&output, Exit::Usage, &["eth0", "eth1", "eth2", "--dev"]);
    world.expect_restored(&before, &Default::default());
}

fn unknown_link(_: &Context) {
    let world = World::with_links(2);
    let before = world.snapshot();
    let output = world.shaper("apply", &["--latency", "1ms", "--dev", "eth7"]);
    expect_refusal(&output, Exit::Usage, &["eth7", "eth0", "eth1"]);
    world.expect_restored(&before, &Default::default());
}

fn no_link(_: &Context) {
    let world = World::with_links(0);
    let output = world.shaper("apply", &["--latency", "1ms"]);
    expect_refusal(&output, Exit::Usage, &["link"]);
}

/// Root without a capability: what a container runtime gives by default.
fn capabilities(_: &Context) {
    for (missing, name) in
        [(Capability::CAP_SYS_ADMIN, "CAP_SYS_ADMIN"), (Capability::CAP_NET_ADMIN, "CAP_NET_ADMIN")]
    {
        let world = World::new();
        let before = world.snapshot();
        let output = without(missing, || world.shaper("apply", &["--latency", "1ms"]));
        expect_refusal(&output, Exit::Permission, &[name]);
        world.expect_restored(&before, &Default::default());
    }
}

/// Runs a command that has all but one of our capabilities: the bounding set is a thread's own and caps what root gains on exec.
fn without<T: Send>(missing: Capability, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let limited = scope.spawn(|| {
            caps::drop(None, CapSet::Bounding, missing).expect("CAP_SETPCAP allows it");
            run()
        });
        limited.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Skipped by no one: a kernel with every engine has nothing to refuse, and the trial then checks nothing.
fn absent_engine(_: &Context) {
    for absent in Engine::ALL.into_iter().filter(|&engine| engine::available(engine).is_err()) {
        let world = World::new();
        let before = world.snapshot();
        let output = world.try_apply(absent, &["--latency", "1ms"]);
        println!("{}", output.stderr.trim());
        let config = match absent {
            Engine::Edt => "CONFIG_NET_SCH_FQ",
            Engine::Netem => "CONFIG_NET_SCH_NETEM",
            Engine::Relay => "CONFIG_TUN",
        };
        expect_refusal(&output, Exit::Unsupported, &[config]);
        let works = Engine::ALL.into_iter().find(|&engine| engine::available(engine).is_ok());
        assert!(works.is_none_or(|works| output.stderr.contains(works.name())), "{output}");
        if absent == Engine::Edt || absent == Engine::Netem {
            assert!(output.stderr.contains("qdisc kind is unknown"), "the kernel's own words: {output}");
        }
        world.expect_restored(&before, &Default::default());
    }
}

fn doctor(_: &Context) {
    let report = binary::run(binary::command().args(["doctor", "--json"])).expect(Exit::Done).json();
    for engine in Engine::ALL {
        let rows = report["engines"].as_array().into_iter().flatten();
        let says: Vec<_> =
            rows.filter(|row| row["name"] == engine.name()).map(|row| row["available"].as_bool()).collect();
        assert_eq!(says, [Some(engine::available(engine).is_ok())], "{engine}: {report:#}");
    }
    let picked = report["picked"].as_str().unwrap_or_default();
    assert!(Engine::ALL.iter().any(|engine| engine.name() == picked), "{report:#}");
}

fn auto(_: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let baseline_ns = world.baseline_ns();
    world.shaper("apply", &["--latency", "20ms"]).expect(Exit::Done);
    let objects = world.bpf_objects();
    world.expect_rtt(baseline_ns + 20e6);
    world.clear();
    world.expect_restored(&before, &objects);
}

/// The message names what was asked and says nothing on standard output.
fn expect_refusal(output: &Output, exit: Exit, words: &[&str]) {
    assert_eq!(output.exit, exit, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "no `{word}` in the message: {output}");
    }
    assert!(output.stdout.is_empty(), "{output}");
}
