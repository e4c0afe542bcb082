//! The container image: `shaper` as process 1, with nothing else in the image and no privileges but those that it uses; and the compose
//! files in `examples`.

use std::path::Path;
use std::time::{Duration, Instant};

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::docker::compose::{self, Project};
use shaper_netns_tests::docker::{self, BUSYBOX, Dockerd, SHAPER};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{Exit, Output};
use shaper_netns_tests::{undisturbed, wait};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/compose");

/// What it takes to shape the network that a container shares.
const LEAST: [&str; 3] = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"];

const SHAPED_WITHIN: Duration = Duration::from_secs(10);
const WELL_WITHIN: Duration = Duration::from_secs(10);
/// Docker kills what has not ended 10 s after SIGTERM.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How much later than asked a reply may come, in ms: it is busybox that reads the clock.
const LATE_MS: f64 = 10.0;
/// The program and nothing else, in bytes.
const SIZE_MAX: u64 = 16_000_000;

pub(crate) fn cases() -> Vec<Case> {
    let one_shot = |name| Case::each_engine(name, Load::Timing, one_shot).when(image);
    vec![
        Case::once("image_is_a_sidecar_with_the_least_privileges", Load::Timing, sidecar).when(image),
        one_shot("image_one_shot_leaves_a_shape_or_says_that_it_cannot"),
        Case::once("image_in_compose_delays_the_data_network_by_labels", Load::Timing, by_labels).when(files),
        Case::once("image_in_compose_is_a_sidecar", Load::Timing, compose_sidecar).when(files),
    ]
    .into_iter()
    .map(|case| case.deadline(Duration::from_secs(120)))
    .collect()
}

fn image() -> Result<(), String> {
    docker::available()?;
    docker::static_shaper().map(drop)
}

fn files() -> Result<(), String> {
    image()?;
    compose::available()
}

fn daemon(node: &Node) -> Dockerd {
    let dockerd = Dockerd::start(node);
    dockerd.build_busybox();
    dockerd.build_shaper();
    dockerd
}

/// A daemon with containers `app` and `peer` on one network.
fn app_and_peer(node: &Node) -> Dockerd {
    let dockerd = daemon(node);
    dockerd.docker(&["network", "create", "data"]);
    for name in ["app", "peer"] {
        dockerd.run(name, &["--network=data", BUSYBOX]);
    }
    dockerd
}

/// Options of a container beside `app`, with these capabilities alone.
fn beside_app(capabilities: &[&str]) -> Vec<String> {
    let fixed = ["--network=container:app", "--read-only", "--device=/dev/net/tun", "--cap-drop=ALL"];
    let added = capabilities.iter().map(|name| format!("--cap-add={name}"));
    fixed.into_iter().map(str::to_owned).chain(added).collect()
}

/// Runs `shaper` with `args` in a container beside `app` to its end.
#[track_caller]
fn once(dockerd: &Dockerd, capabilities: &[&str], args: &[&str]) -> Output {
    let mut words = vec!["run".to_owned(), "--rm".to_owned()];
    words.extend(beside_app(capabilities));
    words.push(SHAPER.to_owned());
    words.extend(args.iter().map(|&word| word.to_owned()));
    dockerd.try_docker(&words)
}

#[track_caller]
fn expect_rtt(dockerd: &Dockerd, from: &str, to: &str, ms: f64) {
    undisturbed::reading(|| {
        let rtt = dockerd.rtt_ms(from, to);
        undisturbed::check(rtt, (ms..ms + LATE_MS).contains(&rtt), |rtt| {
            format!("{from} to {to}: {rtt} ms, not {ms}")
        })
    });
}

#[track_caller]
fn until_well(dockerd: &Dockerd, container: &str) {
    wait::until("the agent is well", WELL_WITHIN, || {
        let checked = dockerd.try_docker(&["exec", container, "/shaper", "agent", "--check"]);
        let ended = dockerd.inspect(container, "{{.State.Status}}") == "exited";
        assert!(!ended, "{}", dockerd.try_docker(&["logs", container]));
        (checked.exit == Exit::Done).then_some(())
    });
}

