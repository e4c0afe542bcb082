//! An address and the length of its network.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::units::quote;

/// An IPv4 address for a link; as text `16.0.1.1/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv4 {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix in bits, at most 32: that of a link without addresses. Of a link that has some, the network
    /// stays as it is.
    pub prefix_len: u8,
}

/// A text that is no address with its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no IPv4 address with the length of its network: write one such as `16.0.1.1/16`")]
pub struct NotIpv4 {
    /// The text, shortened.
    pub text: String,
}

/// Takes masks of IPv4 in hexadecimal digits, too, which Go prints where the ones of a mask do not come first; their leading ones
/// count.
impl FromStr for Ipv4 {
    type Err = NotIpv4;

    fn from_str(text: &str) -> Result<Self, NotIpv4> {
        let parsed = text.split_once('/').and_then(|(address, network)| {
            Some(Self { address: address.parse().ok()?, prefix_len: prefix_len(network)? })
        });
        parsed.ok_or_else(|| NotIpv4 { text: quote(text) })
    }
}

fn prefix_len(text: &str) -> Option<u8> {
    let is_of = |is_digit: fn(&u8) -> bool| text.as_bytes().iter().all(is_digit);
    match text.len() {
        1..=2 if is_of(u8::is_ascii_digit) => text.parse().ok().filter(|length| *length <= 32),
        8 if is_of(u8::is_ascii_hexdigit) => {
            u32::from_str_radix(text, 16).ok().and_then(|mask| u8::try_from(mask.leading_ones()).ok())
        }
        _ => None,
    }
}

impl fmt::Display for Ipv4 {
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
            assert_eq!(text.parse(), Ok(Ipv4 { address: address.into(), prefix_len }), "{text}");
        }
        for text in ["", "16.0.1.2", "16.0.1.2/", "16.0.1.2/33", "16.0.1/16", "::1/64", "16.0.1.2/+8", "/16"]
        {
            let error = text.parse::<Ipv4>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no IPv4 address")), "{error}");
        }
    }
}
