//! Which peers.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use shaper_common::lookup::PrefixKey;

use super::protocol::number;
use super::{Error, Prefix, Protocol};
use crate::units::{quote, serde_as_text};

/// The peers that a rule is for, seen from the namespace: where packets go on egress, where they come from on ingress.
///
/// Reads `CIDR[:PORT[/PROTO]]`, with `*` for any port; an IPv6 address is in brackets where a port follows. Prints the shortest
/// spelling of the same. Destinations are in the order of family, address, length, port and protocol. A string in JSON.
///
/// ```
/// use shaper::rules::To;
///
/// let to: To = "10.0.0.0/8:80/tcp".parse().unwrap();
/// assert_eq!((to.prefix().length(), to.port().unwrap().get(), to.protocol().unwrap().number()), (8, 80, 6));
/// assert_eq!("[fd00::5]:*/17".parse::<To>().unwrap().to_string(), "[fd00::5]:*/udp");
/// let error = "10.0.0.5/24".parse::<To>().unwrap_err().to_string();
/// assert!(error.ends_with("write `10.0.0.0/24` or `10.0.0.5`"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct To {
    prefix: Prefix,
    port: Option<NonZeroU16>,
    protocol: Option<Protocol>,
}

impl To {
    /// The texts that can be read, by example.
    pub(super) const FORMS: &str = "an address or a network, perhaps with a port and a protocol, such as `10.0.0.5`, `10.0.0.0/24`, `10.0.0.5:80/tcp`, \
         `10.0.0.5:*/icmp`, `fd00::/64` or `[fd00::5]:80`";

    /// The peers in `prefix`, at `port` and by `protocol`; any where nothing is said.
    ///
    /// # Errors
    ///
    /// When there is a port and a protocol that has none.
    pub fn new(prefix: Prefix, port: Option<NonZeroU16>, protocol: Option<Protocol>) -> Result<Self, Error> {
        match (port, protocol) {
            (Some(port), Some(protocol)) if !protocol.has_ports() => {
                Err(Error::PortWithoutPorts { port: port.get(), protocol })
            }
            _ => Ok(Self { prefix, port, protocol }),
        }
    }

    /// Their addresses.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        self.prefix
    }

    /// Their port; `None` for any. Without a protocol it is that of every protocol that has ports.
    #[must_use]
    pub fn port(self) -> Option<NonZeroU16> {
        self.port
    }

    /// The protocol; `None` for any.
    #[must_use]
    pub fn protocol(self) -> Option<Protocol> {
        self.protocol
    }

    /// The key of their addresses in the kernel's table.
    #[must_use]
    pub fn prefix_key(self) -> PrefixKey {
        self.prefix.prefix_key()
    }
}

impl From<Prefix> for To {
    fn from(prefix: Prefix) -> Self {
        Self { prefix, port: None, protocol: None }
    }
}

/// Splits `text` into a network and what follows its colon.
fn split(text: &str) -> Result<(&str, Option<&str>), Error> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let brackets = || Error::Brackets { text: quote(text) };
        let (inside, rest) = bracketed.split_once(']').ok_or_else(brackets)?;
        let rest = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or_else(brackets)?),
        };
        // Without a colon it would be an IPv4 address, which needs none.
        return if inside.contains(':') { Ok((inside, rest)) } else { Err(brackets()) };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((network, rest)) => Ok((network, Some(rest))),
        None => Ok((text, None)),
    }
}

impl FromStr for To {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (network, rest) = split(text)?;
        let prefix: Prefix = network.parse()?;
        let Some(rest) = rest else { return Ok(prefix.into()) };
        let (port, protocol) = match rest.split_once('/') {
            Some((port, protocol)) => (port, Some(protocol.parse()?)),
            None => (rest, None),
        };
        let port = match port {
            "*" => None,
            digits => {
                let port = number(digits).and_then(NonZeroU16::new);
                Some(port.ok_or_else(|| Error::NotAPort { text: quote(text), port: quote(digits) })?)
            }
        };
        Self::new(prefix, port, protocol)
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port.is_none() && self.protocol.is_none() {
            return self.prefix.fmt(f);
        }
        let network = match self.prefix.address() {
            IpAddr::V4(_) => self.prefix.to_string(),
            IpAddr::V6(_) => format!("[{}]", self.prefix),
        };
        let port = self.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        let protocol = self.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
        f.pad(&format!("{network}:{port}{protocol}"))
    }
}

/// What serde's errors call a destination.
struct Form;

impl Form {
    fn forms(&self) -> &'static str {
        To::FORMS
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a destination")
    }
}

serde_as_text!(To, Form);
