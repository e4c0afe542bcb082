//! What a user wants to go on reaching.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::netlink::{Family, route};

/// A host or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keep {
    /// The address, of a network the first.
    pub address: IpAddr,
    /// Length of the prefix in bits; all bits for a host.
    pub prefix_len: u8,
}

/// Why a text names nothing that could be kept; it quotes the text and says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an address.
    #[error(
        "`{text}` is not an address: names are not looked up, write an address (`192.0.2.7`, `2001:db8::7`) or a network \
         (`192.0.2.0/24`)"
    )]
    NotAnAddress {
        /// The text.
        text: String,
    },
    /// The length of the prefix is not one.
    #[error("`{text}` has no prefix length that {family} has: write one from 1 to {}", .family.bits())]
    PrefixLength {
        /// The text.
        text: String,
        /// Of the address.
        family: Family,
    },
    /// A network with everything in it.
    #[error("`{text}` is everything: write `--policy allow-all` instead")]
    Everything {
        /// The text.
        text: String,
    },
    /// Bits are set after the prefix.
    #[error(
        "`{text}` has bits beyond its prefix: write `{network}` for the network or `{address}` for the host"
    )]
    HostBits {
        /// The text.
        text: String,
        /// The network in which the address is.
        network: String,
        /// The address.
        address: IpAddr,
    },
    /// No route decides about such an address.
    #[error("`{text}` is {what}: name a host that a route leads to, such as `192.0.2.7`")]
    NotRouted {
        /// The text.
        text: String,
        /// What it is.
        what: &'static str,
    },
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let owned = || text.chars().take(64).collect::<String>();
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, prefix_len)) => (address, Some(prefix_len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok().ok_or_else(|| Error::NotAnAddress { text: owned() })?;
        let family = Family::of(address);
        let bits = family.bits();
        let prefix_len = match prefix_len {
            None => bits,
            Some(len) if len.starts_with('+') => return Err(Error::PrefixLength { text: owned(), family }),
            Some(len) => len
                .parse()
                .ok()
                .filter(|len| *len <= bits)
                .ok_or_else(|| Error::PrefixLength { text: owned(), family })?,
        };
        if prefix_len == 0 {
            return Err(Error::Everything { text: owned() });
        }
        let first = route::network(address, prefix_len);
        if first != address {
            let network = Self { address: first, prefix_len }.to_string();
            return Err(Error::HostBits { text: owned(), network, address });
        }
        if let Some(what) = not_routed(address) {
            return Err(Error::NotRouted { text: owned(), what });
        }
        Ok(Self { address, prefix_len })
    }
}

impl TryFrom<String> for Keep {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        keep.to_string()
    }
}

fn not_routed(address: IpAddr) -> Option<&'static str> {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if address.is_unspecified() {
        Some("no host's address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else if is_link_local {
        Some("an address of a single link")
    } else {
        None
    }
}

/// As `--keep` takes it.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_len == Family::of(self.address).bits() {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_is_said_as_it_is_read() {
        for text in ["192.0.2.7", "192.0.2.0/24", "2001:db8::7", "2001:db8::/32", "128.0.0.0/1", "127.0.0.1"]
        {
            assert_eq!(text.parse::<Keep>().map(|keep| keep.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("192.0.2.7/32".parse::<Keep>(), "192.0.2.7".parse());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_would_be_right() {
        for (text, words) in [
            ("", "`` is not an address"),
            ("example.org", "`example.org` is not an address: names are not looked up"),
            ("192.0.2.7:80", "is not an address"),
            ("192.0.2", "is not an address"),
            ("fe80::1%eth0", "is not an address"),
            ("192.0.2.0/", "no prefix length that IPv4 has: write one from 1 to 32"),
            ("192.0.2.0/33", "from 1 to 32"),
            ("192.0.2.0/+8", "from 1 to 32"),
            ("2001:db8::/129", "no prefix length that IPv6 has: write one from 1 to 128"),
            ("192.0.2.7/24", "write `192.0.2.0/24` for the network or `192.0.2.7` for the host"),
            ("0.0.0.0/0", "write `--policy allow-all`"),
            ("::/0", "write `--policy allow-all`"),
            ("0.0.0.0", "no host's address"),
            ("::", "no host's address"),
            ("224.0.0.251", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "the broadcast address"),
            ("169.254.1.1", "an address of a single link"),
            ("fe80::1", "an address of a single link"),
        ] {
            let error = text.parse::<Keep>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