fn sidecar(_: &Context) {
    let node = Node::new("host", 1);
    let dockerd = app_and_peer(&node);
    for missing in LEAST {
        let others: Vec<_> = LEAST.into_iter().filter(|name| *name != missing).collect();
        let refused = once(&dockerd, &others, &["agent", "--self"]).expect(Exit::Permission);
        assert!(refused.stderr.contains(&format!("CAP_{missing}")), "{refused}");
    }
    let refused = once(&dockerd, &LEAST, &["agent", "--self"]).expect(Exit::Failed);
    assert!(refused.stderr.contains("/run/shaper") && refused.stderr.contains("Read-only"), "{refused}");

    let mut options = beside_app(&LEAST);
    // A socket is given to a group of one's own without a privilege.
    let agent = ["--tmpfs=/run/shaper", "--group-add=4242", SHAPER, "agent", "--self", "--group=4242"];
    options.extend(agent.map(str::to_owned));
    dockerd.run("side", &options.iter().map(String::as_str).collect::<Vec<_>>());
    until_well(&dockerd, "side");
    for _ in 0..2 {
        dockerd.exec("side", &["/shaper", "apply", "--self", "--latency", "40ms"]);
        expect_rtt(&dockerd, "app", "peer", 40.0);
        dockerd.exec("side", &["/shaper", "clear", "--self"]);
        expect_rtt(&dockerd, "app", "peer", 0.0);
    }
    // A relay's parent is process 1; what ended and was not waited for would be seen.
    let processes =
        dockerd.docker(&["run", "--rm", "--pid=container:side", BUSYBOX, "ps", "-o", "pid,stat,args"]);
    let of_shaper: Vec<_> = processes.lines().filter(|line| line.contains("shaper")).collect();
    assert!(of_shaper.len() == 2 && of_shaper.iter().all(|line| line.contains("agent")), "{processes}");

    dockerd.exec("side", &["/shaper", "apply", "--self", "--latency", "40ms"]);
    let begin = Instant::now();
    dockerd.docker(&["stop", "side"]);
    assert!(begin.elapsed() < STOPPED_WITHIN, "stopped after {:?}", begin.elapsed());
    assert_eq!(dockerd.inspect("side", "{{.State.ExitCode}}"), "0", "{}", dockerd.docker(&["logs", "side"]));
    // The relay was in that container.
    expect_rtt(&dockerd, "app", "peer", 0.0);
    dockerd.docker(&["start", "side"]);
    until_well(&dockerd, "side");
    let again = dockerd.exec("side", &["/shaper", "apply", "--self", "--latency", "40ms"]);
    assert!(again.starts_with("restarted"), "{again}");
    expect_rtt(&dockerd, "app", "peer", 40.0);

    let size = dockerd.inspect(SHAPER, "{{.Size}}");
    assert!(size.parse::<u64>().is_ok_and(|size| size < SIZE_MAX), "the image has {size} bytes");
}

fn one_shot(context: &Context) {
    let engine = context.engine();
    let node = Node::new("host", 1);
    let dockerd = app_and_peer(&node);
    let applied =
        once(&dockerd, &LEAST, &["apply", "--self", "--latency", "40ms", "--engine", engine.name()]);
    if engine == Engine::Relay {
        let refused = applied.expect(Exit::Failed);
        assert!(refused.stderr.contains("process 1 of its container"), "{refused}");
        let shown = once(&dockerd, &LEAST, &["show", "--self"]).expect(Exit::Done);
        assert!(shown.stdout.contains("nothing is shaped"), "{shown}");
        expect_rtt(&dockerd, "app", "peer", 0.0);
    } else {
        applied.expect(Exit::Done);
        expect_rtt(&dockerd, "app", "peer", 40.0);
    }
}

fn by_labels(_: &Context) {
    let node = Node::new("host", 1);
    let dockerd = daemon(&node);
    let file = Path::new(EXAMPLES).join("compose.yaml");
    let project = Project::up(&dockerd, &file);
    let [coordinator, runners] = ["coordinator", "runner"].map(|service| project.containers(service));
    let ([coordinator], [one, two]) = (&coordinator[..], &runners[..]) else {
        panic!("a coordinator and two runners, not {coordinator:?} and {runners:?}");
    };
    let agent = project.containers("agent").concat();
    until_well(&dockerd, &agent);
    let data = |container: &str| project.address(container, "data");
    wait::until("both runners are shaped", SHAPED_WITHIN, || {
        (dockerd.rtt_ms(one, &data(two)) >= 100.0).then_some(())
    });
    expect_rtt(&dockerd, one, &data(two), 100.0);
    expect_rtt(&dockerd, one, &project.address(two, "control"), 0.0);
    expect_rtt(&dockerd, coordinator, &data(two), 50.0);
    // As the README has it.
    expect_rtt(&dockerd, one, "coordinator.data", 50.0);
    expect_rtt(&dockerd, one, "coordinator.control", 0.0);
}

fn compose_sidecar(_: &Context) {
    let node = Node::new("host", 1);
    let dockerd = daemon(&node);
    let file = Path::new(EXAMPLES).join("compose.sidecar.yaml");
    let project = Project::up(&dockerd, &file);
    let [app, sidecar] = ["app", "sidecar"].map(|service| project.containers(service).concat());
    until_well(&dockerd, &sidecar);
    expect_rtt(&dockerd, &app, "peer", 0.0);
    dockerd.exec(&sidecar, &["/shaper", "apply", "--self", "--latency", "50ms", "--direction", "both"]);
    expect_rtt(&dockerd, &app, "peer", 100.0);
}
