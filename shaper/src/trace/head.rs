//! What the first bytes of a packet say: who sent it, to whom, and by what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETH_HLEN: usize = 14;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// The offset of an IPv4 fragment, in the field with its flags.
const IPV4_OFFSET: u16 = 0x1fff;
/// The same of an IPv6 fragment.
const IPV6_OFFSET: u16 = 0xfff8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// What a packet says of itself, as far as its first bytes reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Who sent it, and who is to have it; `None` where it is not IP.
    pub(super) ends: Option<(IpAddr, IpAddr)>,
    /// The ports of both.
    pub(super) ports: Option<(u16, u16)>,
    /// `tcp`, `udp`, …; the ethertype where it is not IP.
    pub(super) protocol: String,
}

impl Head {
    /// Reads a frame's first bytes, its Ethernet header in front.
    pub(super) fn read(head: &[u8]) -> Self {
        let (ethertype, packet) = match head.split_first_chunk::<ETH_HLEN>() {
            Some(([.., high, low], packet)) => (u16::from_be_bytes([*high, *low]), packet),
            None => (0, [].as_slice()),
        };
        let datagram = match ethertype {
            ETH_P_IP => ipv4(packet),
            ETH_P_IPV6 => ipv6(packet),
            _ => None,
        };
        match datagram {
            Some(Datagram { ends, protocol, payload }) => {
                Self { ends: Some(ends), ports: ports(protocol, payload), protocol: transport(protocol) }
            }
            None => Self { ends: None, ports: None, protocol: network(ethertype) },
        }
    }
}

struct Datagram<'a> {
    ends: (IpAddr, IpAddr),
    protocol: u8,
    /// Empty out of reach, and in fragments but the first.
    payload: &'a [u8],
}

fn ipv4(packet: &[u8]) -> Option<Datagram<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let [first, _, _, _, _, _, flags, offset, _, protocol, _, _, addresses @ ..] = *header;
    let [a, b, c, d, e, f, g, h] = addresses;
    let is_first = u16::from_be_bytes([flags, offset]) & IPV4_OFFSET == 0;
    let header_len = usize::from(first & 0x0f) * 4;
    let payload = packet.get(header_len..).filter(|_| is_first && header_len >= header.len());
    Some(Datagram {
        ends: (Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into()),
        protocol,
        payload: payload.unwrap_or_default(),
    })
}

fn ipv6(packet: &[u8]) -> Option<Datagram<'_>> {
    let (header, mut payload) = packet.split_first_chunk::<40>()?;
    let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*header[at..].first_chunk::<16>()?)));
    let ends = (address(8)?, address(24)?);
    let mut protocol = header[6];
    // Each extension header begins with the number of the next.
    while let [next, len, high, low, ..] = *payload {
        let len = match protocol {
            FRAGMENT if u16::from_be_bytes([high, low]) & IPV6_OFFSET != 0 => usize::MAX,
            FRAGMENT => 8,
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => 8 + usize::from(len) * 8,
            AUTHENTICATION => 8 + usize::from(len) * 4,
            _ => break,
        };
        protocol = next;
        payload = payload.get(len..).unwrap_or_default();
    }
    Some(Datagram { ends, protocol, payload })
}

