//! Why a configuration cannot be had.

use super::super::config::NETWORK;
use crate::netlink::Family;
use crate::rules;
use crate::shape;
use crate::wanted::Address;

/// A value that cannot be had; says the key, the value and what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is one network.
    #[error("`network` is `{network}`: there is one only, `{NETWORK}`")]
    Network {
        /// The name given, shortened.
        network: String,
    },
    /// No host has this address.
    #[error("`{family}` is `{address}`, {what}: write a host's address in the data network, such as {}", example(*.family))]
    Address {
        /// Whose, which is the key.
        family: Family,
        /// What was given.
        address: Address,
        /// What it is.
        what: &'static str,
    },
    /// The filter is none of the three.
    #[error("`{key}.filter` is {filter}: write 0 to accept, 1 to reject or 2 to drop")]
    Filter {
        /// The rule, such as `rules[2]`.
        key: String,
        /// The number given.
        filter: i64,
    },
    /// The subnet is none.
    #[error("`{key}.subnet` is `{subnet}`: {}", no_subnet(.why))]
    Subnet {
        /// The rule, such as `rules[2]`.
        key: String,
        /// What was given, shortened.
        subnet: String,
        /// Why it is none; `None` without a length.
        why: Option<Box<rules::Error>>,
    },
    /// A number is out of its range.
    #[error("`{key}` is {value}: {legal}")]
    Number {
        /// The key with those above it, such as `default.latency`.
        key: String,
        /// The number given.
        value: String,
        /// What would be right.
        legal: String,
    },
    /// The numbers do not fit together.
    #[error("`{key}`: {source}")]
    Shape {
        /// The shape, such as `default` or `rules[2]`.
        key: String,
        /// Why.
        source: shape::Error,
    },
    /// There are too many rules.
    #[error("`rules`: {0}")]
    Rules(#[source] rules::Error),
}

fn example(family: Family) -> &'static str {
    match family {
        Family::V4 => "`16.0.1.1/16`",
        Family::V6 => "`fd00::7/64`",
    }
}

fn no_subnet(why: &Option<Box<rules::Error>>) -> String {
    match why {
        Some(why) => why.to_string(),
        None => {
            "write a network with its length, such as `16.0.0.0/16`, or `16.0.0.5/32` for one host".to_owned()
        }
    }
}
