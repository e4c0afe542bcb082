//! kill -9 of the test itself: the worlds vanish, and with them what was shaping them.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{bpf, process, shaper as binary, wait};

/// First argument of a test binary that is to make a world, shape it and wait to be killed.
const HOLD: &str = "--hold-world";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("a_killed_test_leaves_nothing", Load::Light, |c| killed(c, "one")),
        Case::each_engine("a_killed_test_leaves_nothing_when_both_ends_are_shaped", Load::Light, |c| {
            killed(c, "both")
        }),
    ]
}

fn killed(context: &Context, ends: &str) {
    let own = std::env::current_exe().expect("/proc/self/exe is readable");
    let mut holder = Command::new(own)
        .args([HOLD, context.engine().name(), ends])
        .env("SHAPER_BIN", binary::binary())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary can be started");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("the holder speaks");
    let held: Held = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(!held.programs.is_empty());
    holder.kill().expect("our own child can be killed");
    holder.wait().expect("our own child can be waited for");
    let (_, took) = wait::until("no relay of the killed test is left", GONE_WITHIN, || {
        process::marked(&held.mark).is_empty().then_some(())
    });
    let objects = bpf::Objects { programs: held.programs, maps: held.maps };
    wait::until("its programs and maps are freed", Duration::from_secs(3), || {
        objects.are_gone().then_some(())
    });
    println!("{} {ends}: nothing left {took:?} after the kill", context.engine());
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Held {
    mark: String,
    programs: std::collections::BTreeSet<u32>,
    maps: std::collections::BTreeSet<u32>,
}

/// Makes and shapes a world, says what is in it, and waits, when this process was started for that.
pub(crate) fn hold_if_asked() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().collect();
    let [_, hold, engine, ends] = &words[..] else {
        return None;
    };
    if hold != HOLD {
        return None;
    }
    let engine = Engine::ALL.into_iter().find(|known| known.name() == engine)?;
    let world = World::new();
    world.apply(engine, &["--latency", "50ms", "--direction", "both"]);
    let mut objects = world.bpf_objects();
    if ends == "both" {
        let mut command = world.command();
        let args = ["--engine", engine.name(), "--latency", "50ms"];
        binary::run(command.arg("apply").arg("--ns").arg(world.peer.path()).args(args))
            .expect(binary::Exit::Done);
        objects.extend(bpf::Objects::held_in(&world.peer));
    }
    let held = Held { mark: world.mark().to_owned(), programs: objects.programs, maps: objects.maps };
    println!("{}", serde_json::to_string(&held).expect("strings and numbers always serialise"));
    loop {
        std::thread::park();
    }
}
