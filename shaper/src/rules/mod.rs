//! What is to happen to the packets of which peer: valid by construction, and pure.
//!
//! A [`Rule`] is a shape, a filter, or neither, for the peers that a [`To`] names. Where several rules fit a packet, that with the
//! longest prefix is meant, then that with the port and the protocol; a [`RuleSet`] has at most one rule for each destination.
//! A [`File`] is a rule set as people keep it.

mod change;
mod error;
pub mod file;
mod filter;
mod mtu;
mod prefix;
mod protocol;
mod rule;
mod set;
mod split;
mod to;

pub use change::Change;
pub use error::Error;
pub use file::File;
pub use mtu::Mtu;
pub use prefix::Prefix;
pub use protocol::Protocol;
pub use rule::{Rule, RuleParts};
pub use set::RuleSet;
pub use shaper_common::filter::Filter;
pub use to::To;

use crate::units::Delay;

/// The most rules that one direction of a link can have.
pub const RULES_MAX: usize = 65_536;
/// The shortest time that a rule, or the wait for its filter, can last.
pub const TIME_LIMIT_MIN: Delay = Delay::from_ms(1);
/// The longest: a year is far beyond any test, and far below the end of `CLOCK_MONOTONIC`.
pub const TIME_LIMIT_MAX: Delay = Delay::from_secs(365 * 24 * 3_600);
/// From [`TIME_LIMIT_MIN`] to [`TIME_LIMIT_MAX`], as errors say it.
pub(crate) const TIME_LIMIT_RANGE: &str = "give from 1ms to 8760h (a year), such as `30s`";

#[cfg(test)]
pub(crate) mod any;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use any::any_set;
