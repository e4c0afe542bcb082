//! One line of a trace.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output;
use crate::shape::Named as _;
use crate::trace::{Fate, Packet, Tracer};
use crate::units::Delay;

/// Something else than a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Note {
    /// So many packets found the ring buffer full.
    Missed(u64),
    /// For so long the programs told of nothing, because nobody took it from us.
    Blind(Delay),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(packets) => write!(f, "missed {packets} packets, which came too fast"),
            Self::Blind(time) => write!(f, "missed all packets for {time}, in which the output was not read"),
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    link: &'a str,
    direction: &'static str,
    #[serde(flatten)]
    told: &'a T,
}

/// The attachment, in words.
pub(super) fn what(tracer: &Tracer) -> String {
    format!("{} of `{}`", tracer.direction_name(), tracer.link())
}

/// A packet or a note as one JSON object.
pub(super) fn json<T: Serialize>(tracer: &Tracer, told: &T) -> Result<String, Failure> {
    output::json_line(&Line { link: tracer.link(), direction: tracer.direction_name(), told })
}

/// A packet in words.
pub(super) fn text(tracer: &Tracer, packet: &Packet) -> String {
    format!("{} {} {}\n", tracer.link(), tracer.direction_name(), describe(packet))
}

fn describe(packet: &Packet) -> String {
    // Without the date, to microseconds.
    let time = packet.time.get(11..26).unwrap_or(&packet.time);
    let mut text = time.to_owned();
    if let (Some(source), Some(destination)) = (packet.source, packet.destination) {
        let (source, destination) =
            (end(source, packet.source_port), end(destination, packet.destination_port));
        text.push_str(&format!(" {source} > {destination}"));
    }
    text.push_str(&format!(" {} {} bytes", packet.protocol, packet.bytes));
    if packet.packets > 1 {
        text.push_str(&format!(" in {} packets", packet.packets));
    }
    if let Some(to) = packet.rule {
        text.push_str(&format!(", rule {to}"));
    }
    text.push_str(": ");
    text.push_str(&outcome(packet));
    text
}

/// What became of a packet, in words.
pub(super) fn outcome(packet: &Packet) -> String {
    let mut text = words(&packet.fates, packet.delay, packet.why);
    if let Some(copy) = &packet.copy {
        text.push_str(&format!("; copy {}", words(&copy.fates, copy.delay, None)));
    }
    text
}

fn end(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
        (address, Some(port)) => format!("{address}:{port}"),
        (address, None) => address.to_string(),
    }
}

fn words(fates: &[Fate], delay: Option<Delay>, why: Option<&str>) -> String {
    let word = |fate: &Fate| match (fate, delay) {
        (Fate::Delayed, Some(delay)) => format!("delayed {delay}"),
        (Fate::Passed, _) => format!("passed, {}", reason(why)),
        (Fate::Filtered, _) if why.is_some() => format!("dropped, {}", reason(why)),
        (fate, _) => fate.name().replace('-', " "),
    };
    fates.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn reason(why: Option<&str>) -> &str {
    match why {
        Some("not-ip") => "not IP or neighbour discovery",
        Some("expired") => "after the time limit",
        Some("unheld") => "with nobody to hold it",
        Some("no-rule") => "under no rule",
        other => other.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Copied;

    fn packet() -> Packet {
        Packet {
            time: "2026-01-02T03:04:05.678901234Z".into(),
            source: Some("10.0.0.1".parse().unwrap()),
            source_port: Some(40_000),
            destination: Some("10.0.0.2".parse().unwrap()),
            destination_port: Some(53),
            protocol: "udp".into(),
            bytes: 98,
            packets: 1,
            rule: None,
            fates: vec![Fate::Reordered, Fate::Delayed],
            why: None,
            delay: Some(Delay::from_ms(5)),
            copy: Some(Copied { fates: vec![Fate::QueueFull], delay: None }),
        }
    }

    #[test]
    fn a_packet_is_told_on_a_line() {
        assert_eq!(
            describe(&packet()),
            "03:04:05.678901 10.0.0.1:40000 > 10.0.0.2:53 udp 98 bytes: reordered, delayed 5ms; copy queue full"
        );
        let v6 = Some("fd00::1".parse().unwrap());
        let tcp = Packet {
            source: v6,
            destination: v6,
            protocol: "tcp".into(),
            packets: 3,
            fates: vec![Fate::Lost],
            copy: None,
            ..packet()
        };
        assert_eq!(
            describe(&tcp),
            "03:04:05.678901 [fd00::1]:40000 > [fd00::1]:53 tcp 98 bytes in 3 packets: lost"
        );
        let arp = Packet {
            source: None,
            protocol: "arp".into(),
            fates: vec![Fate::Passed],
            why: Some("not-ip"),
            copy: None,
            ..packet()
        };
        assert_eq!(describe(&arp), "03:04:05.678901 arp 98 bytes: passed, not IP or neighbour discovery");
    }

    #[test]
    fn a_note_is_an_object_of_its_own() {
        let line = |told| serde_json::to_string(&Line { link: "eth0", direction: "egress", told }).unwrap();
        assert_eq!(line(&Note::Missed(3)), r#"{"link":"eth0","direction":"egress","missed":3}"#);
        assert_eq!(
            line(&Note::Blind(Delay::from_ms(3))),
            r#"{"link":"eth0","direction":"egress","blind":"3ms"}"#
        );
    }
}
