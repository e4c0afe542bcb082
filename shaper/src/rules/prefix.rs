//! A network, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use shaper_common::lookup::{Family, PrefixKey};

use super::Error;
use super::protocol::number;
use crate::units::quote;

/// Bits of an IPv6 address in front of the IPv4 address that it maps (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// The addresses that begin with the same bits: a network, or one address, of which no bit is set behind the prefix.
///
/// Reads and prints `10.0.0.0/24`, `10.0.0.5`, `fd00::/64`, `fd00::5`: without a length it is one address. Prefixes are in the order
/// of family, address and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The first `length` bits of `address`.
    ///
    /// # Errors
    ///
    /// When `length` is more than the address has bits, a bit behind it is set, or the address is an IPv4 one mapped to IPv6.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, Error> {
        let most = bits(address);
        if length > most {
            let text = quote(&format!("{address}/{length}"));
            return Err(Error::NotALength { text, length: length.to_string(), address, most });
        }
        if let Some(ipv4) = mapped(address, length) {
            return Err(Error::Mapped { text: quote(&Self { address, length }.to_string()), ipv4 });
        }
        let network = Self { address: masked(address, length), length };
        if network.address != address {
            return Err(Error::HostBits { address, length, network });
        }
        Ok(network)
    }

    /// One address.
    ///
    /// # Errors
    ///
    /// When it is an IPv4 address mapped to IPv6.
    pub fn host(address: IpAddr) -> Result<Self, Error> {
        Self::new(address, bits(address))
    }

    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Bits that all addresses share; from 0 to 32 with IPv4, to 128 with IPv6.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The version of IP.
    #[must_use]
    pub fn family(self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Says whether `address` is one of them.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        bits(address) == bits(self.address) && masked(address, self.length) == self.address
    }

    /// The key of this prefix in the kernel's table.
    #[must_use]
    pub fn prefix_key(self) -> PrefixKey {
        let address = match self.address {
            IpAddr::V4(address) => [u64::from(address.to_bits()) << 32, 0],
            IpAddr::V6(address) => halves(address.to_bits()),
        };
        PrefixKey { address, tag: PrefixKey::tag(self.family() as u32, u32::from(self.length)), reserved: 0 }
    }

    /// The prefix of a key; `None` when it is the key of none.
    #[must_use]
    pub fn from_key(key: &PrefixKey) -> Option<Self> {
        let [upper, lower] = key.address;
        let [_, _, family, length] = key.tag.to_be_bytes();
        let address = match u32::from(family) {
            f if f == Family::Ipv4 as u32 => Ipv4Addr::from_bits((upper >> 32) as u32).into(),
            f if f == Family::Ipv6 as u32 => {
                Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)).into()
            }
            _ => return None,
        };
        // Whatever the address and the length leave out (other bits of the tag, the unused words) shows in the key.
        Self::new(address, length).ok().filter(|prefix| prefix.prefix_key() == *key)
    }
}

/// The IPv4 prefix that is meant by `address` if that is an IPv4 address mapped to IPv6.
fn mapped(address: IpAddr, length: u8) -> Option<Prefix> {
    let IpAddr::V6(address) = address else { return None };
    let ipv4: IpAddr = address.to_ipv4_mapped()?.into();
    // A shorter length would take in more than the mapped addresses: the one address is what is left of it.
    let length = length.checked_sub(MAPPED_BITS).unwrap_or(bits(ipv4));
    Some(Prefix { address: masked(ipv4, length), length })
}

/// Bits of an address of this family.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address without the bits behind the first `length`.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let behind = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & !behind).into()
        }
        IpAddr::V6(address) => {
            let behind = u128::MAX.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & !behind).into()
        }
    }
}

fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let no_address = |_no_address| Error::NotAnAddress { text: quote(text), address: quote(address) };
        let address: IpAddr = address.parse().map_err(no_address)?;
        let Some(length) = length else { return Self::host(address) };
        let most = bits(address);
        let legal =
            number(length).and_then(|length| u8::try_from(length).ok()).filter(|length| *length <= most);
        match legal {
            Some(length) => Self::new(address, length),
            None => Err(Error::NotALength { text: quote(text), length: quote(length), address, most }),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == bits(self.address) {
            return f.pad(&self.address.to_string());
        }
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}
