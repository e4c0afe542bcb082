//! Measures what this kernel gives with each engine and without; `cargo xtask bench` runs it and makes tables of it.
//!
//! `bench SECONDS DIRECTION FILE [PART]`: SECONDS is the time of one throughput reading, DIRECTION is `egress` or
//! `ingress`, the readings go to FILE as they come, one JSON object per line ([`record::Reading`]), and PART keeps only the
//! parts (`traffic/relay`, `command/tc netem`, `classifier/steer`, ...) whose name contains it. `SHAPER_BIN` is the command to
//! measure. A reading that fails is written with its reason: this never ends in failure for what it measured.

mod classifier;
mod command;
mod cpu;
mod record;
mod subject;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use record::Recorder;
use subject::{Direction, Subject};

/// What the command line says.
struct Options {
    duration: Duration,
    direction: Direction,
    file: PathBuf,
    part: String,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: bench SECONDS egress|ingress FILE [PART]");
        return ExitCode::from(2);
    };
    match Recorder::create(&options.file) {
        Ok(mut recorder) => {
            run(&options, &mut recorder);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write {}: {error}", options.file.display());
            ExitCode::FAILURE
        }
    }
}

fn options() -> Option<Options> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, direction, file, part @ ..] = words.as_slice() else {
        return None;
    };
    Some(Options {
        duration: seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())?,
        direction: Direction::parse(direction)?,
        file: file.into(),
        part: part.first().cloned().unwrap_or_default(),
    })
}

fn run(options: &Options, recorder: &mut Recorder) {
    let is_wanted = |part: &str| part.contains(&options.part);
    for subject in Subject::ALL {
        let of_traffic = is_wanted(&format!("traffic/{subject}"));
        let of_command = is_wanted(&format!("command/{subject}"));
        if !of_traffic && !of_command {
            continue;
        }
        if let Err(reason) = subject.is_here(options.direction) {
            eprintln!("{subject}: not here: {}", reason.lines().next().unwrap_or_default());
            continue;
        }
        if of_traffic {
            traffic::measure(subject, options.direction, options.duration, recorder);
        }
        if let (true, Subject::Engine(engine)) = (of_command, subject) {
            command::measure_shaper(engine, options.direction, recorder);
        }
    }
    if is_wanted("command/tc") {
        command::measure_tc(recorder);
    }
    classifier::measure(is_wanted, recorder);
}
