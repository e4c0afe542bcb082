//! Wall time of commands, as a script that calls them would have it: `shaper apply` against `tc qdisc replace`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::world::World;

use crate::record::{Metric, Recorder, attempt};
use crate::subject::Direction;

const GROUP: &str = "command";

/// Rounds go on until this time is over.
const BUDGET: Duration = Duration::from_millis(1500);
const ROUNDS_MIN: usize = 3;
const ROUNDS_MAX: usize = 20;

/// The steps of a round, each a row.
const STEPS: [&str; 5] = ["nothing (--version)", "first", "unchanged", "changed", "clear"];

/// Measures `shaper apply` and `shaper clear`.
pub(crate) fn measure_shaper(engine: Engine, direction: Direction, recorder: &mut Recorder) {
    let result = attempt(|| {
        let world = World::new();
        let netns = world.inst.path();
        let command = |args: &[&str]| {
            let mut command = world.command();
            command.arg(args[0]).arg("--ns").arg(&netns).args(&args[1..]);
            command
        };
        let apply = |latency| {
            let options = ["--engine", engine.name(), "--direction", direction.name(), "--latency", latency];
            command(&[&["apply"], &options[..]].concat())
        };
        rounds(|step| match step {
            0 => {
                let mut version = world.command();
                version.arg("--version");
                wall_time(&mut version)
            }
            1 | 2 => wall_time(&mut apply("100ms")),
            3 => wall_time(&mut apply("50ms")),
            _ => wall_time(&mut command(&["clear"])),
        })
    });
    write(&engine.to_string(), result, recorder);
}

/// Measures `tc qdisc replace` and `tc qdisc del`, where `tc` is installed, with netem, or else with tbf, which most kernels
/// have.
pub(crate) fn measure_tc(recorder: &mut Recorder) {
    let world = match attempt(|| Ok(World::new())) {
        Ok(world) => world,
        Err(problem) => return eprintln!("{GROUP}/tc: {problem}"),
    };
    // The namespace's own thread: entering it is not what is measured.
    let tc = |args: &[&str]| world.inst.run(|| wall_time(Command::new("tc").args(args)));
    let root = ["qdisc", "replace", "dev", "eth0", "root"];
    let kinds = [
        ("tc netem", ["netem", "delay", "100ms"].as_slice(), ["netem", "delay", "50ms"].as_slice()),
        (
            "tc tbf",
            ["tbf", "rate", "100mbit", "burst", "64kb", "latency", "100ms"].as_slice(),
            ["tbf", "rate", "50mbit", "burst", "64kb", "latency", "100ms"].as_slice(),
        ),
    ];
    let result = attempt(|| {
        let is_here = |kind: &&(&str, &[&str], &[&str])| tc(&[&root, kind.1].concat()).is_ok();
        let (name, options, changed) = kinds.iter().find(is_here).ok_or("no tc, or neither netem nor tbf")?;
        tc(&["qdisc", "del", "dev", "eth0", "root"])?;
        let times = rounds(|step| match step {
            0 => tc(&["-V"]),
            1 | 2 => tc(&[&root, *options].concat()),
            3 => tc(&[&root, *changed].concat()),
            _ => tc(&["qdisc", "del", "dev", "eth0", "root"]),
        })?;
        Ok((*name, times))
    });
    match result {
        Ok((name, times)) => write(name, Ok(times), recorder),
        Err(problem) => eprintln!("{GROUP}/tc: {problem}"),
    }
}

fn write(subject: &str, times: Result<[Duration; STEPS.len()], String>, recorder: &mut Recorder) {
    let millis = times.map(|times| times.map(|time| time.as_secs_f64() * 1e3));
    recorder.write(GROUP, subject, STEPS.map(|step| Metric::less(step, "ms")), &millis);
}

/// Runs the steps in rounds, and returns the median of each.
fn rounds(
    mut step: impl FnMut(usize) -> Result<Duration, String>,
) -> Result<[Duration; STEPS.len()], String> {
    let begin = Instant::now();
    let mut times: [Vec<Duration>; STEPS.len()] = Default::default();
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS_MIN && begin.elapsed() > BUDGET {
            break;
        }
        for (index, times) in times.iter_mut().enumerate() {
            times.push(step(index).map_err(|problem| format!("{}: {problem}", STEPS[index]))?);
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    }))
}

/// From before the fork to after the wait.
fn wall_time(command: &mut Command) -> Result<Duration, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status().map_err(|error| error.to_string())?;
    let took = begin.elapsed();
    if status.success() { Ok(took) } else { Err(format!("ended with {status}")) }
}
