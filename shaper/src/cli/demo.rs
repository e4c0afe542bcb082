//! `shaper demo`: the main job on two namespaces of its own, measured before, during and after.
//!
//! What it shows is done by the commands that it prints: this same program, started as a user would start it. Only the
//! namespaces, which nobody else has, and the measuring are its own.

mod command;
mod reading;
mod table;
mod world;

use std::time::Duration;

use serde::Serialize;

use super::args::{DEMO_LATENCY, DemoArgs};
use super::exit::{Code, Failure};
use super::{failure, output};
use crate::measure::tcp::Bulk;
use crate::probe::{self, Cap};
use crate::shape::{Direction, EngineChoice, Named as _, Parts, Shape};
use command::Commands;
use reading::Reading;
use world::World;

/// What `demo --json` prints.
#[derive(Debug, Serialize)]
struct Body {
    asked: Shape,
    engine: &'static str,
    why: String,
    /// The commands that were run, as they would be typed.
    commands: Vec<String>,
    before: Reading,
    during: Reading,
    after: Reading,
    /// Whether links, qdiscs and filters were the same after as before.
    restored: bool,
}

pub(super) fn run(args: DemoArgs) -> Result<(), Failure> {
    let shape = args.shape.shape_or(DEMO_LATENCY)?;
    probe::require(&Cap::ALL).map_err(failure::probe)?;
    let picked = probe::choose(args.engine, Direction::Egress, &shape.into()).map_err(failure::probe)?;
    // Before anything is made, so that no signal finds something that it would leave.
    let signals = command::hold_signals()?;
    let mut world = World::create()?;
    let namespace = world.client_path();
    let mut commands = Commands::new(&namespace, signals, args.json);
    let engine = EngineChoice::from(picked.engine).name();

    output::narrate(format_args!(
        "A link to slow down: two network namespaces, joined by a veth link that is `eth0` in both. They have no names and\n\
         end with this command; until then the first is {namespace}.\n"
    ));
    let (unshaped, shaped) = reading::bulks(&shape).unzip();
    let before = measure(&world, None, unshaped.as_ref(), "Nothing shapes the link")?;
    let untouched = world.snapshot()?;

    output::narrate(format_args!("The first namespace is to send as through a link with {}:", shape.words()));
    commands.run("apply", &apply_flags(&args, &shape))?;
    let during = measure(&world, Some(&shape), shaped.as_ref(), "The same link now")?;
    output::narrate("What the kernel counted meanwhile:");
    commands.run("show", &[])?;
    output::narrate("And all of it is taken away:");
    commands.run("clear", &[])?;
    let after = measure(&world, None, unshaped.as_ref(), "The link is as it was")?;
    let restored = world.snapshot()? == untouched;

    let why = picked.why;
    let body =
        Body { asked: shape, engine, why, commands: commands.into_lines(), before, during, after, restored };
    if args.json {
        output::print_json(&body)?;
    } else {
        output::print(table::text(&body))?;
        output::narrate(next(&body));
    }
    match table::wrong(&body) {
        Some(wrong) => {
            Err(Failure::new(Code::Failed, anyhow::anyhow!("the link did not do as asked: {wrong}")))
        }
        None => Ok(()),
    }
}

/// Pings from the first namespace to the second, and with `bulk` also sends it what TCP can.
fn measure(
    world: &World,
    shape: Option<&Shape>,
    bulk: Option<&Bulk>,
    what: &str,
) -> Result<Reading, Failure> {
    let mut reading = world.ping(&reading::train(shape))?;
    reading.goodput_bits_per_sec = bulk.map(|bulk| world.goodput(bulk)).transpose()?;
    output::narrate(format_args!(
        "{what}; {} pings from the first namespace to the second:\n    {reading}\n",
        reading.sent
    ));
    Ok(reading)
}

/// The flags that a user would type for this demo's shape.
fn apply_flags(args: &DemoArgs, shape: &Shape) -> Vec<String> {
    let parts = args.shape.parts().unwrap_or_else(|_| (*shape).into());
    let is_default = parts == (Parts { seed: parts.seed, ..Parts::default() });
    let latency = parts.latency.or(is_default.then_some(DEMO_LATENCY));
    let mut flags = Parts { latency, ..parts }.flags();
    if args.engine.engine().is_some() {
        flags.extend(["--engine".to_owned(), args.engine.name().to_owned()]);
    }
    flags
}

fn next(body: &Body) -> String {
    let another = if body.asked.bandwidth().is_some() {
        "shaper demo --latency 40ms --jitter 10ms --distribution normal"
    } else {
        "shaper demo --latency 20ms --bandwidth 10mbit"
    };
    format!(
        "\nNow on a namespace of yours (`ip netns list`; or --pid PID for a process's):\n    \
         shaper apply --ns NAME --latency 40ms\n    shaper show\n    shaper clear --ns NAME\n\
         Or another demo:  {another}"
    )
}

/// How long a shape may hold a packet, its queue left aside.
fn longest_delay(shape: &Shape) -> Duration {
    // The heaviest tail of the distributions reaches some eight standard deviations.
    Duration::from(shape.latency()) + 8 * Duration::from(shape.jitter())
}
