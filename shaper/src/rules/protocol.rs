//! The protocol above IP.

use std::fmt;
use std::str::FromStr;

use shaper_common::lookup::PORTED;

use super::Error;
use crate::units::quote;

/// Names and numbers, the usual name of a number first.
const NAMES: [(&str, u8); 6] =
    [("tcp", 6), ("udp", 17), ("sctp", 132), ("icmp", 1), ("icmpv6", 58), ("ipv6-icmp", 58)];

/// A protocol above IP by its number (`IPPROTO_*`), from 0 to 255.
///
/// Reads `tcp`, `udp`, `sctp`, `icmp`, `icmpv6` (or `ipv6-icmp`) in either case, and numbers; prints the name where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

impl Protocol {
    /// The protocol of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// Its number, `IPPROTO_*`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Says whether its headers begin with two ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        PORTED.contains(&self.0)
    }

    /// The names that can be read, for errors.
    pub(super) fn names() -> String {
        NAMES.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
        let number = || number(word).and_then(|number| u8::try_from(number).ok());
        named.or_else(number).map(Self).ok_or_else(|| Error::NotAProtocol { word: quote(word) })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// Reads digits and nothing else: the standard library takes a sign too.
pub(super) fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
