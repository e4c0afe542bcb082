//! What is measured side by side.

use std::fmt;
use std::time::Duration;

use shaper::netlink::link::Device;
use shaper::tc::qdisc::{Kind, Qdisc, netem};
use shaper::tc::{Handle, Verb};
use shaper_netns_tests::engine::{self, Engine};
use shaper_netns_tests::shaper::Exit;
use shaper_netns_tests::world::World;

/// Which way the shaped packets go, seen from the namespace whose link is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Out of it.
    Egress,
    /// Into it.
    Ingress,
}

impl Direction {
    /// Reads the value of `--direction`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Egress, Self::Ingress].into_iter().find(|direction| direction.name() == text)
    }

    /// Returns the value of `--direction`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// A veth link, and who delays its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nobody.
    Unshaped,
    /// A netem qdisc at the root, with nothing of ours: what the field does.
    PlainNetem,
    /// `shaper apply --engine ...`.
    Engine(Engine),
}

impl Subject {
    /// Every subject, in the order of the columns.
    pub(crate) const ALL: [Self; 5] = [
        Self::Unshaped,
        Self::PlainNetem,
        Self::Engine(Engine::Edt),
        Self::Engine(Engine::Netem),
        Self::Engine(Engine::Relay),
    ];

    /// Says why this kernel cannot do it.
    pub(crate) fn is_here(self, direction: Direction) -> Result<(), String> {
        match self {
            Self::Unshaped => Ok(()),
            Self::PlainNetem if direction == Direction::Ingress => Err("a qdisc is for egress".to_owned()),
            Self::PlainNetem => self.shape(&World::new(), Direction::Egress, Duration::from_millis(1)),
            Self::Engine(engine) => engine::available(engine),
        }
    }

    /// Gives link 0 of `inst` this delay, in place of the one before.
    pub(crate) fn shape(self, world: &World, direction: Direction, latency: Duration) -> Result<(), String> {
        match self {
            Self::Unshaped => Err("an unshaped link has no delay".to_owned()),
            Self::PlainNetem => {
                let replace = plain_netem(world.inst.device("eth0"), latency).message(Verb::Replace);
                world.inst.socket().request(replace).map_err(|error| error.to_string())
            }
            Self::Engine(engine) => {
                let latency = format!("{}us", latency.as_micros());
                let args = ["--latency", &latency, "--direction", direction.name()];
                let applied = world.try_apply(engine, &args);
                if applied.exit == Exit::Done { Ok(()) } else { Err(applied.stderr.trim().to_owned()) }
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unshaped => f.write_str("unshaped"),
            Self::PlainNetem => f.write_str("tc netem"),
            Self::Engine(engine) => engine.fmt(f),
        }
    }
}

/// `tc qdisc replace dev DEV root netem delay LATENCY limit 100000`: room for 10 Gbit/s of full frames for 100 ms.
fn plain_netem(dev: Device, latency: Duration) -> Qdisc {
    let delay_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    let options = netem::Options { limit_packets: 100_000, delay_ns, ..netem::Options::default() };
    Qdisc { dev, parent: Handle::ROOT, handle: Handle::NONE, kind: Kind::Netem(options) }
}
