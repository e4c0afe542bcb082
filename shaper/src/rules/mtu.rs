//! The largest packet of a link.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The MTU of a link: [`Mtu::MIN`] to [`Mtu::MAX`] bytes, the Ethernet header not included.
///
/// Below 1280 the kernel takes IPv6 off a link, with all its addresses (RFC 8200; net/ipv6/addrconf.c), and nobody gives them back.
///
/// ```
/// use shaper::rules::Mtu;
///
/// let mtu: Mtu = "1400".parse().unwrap();
/// assert_eq!(mtu.bytes(), 1400);
/// assert!("576".parse::<Mtu>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mtu(u32);

/// A number that is no MTU; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no whole number.
    #[error(
        "`{text}` is not an MTU: write a whole number of bytes from {} to {}, such as `1400`",
        Mtu::MIN,
        Mtu::MAX
    )]
    NotANumber {
        /// The text, shortened.
        text: String,
    },
    /// Too small or too large.
    #[error(
        "an MTU of {bytes} is out of range: give from {} (below, the kernel takes IPv6 off the link, with all its addresses) to {} \
         bytes",
        Mtu::MIN,
        Mtu::MAX
    )]
    Range {
        /// The number given.
        bytes: u32,
    },
}

impl Mtu {
    /// The least MTU that IPv6 works with.
    pub const MIN: u32 = 1_280;
    /// The largest packet of IPv4, and of IPv6 without jumbograms.
    pub const MAX: u32 = 65_535;

    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Mtu {
    type Error = Error;

    fn try_from(bytes: u32) -> Result<Self, Error> {
        if (Self::MIN..=Self::MAX).contains(&bytes) { Ok(Self(bytes)) } else { Err(Error::Range { bytes }) }
    }
}

impl From<Mtu> for u32 {
    fn from(mtu: Mtu) -> Self {
        mtu.0
    }
}

impl FromStr for Mtu {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes: Option<u32> = text.parse().ok();
        bytes.ok_or_else(|| Error::NotANumber { text: crate::units::quote(text) })?.try_into()
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_ipv6_away_is_refused_and_said() {
        for (text, expected) in [
            ("1280", Ok(1280)),
            ("65535", Ok(65_535)),
            ("1279", Err("takes IPv6 off")),
            ("65536", Err("65535")),
        ] {
            match (text.parse::<Mtu>(), expected) {
                (Ok(mtu), Ok(bytes)) => assert_eq!(mtu.bytes(), bytes),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["", "-1", "1500b", "1e3", "9999999999"] {
            assert!(matches!(text.parse::<Mtu>(), Err(Error::NotANumber { .. })), "{text}");
        }
    }
}
