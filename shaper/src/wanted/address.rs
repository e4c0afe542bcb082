//! An address and the length of its network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::netlink::Family;
use crate::units::quote;

/// An address for a link; as text `16.0.1.1/16` or `fd00::7/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix in bits: that of a link without addresses. Of a link that has some, the network
    /// stays as it is.
    pub prefix_len: u8,
}

/// A text that is no address with its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no address with the length of its network: write one such as `16.0.1.1/16` or `fd00::7/64`"
)]
pub struct NotAnAddress {
    /// The text, shortened.
    pub text: String,
}

/// Takes masks of IPv4 in hexadecimal digits, too, which Go prints where the ones of a mask do not come first; their leading ones
/// count.
impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let parsed = text.split_once('/').and_then(|(address, network)| {
            let address = address.parse().ok()?;
            Some(Self { address, prefix_len: prefix_len(network, Family::of(address))? })
        });
        parsed.ok_or_else(|| NotAnAddress { text: quote(text) })
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

fn prefix_len(text: &str, family: Family) -> Option<u8> {
    let is_of = |is_digit: fn(&u8) -> bool| text.as_bytes().iter().all(is_digit);
    match text.len() {
        1..=3 if is_of(u8::is_ascii_digit) => text.parse().ok().filter(|length| *length <= family.bits()),
        8 if family == Family::V4 && is_of(u8::is_ascii_hexdigit) => {
            u32::from_str_radix(text, 16).ok().and_then(|mask| u8::try_from(mask.leading_ones()).ok())
        }
        _ => None,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_with_the_length_of_its_network() {
        for (text, address, prefix_len) in [
            ("16.0.1.1/12", [16, 0, 1, 1], 12),
            ("16.0.0.5/ff00ff00", [16, 0, 0, 5], 8),
            ("0.0.0.0/0", [0, 0, 0, 0], 0),
            ("16.0.0.5/32", [16, 0, 0, 5], 32),
        ] {
            assert_eq!(text.parse(), Ok(Address { address: IpAddr::from(address), prefix_len }), "{text}");
        }
        for (text, prefix_len) in [("fd00::7/64", 64), ("::1/128", 128), ("::/0", 0)] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.prefix_len, address.to_string().as_str()), (prefix_len, text));
        }
        for text in [
            "",
            "16.0.1.2",
            "16.0.1.2/",
            "16.0.1.2/33",
            "16.0.1/16",
            "::1/129",
            "::1/ffff0000",
            "16.0.1.2/+8",
            "/16",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no address")), "{error}");
        }
    }
}
