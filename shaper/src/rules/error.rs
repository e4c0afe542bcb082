//! Why a text names no destination, and why parts make no rule.

use std::net::IpAddr;

use shaper_common::filter::Filter;

use super::{Prefix, Protocol, RULES_MAX, TIME_LIMIT_RANGE, To};
use crate::shape::{self, Named as _};
use crate::units::Delay;

/// A destination or a rule that cannot be; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is empty.
    #[error("a destination cannot be empty: write {}", To::FORMS)]
    Empty,
    /// The text does not begin with an address.
    #[error("`{text}` is not a destination: `{address}` is no IP address; write {}", To::FORMS)]
    NotAnAddress {
        /// The text, shortened.
        text: String,
        /// What stands where the address should, shortened.
        address: String,
    },
    /// A bracket is missing, or one is there that should not.
    #[error(
        "`{text}` is not a destination: brackets hold an IPv6 address or network, and a port may follow; write one such as \
         `[fd00::5]:80/tcp`, or {}",
        To::FORMS
    )]
    Brackets {
        /// The text, shortened.
        text: String,
    },
    /// What follows the slash is no length of a prefix.
    #[error(
        "`{text}` is not a destination: `{length}` is no length of a prefix of {address}; give from 0 to {most}, or a protocol \
         behind a port (`:80/tcp`, `:*/icmp`)"
    )]
    NotALength {
        /// The text, shortened.
        text: String,
        /// What stands where the length should, shortened.
        length: String,
        /// The address in front of it.
        address: IpAddr,
        /// The greatest length of its family.
        most: u8,
    },
    /// The address has bits behind the prefix.
    #[error("`{address}/{length}` has bits set behind the first {length}: write `{network}` or `{address}`")]
    HostBits {
        /// The address given.
        address: IpAddr,
        /// The length given, in bits.
        length: u8,
        /// The network that the address is in.
        network: Prefix,
    },
    /// Packets of IPv4 are never IPv6 ones on a link.
    #[error("`{text}` is an IPv4 address in the clothes of an IPv6 one: write `{ipv4}`")]
    Mapped {
        /// What was given, shortened.
        text: String,
        /// The same in IPv4.
        ipv4: Prefix,
    },
    /// What follows the colon is no port.
    #[error(
        "`{text}` is not a destination: `{port}` is no port; write a whole number from 1 to 65535, or `*` for any"
    )]
    NotAPort {
        /// The text, shortened.
        text: String,
        /// What stands where the port should, shortened.
        port: String,
    },
    /// The word names no protocol.
    #[error("`{word}` is not a protocol: write one of {}, or a number from 0 to 255", Protocol::names())]
    NotAProtocol {
        /// The word, shortened.
        word: String,
    },
    /// The protocol has no ports.
    #[error(
        "`{protocol}` has no ports, so nothing goes to port {port} by it: write `*` for the port, or one of the protocols that \
         have them, tcp, udp and sctp"
    )]
    PortWithoutPorts {
        /// The port asked for.
        port: u16,
        /// The protocol asked for.
        protocol: Protocol,
    },
    /// The parts of the shape do not fit together, or there is nothing to do.
    #[error(transparent)]
    Shape(#[from] shape::Error),
    /// What is dropped or rejected never gets as far as its shape.
    #[error(
        "filter `{}` leaves the shape nothing to act on: give one of them, or `after` to shape first and filter then",
        .filter.name()
    )]
    ShapeBehindFilter {
        /// The filter asked for.
        filter: Filter,
    },
    /// Only a filter can begin later.
    #[error("after {after} has no filter to begin: give a filter (such as `drop`) too")]
    AfterWithoutFilter {
        /// The time asked for.
        after: Delay,
    },
    /// The time is below [`super::TIME_LIMIT_MIN`] or above [`super::TIME_LIMIT_MAX`].
    #[error("{what} {time} is out of range: {TIME_LIMIT_RANGE}")]
    TimeOutOfRange {
        /// `after` or `for`.
        what: &'static str,
        /// The time asked for.
        time: Delay,
    },
    /// The rule ends before its filter begins.
    #[error(
        "after {after} is not before the end of the rule at {limit}: give less than {limit}, or a longer `for`"
    )]
    AfterTheEnd {
        /// When the filter would begin.
        after: Delay,
        /// When the rule ends.
        limit: Delay,
    },
    /// There is a rule for this destination.
    #[error("there is a rule for {} already: give one rule for each destination", everyone(.to))]
    Twice {
        /// The destination; `None` for all peers.
        to: Option<To>,
    },
    /// There are more rules than [`RULES_MAX`].
    #[error("more than {RULES_MAX} rules: put peers together in networks (such as `10.0.0.0/24`)")]
    TooMany,
}

/// The destination in backquotes, or that there is none.
pub(super) fn everyone(to: &Option<To>) -> String {
    to.map_or_else(|| "all peers (one without `to`)".to_owned(), |to| format!("`{to}`"))
}
