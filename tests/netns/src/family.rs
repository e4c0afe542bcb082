//! IPv4 and IPv6: what a trial goes over, and what differs between the two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The family that a packet, or an address, is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// What the name of a trial over this family ends with, before its engine.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::V4 => "",
            Self::V6 => "_ipv6",
        }
    }

    /// Host `n` of the network that link `link` of a world has.
    pub fn of_link(self, link: u8, n: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 77, link, n).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x77, 0, link.into(), 0, 0, 0, n.into()).into(),
        }
    }

    /// Host `n` of the network that link 0 has in every world.
    pub fn near(self, n: u8) -> IpAddr {
        self.of_link(0, n)
    }

    /// Host `n` of another network behind the same link, which [`crate::peers::join`] makes.
    pub fn far(self, n: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 78, 0, n).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x78, 0, 0, 0, 0, 0, n.into()).into(),
        }
    }

    /// The network of [`Family::near`], as `--to` takes it.
    pub fn near_network(self) -> &'static str {
        match self {
            Self::V4 => "10.77.0.0/24",
            Self::V6 => "fd00:77::/64",
        }
    }

    /// Length of the prefix of both networks.
    pub fn prefix_len(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    /// The protocol of echoes, as `--to` takes it.
    pub fn echo(self) -> &'static str {
        match self {
            Self::V4 => "icmp",
            Self::V6 => "icmpv6",
        }
    }

    /// Bytes of a header without options (RFC 791) or extensions (RFC 8200).
    pub const fn ip_header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    /// The Ethernet type of its packets, as it is in a frame.
    pub const fn ethertype(self) -> [u8; 2] {
        match self {
            Self::V4 => [0x08, 0x00],
            Self::V6 => [0x86, 0xdd],
        }
    }
}
