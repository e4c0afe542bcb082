//! One packet and what became of it, as people and programs read it.

use std::net::IpAddr;

use serde::Serialize;
use shaper_common::trace::{Event, fate};

use super::head::Head;
use super::{Fate, Wall};
use crate::rules::To;
use crate::units::Delay;

/// What becomes of the copy of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Everything that became of it.
    pub fates: Vec<Fate>,
    /// The delay given, the bottleneck included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
}

/// A packet and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// When it met the classifier: RFC 3339, UTC.
    pub time: String,
    /// Who sent it, as the packet says; absent where it is not IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Absent where the protocol has no ports, and in fragments but the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Who is to have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// As [`Packet::source_port`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// `tcp`, `udp`, …; the ethertype where it is not IP.
    pub protocol: String,
    /// Bytes on the wire.
    pub bytes: u32,
    /// Packets on the wire; more than one for a GSO frame.
    pub packets: u32,
    /// The peers whose rule it met; absent under the rule for all peers and under none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<To>,
    /// Everything that became of it.
    pub fates: Vec<Fate>,
    /// Why it was not shaped: `not-ip`, `expired`, `unheld` or `no-rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// The delay given, the bottleneck included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// What becomes of its copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copied>,
}

impl Packet {
    /// Reads what a kernel program told of a packet that met `rule`.
    #[must_use]
    pub fn read(event: &Event, wall: Wall, rule: Option<To>) -> Self {
        let Head { ends, ports, protocol } = Head::read(event.head());
        let is = |bit: u32| event.fates & bit != 0;
        Self {
            time: wall.utc(event.arrival_ns),
            source: ends.map(|(source, _)| source),
            source_port: ports.map(|(source, _)| source),
            destination: ends.map(|(_, destination)| destination),
            destination_port: ports.map(|(_, destination)| destination),
            protocol,
            bytes: event.wire_bytes,
            packets: event.wire_packets,
            rule,
            fates: fates(event.fates),
            why: why(event.fates),
            delay: is(fate::DELAYED).then(|| Delay::from_ns(event.delay_ns)),
            copy: if is(fate::DUPLICATED) {
                let corrupted = is(fate::COPY_CORRUPTED).then_some(Fate::Corrupted);
                let fates = corrupted.into_iter().chain([Fate::Delayed]).collect();
                Some(Copied { fates, delay: Some(Delay::from_ns(event.copy_delay_ns)) })
            } else {
                is(fate::COPY_QUEUE_FULL).then(|| Copied { fates: vec![Fate::QueueFull], delay: None })
            },
        }
    }

    /// Whether it, or its copy, has one of these fates.
    #[must_use]
    pub fn has_any(&self, fates: &[Fate]) -> bool {
        let of_copy = self.copy.iter().flat_map(|copy| &copy.fates);
        self.fates.iter().chain(of_copy).any(|fate| fates.contains(fate))
    }
}

fn fates(bits: u32) -> Vec<Fate> {
    const PASSED: u32 =
        fate::PASSED_NOT_IP | fate::PASSED_EXPIRED | fate::PASSED_UNHELD | fate::PASSED_UNMATCHED;
    const FILTERED: u32 = fate::FILTERED | fate::DROPPED_UNHELD;
    let all = [
        (fate::LOST, Fate::Lost),
        (fate::QUEUE_FULL, Fate::QueueFull),
        (fate::DUPLICATED, Fate::Duplicated),
        (fate::CORRUPTED, Fate::Corrupted),
        (fate::REORDERED, Fate::Reordered),
        (fate::MARKED, Fate::Marked),
        (fate::DELAYED, Fate::Delayed),
        (PASSED, Fate::Passed),
        (FILTERED, Fate::Filtered),
        (fate::GIVEN_TO_NETEM, Fate::GivenToNetem),
    ];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, fate)| fate).collect()
}

fn why(bits: u32) -> Option<&'static str> {
    let all = [
        (fate::PASSED_NOT_IP, "not-ip"),
        (fate::PASSED_EXPIRED, "expired"),
        (fate::PASSED_UNHELD | fate::DROPPED_UNHELD, "unheld"),
        (fate::PASSED_UNMATCHED, "no-rule"),
    ];
    all.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shaper_common::trace::HEAD;

    /// 10.0.0.1:12345 > 10.0.0.2:53 over UDP, with the bytes of other packets behind it.
    fn udp() -> Event {
        let mut head = [0xee; HEAD];
        head[12..34]
            .copy_from_slice(&[8, 0, 0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        head[34..38].copy_from_slice(&[0x30, 0x39, 0, 53]);
        Event {
            arrival_ns: 1,
            delay_ns: 5_000_000,
            copy_delay_ns: 6_000_000,
            wire_bytes: 98,
            wire_packets: 1,
            fates: fate::DELAYED,
            head_len: 38,
            head,
            ..Event::EMPTY
        }
    }

    fn json(event: &Event) -> serde_json::Value {
        let mut json = serde_json::to_value(Packet::read(event, Wall::read(), None)).unwrap();
        json.as_object_mut().unwrap().remove("time").unwrap();
        json
    }

    #[test]
    fn a_packet_has_what_it_has() {
        let told = serde_json::json!({
            "source": "10.0.0.1", "source_port": 12345, "destination": "10.0.0.2", "destination_port": 53,
            "protocol": "udp", "bytes": 98, "packets": 1, "fates": ["delayed"], "delay": "5ms",
        });
        assert_eq!(json(&udp()), told);
        // Behind that are no ports of this packet.
        assert_eq!(json(&Event { head_len: 36, ..udp() }).get("source_port"), None);
        let mut arp = Event { fates: fate::PASSED_NOT_IP, ..udp() };
        arp.head[13] = 6;
        let expected = serde_json::json!({
            "protocol": "arp", "bytes": 98, "packets": 1, "fates": ["passed"], "why": "not-ip",
        });
        assert_eq!(json(&arp), expected);
    }

    #[test]
    fn a_copy_has_a_fate_of_its_own() {
        let fates = fate::DELAYED | fate::DUPLICATED | fate::COPY_CORRUPTED;
        let packet = Packet::read(&Event { fates, ..udp() }, Wall::read(), None);
        assert_eq!(packet.fates, [Fate::Duplicated, Fate::Delayed]);
        let copy = Copied { fates: vec![Fate::Corrupted, Fate::Delayed], delay: Some(Delay::from_ms(6)) };
        assert_eq!(packet.copy, Some(copy));
        assert!(packet.has_any(&[Fate::Lost, Fate::Corrupted]));
        assert!(!packet.has_any(&[Fate::Lost, Fate::QueueFull]));
    }
}
