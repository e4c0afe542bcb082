//! One packet and what became of it, as people and programs read it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use shaper_common::trace::{Event, fate};

use super::{Fate, Wall};
use crate::units::Delay;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// The offset of an IPv4 fragment, in the field with its flags.
const FRAGMENT_OFFSET: u16 = 0x1fff;

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
    /// Everything that became of it.
    pub fates: Vec<Fate>,
    /// Why it was not shaped: `not-ip`, `expired` or `unheld`.
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
    /// Reads what a kernel program told.
    #[must_use]
    pub fn read(event: &Event, wall: Wall) -> Self {
        let ethertype = u16::from_be_bytes(event.ethertype);
        let address = |bytes: [u8; 16]| match ethertype {
            ETH_P_IP => Some(IpAddr::from(Ipv4Addr::from(*bytes.first_chunk()?))),
            ETH_P_IPV6 => Some(IpAddr::from(Ipv6Addr::from(bytes))),
            _ => None,
        };
        let (source, destination) = (address(event.source), address(event.destination));
        let is_first = u16::from_be_bytes(event.fragment) & FRAGMENT_OFFSET == 0;
        let has_ports = source.is_some() && is_first && has_ports(event.protocol);
        let [source_high, source_low, destination_high, destination_low] = event.ports;
        let port = |bytes| has_ports.then(|| u16::from_be_bytes(bytes));
        let is = |bit: u32| event.fates & bit != 0;
        Self {
            time: wall.utc(event.arrival_ns),
            source,
            source_port: port([source_high, source_low]),
            destination,
            destination_port: port([destination_high, destination_low]),
            protocol: if source.is_some() { transport(event.protocol) } else { network(ethertype) },
            bytes: event.wire_bytes,
            packets: event.wire_packets,
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
    const PASSED: u32 = fate::PASSED_NOT_IP | fate::PASSED_EXPIRED | fate::PASSED_UNHELD;
    let all = [
        (fate::LOST, Fate::Lost),
        (fate::QUEUE_FULL, Fate::QueueFull),
        (fate::DUPLICATED, Fate::Duplicated),
        (fate::CORRUPTED, Fate::Corrupted),
        (fate::REORDERED, Fate::Reordered),
        (fate::MARKED, Fate::Marked),
        (fate::DELAYED, Fate::Delayed),
        (PASSED, Fate::Passed),
        (fate::GIVEN_TO_NETEM, Fate::GivenToNetem),
    ];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, fate)| fate).collect()
}

fn why(bits: u32) -> Option<&'static str> {
    let all =
        [(fate::PASSED_NOT_IP, "not-ip"), (fate::PASSED_EXPIRED, "expired"), (fate::PASSED_UNHELD, "unheld")];
    all.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, why)| why)
}

/// TCP, UDP, DCCP, SCTP and UDP-Lite begin with two ports.
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// The names of /etc/protocols.
fn transport(protocol: u8) -> String {
    let name = match protocol {
        0 => "hopopt",
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        41 => "ipv6",
        44 => "ipv6-frag",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        89 => "ospf",
        132 => "sctp",
        136 => "udplite",
        _ => return format!("protocol-{protocol}"),
    };
    name.to_owned()
}

fn network(ethertype: u16) -> String {
    if ethertype == ETH_P_ARP { "arp".to_owned() } else { format!("ethertype-{ethertype:#06x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: Event = Event {
        arrival_ns: 1,
        delay_ns: 5_000_000,
        copy_delay_ns: 6_000_000,
        source: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        destination: [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        wire_bytes: 98,
        wire_packets: 1,
        fates: fate::DELAYED,
        ports: [0x30, 0x39, 0, 53],
        ethertype: [0x08, 0],
        fragment: [0x40, 0],
        protocol: 17,
        reserved: [0; 3],
    };

    fn json(event: &Event) -> serde_json::Value {
        let mut json = serde_json::to_value(Packet::read(event, Wall::read())).unwrap();
        json.as_object_mut().unwrap().remove("time").unwrap();
        json
    }

    #[test]
    fn a_packet_has_what_it_has() {
        let udp = serde_json::json!({
            "source": "10.0.0.1", "source_port": 12345, "destination": "10.0.0.2", "destination_port": 53,
            "protocol": "udp", "bytes": 98, "packets": 1, "fates": ["delayed"], "delay": "5ms",
        });
        assert_eq!(json(&UDP), udp);
        let fragment = json(&Event { fragment: [0, 185], ..UDP });
        assert_eq!(
            (&fragment["source_port"], &fragment["source"]),
            (&serde_json::Value::Null, &udp["source"])
        );
        assert_eq!(json(&Event { protocol: 1, ..UDP }).get("source_port"), None);
        let arp = Event { ethertype: [8, 6], fates: fate::PASSED_NOT_IP, ..UDP };
        let expected = serde_json::json!({
            "protocol": "arp", "bytes": 98, "packets": 1, "fates": ["passed"], "why": "not-ip",
        });
        assert_eq!(json(&arp), expected);
        let v6 = json(&Event { ethertype: [0x86, 0xdd], ..UDP });
        assert_eq!(v6["source"], "a00:1::");
    }

    #[test]
    fn a_copy_has_a_fate_of_its_own() {
        let fates = fate::DELAYED | fate::DUPLICATED | fate::COPY_CORRUPTED;
        let packet = Packet::read(&Event { fates, ..UDP }, Wall::read());
        assert_eq!(packet.fates, [Fate::Duplicated, Fate::Delayed]);
        let copy = Copied { fates: vec![Fate::Corrupted, Fate::Delayed], delay: Some(Delay::from_ms(6)) };
        assert_eq!(packet.copy, Some(copy));
        assert!(packet.has_any(&[Fate::Lost, Fate::Corrupted]));
        assert!(!packet.has_any(&[Fate::Lost, Fate::QueueFull]));
    }
}
