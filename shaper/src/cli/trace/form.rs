//! In what form packets are told.

use shaper_common::trace::{Event, HEAD};

use super::line::{self, Note};
use super::{Source, output};
use crate::cli::args::TraceArgs;
use crate::cli::doctor;
use crate::cli::exit::Failure;
use crate::trace::pcapng::{self, Captured, Origin};
use crate::trace::{Packet, Wall};

/// Lines for people, lines for programs, or blocks for Wireshark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Pcapng,
}

impl Form {
    pub(super) fn of(args: &TraceArgs) -> Self {
        match (args.json, &args.pcapng) {
            (_, Some(_)) => Self::Pcapng,
            (true, None) => Self::Json,
            (false, None) => Self::Text,
        }
    }

    /// What comes before the first packet.
    pub(super) fn opening(self, sources: &[Source]) -> Vec<u8> {
        if self != Self::Pcapng {
            return Vec::new();
        }
        let mut opening = pcapng::section(Origin {
            hardware: std::env::consts::ARCH,
            os: &format!("Linux {}", doctor::kernel()),
            application: concat!("shaper ", env!("CARGO_PKG_VERSION")),
        });
        for source in sources {
            let (link, direction) = (source.tracer.link(), source.tracer.direction_name());
            opening.extend(pcapng::interface(link, direction, HEAD as u32));
        }
        opening
    }

    /// A packet and what became of it.
    pub(super) fn packet(
        self,
        source: &Source,
        event: &Event,
        packet: &Packet,
        wall: Wall,
    ) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            Self::Text => line::text(&source.tracer, packet).into_bytes(),
            Self::Json => line::json(&source.tracer, packet)?.into_bytes(),
            Self::Pcapng => pcapng::packet(&Captured {
                interface: source.interface,
                unix_ns: wall.unix_ns(event.arrival_ns),
                direction: source.tracer.direction(),
                wire_bytes: event.wire_bytes,
                bytes: event.head(),
                comment: &line::outcome(packet),
            }),
        })
    }

    /// What else is to be said, where it is said among the packets; said on stderr where not.
    pub(super) fn note(self, source: &Source, note: Note) -> Result<Vec<u8>, Failure> {
        if self == Self::Json {
            return Ok(line::json(&source.tracer, &note)?.into_bytes());
        }
        output::narrate(format_args!("{}: {note}", line::what(&source.tracer)));
        Ok(Vec::new())
    }

    /// What comes after the last packet of one of the sources.
    pub(super) fn ending(self, source: &Source, unix_ns: u64) -> Vec<u8> {
        if self != Self::Pcapng {
            return Vec::new();
        }
        pcapng::statistics(source.interface, unix_ns, source.missed)
    }
}