/// TCP, UDP, DCCP, SCTP and UDP-Lite begin with two ports.
fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    match (protocol, payload) {
        (6 | 17 | 33 | 132 | 136, [a, b, c, d, ..]) => {
            Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
        }
        _ => None,
    }
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
        43 => "ipv6-route",
        44 => "ipv6-frag",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        59 => "ipv6-nonxt",
        60 => "ipv6-opts",
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
    use proptest::prelude::*;

    const PORTS: [u8; 8] = [0x30, 0x39, 0, 53, 0, 8, 0, 0];

    fn frame(ethertype: u16, parts: &[&[u8]]) -> Vec<u8> {
        let mut frame = vec![0x11; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(parts.concat());
        frame
    }

    fn v4(words: u8, fragment: u16, protocol: u8) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[0] = 0x40 | words;
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header[9] = protocol;
        header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        header
    }

    fn v6(next: u8) -> Vec<u8> {
        let mut header = vec![0; 40];
        (header[0], header[6], header[8], header[23], header[24], header[39]) =
            (0x60, next, 0xfd, 1, 0xfd, 2);
        header
    }

    /// Addresses as text, the ports, and the protocol.
    fn said(frame: &[u8]) -> (String, Option<(u16, u16)>, String) {
        let Head { ends, ports, protocol } = Head::read(frame);
        let ends = ends.map(|(source, destination)| format!("{source} > {destination}"));
        (ends.unwrap_or_default(), ports, protocol)
    }

    fn expect(frame: &[u8], ends: &str, ports: bool, protocol: &str) {
        let ports = ports.then_some((12345, 53));
        assert_eq!(said(frame), (ends.to_owned(), ports, protocol.to_owned()));
    }

    #[test]
    fn ports_are_behind_the_options_of_ipv4() {
        let v4s = "10.0.0.1 > 10.0.0.2";
        for words in [5, 6, 15] {
            expect(&frame(ETH_P_IP, &[&v4(words, 0x4000, 17), &PORTS]), v4s, true, "udp");
        }
        expect(&frame(ETH_P_IP, &[&v4(5, 0, 1), &PORTS]), v4s, false, "icmp");
        expect(&frame(ETH_P_IP, &[&v4(5, 0, 200), &PORTS]), v4s, false, "protocol-200");
        // The first fragment, and the second.
        expect(&frame(ETH_P_IP, &[&v4(5, 0x2000, 17), &PORTS]), v4s, true, "udp");
        expect(&frame(ETH_P_IP, &[&v4(5, 185, 17), &PORTS]), v4s, false, "udp");
        // A header that ends within itself, and ports that are not there.
        let mut broken = v4(5, 0, 17);
        broken[0] = 0x44;
        expect(&frame(ETH_P_IP, &[&broken, &PORTS]), v4s, false, "udp");
        expect(&frame(ETH_P_IP, &[&v4(5, 0, 17), &PORTS[..3]]), v4s, false, "udp");
    }

    #[test]
    fn ports_are_behind_the_extension_headers_of_ipv6() {
        let v6s = "fd00::1 > fd00::2";
        let v6f = |next, parts: &[&[u8]]| frame(ETH_P_IPV6, &[&v6(next), &parts.concat()]);
        expect(&v6f(17, &[&PORTS]), v6s, true, "udp");
        let (first, second) = ([17, 0, 0, 1, 9, 9, 9, 9], [17, 0, 5, 0x69, 9, 9, 9, 9]);
        expect(&v6f(FRAGMENT, &[&first, &PORTS]), v6s, true, "udp");
        expect(&v6f(FRAGMENT, &[&second, &PORTS]), v6s, false, "udp");
        let mut hop = vec![0; 16];
        (hop[0], hop[1]) = (DESTINATION_OPTIONS, 1);
        let options = [ROUTING, 0, 0, 0, 0, 0, 0, 0];
        let routing = [AUTHENTICATION, 0, 0, 0, 0, 0, 0, 0];
        let authentication = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let all = [hop.as_slice(), &options, &routing, &authentication, &PORTS];
        expect(&v6f(HOP_BY_HOP, &all), v6s, true, "tcp");
        // What is out of reach: the ports; the number of the next header.
        expect(&v6f(HOP_BY_HOP, &all[..1]), v6s, false, "ipv6-opts");
        expect(&v6f(HOP_BY_HOP, &[&[6, 200, 0, 0, 0, 0, 0, 0], &PORTS]), v6s, false, "tcp");
        expect(&v6f(HOP_BY_HOP, &[]), v6s, false, "hopopt");
        expect(&v6f(59, &[&PORTS]), v6s, false, "ipv6-nonxt");
    }

    #[test]
    fn what_is_not_ip_has_an_ethertype() {
        expect(&frame(ETH_P_ARP, &[&v4(5, 0, 17), &PORTS]), "", false, "arp");
        expect(&frame(0x88cc, &[&v4(5, 0, 17), &PORTS]), "", false, "ethertype-0x88cc");
        expect(&frame(ETH_P_IP, &[&[0x45; 19]]), "", false, "ethertype-0x0800");
        expect(&frame(ETH_P_IPV6, &[&[0x60; 39]]), "", false, "ethertype-0x86dd");
        expect(&[0; 13], "", false, "ethertype-0x0000");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            ethertype in prop_oneof![Just(ETH_P_IP), Just(ETH_P_IPV6)],
            bytes in proptest::collection::vec(any::<u8>(), 0..96),
        ) {
            Head::read(&frame(ethertype, &[&bytes]));
            Head::read(&bytes);
        }
    }
}
