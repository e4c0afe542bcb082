//! Where a shape applies and who is to hold its packets.

use shaper_common::abi;

use super::named::{Named, text_by_name};

/// Which packets a shape applies to, seen from the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Those that leave it.
    #[default]
    Egress,
    /// Those that come in.
    Ingress,
    /// All of them; each direction has the shape for itself, so a round trip meets it twice.
    Both,
}

impl Direction {
    /// The one or two directions that this stands for, egress first.
    #[must_use]
    pub fn each(self) -> &'static [abi::Direction] {
        match self {
            Self::Egress => &[abi::Direction::Egress],
            Self::Ingress => &[abi::Direction::Ingress],
            Self::Both => &[abi::Direction::Egress, abi::Direction::Ingress],
        }
    }
}

impl From<abi::Direction> for Direction {
    fn from(direction: abi::Direction) -> Self {
        match direction {
            abi::Direction::Egress => Self::Egress,
            abi::Direction::Ingress => Self::Ingress,
        }
    }
}

impl Named for Direction {
    const WHAT: &'static str = "a direction";
    const ALL: &'static [Self] = &[Self::Egress, Self::Ingress, Self::Both];

    fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Both => "both",
        }
    }
}

text_by_name!(Direction);

/// Who is to hold packets until their departure time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// The best engine that this kernel can run.
    #[default]
    Auto,
    /// The `fq` qdisc, by the time stamped on each packet.
    Edt,
    /// A `netem` qdisc under an `htb` class.
    Netem,
    /// A process of ours, through a TAP.
    Relay,
}

impl EngineChoice {
    /// The engine named, or `None` for `auto`.
    #[must_use]
    pub fn engine(self) -> Option<abi::Engine> {
        match self {
            Self::Auto => None,
            Self::Edt => Some(abi::Engine::Edt),
            Self::Netem => Some(abi::Engine::Netem),
            Self::Relay => Some(abi::Engine::Relay),
        }
    }
}

impl From<abi::Engine> for EngineChoice {
    fn from(engine: abi::Engine) -> Self {
        match engine {
            abi::Engine::Edt => Self::Edt,
            abi::Engine::Netem => Self::Netem,
            abi::Engine::Relay => Self::Relay,
        }
    }
}

impl Named for EngineChoice {
    const WHAT: &'static str = "an engine";
    const ALL: &'static [Self] = &[Self::Auto, Self::Edt, Self::Netem, Self::Relay];

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Edt => "edt",
            Self::Netem => "netem",
            Self::Relay => "relay",
        }
    }
}

text_by_name!(EngineChoice);
