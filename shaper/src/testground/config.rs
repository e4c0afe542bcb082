//! The network configuration that an instance publishes: what the SDKs for Go, Rust and JavaScript write.
//!
//! Read as Testground's own sidecar reads it: keys in either case, all of them optional, `null` for any of them, unknown ones passed
//! over. More is taken than there: whole numbers with a point or an exponent, and of numbers beyond 64 bits the nearest one that
//! fits, for on its way through the sync service a number becomes one of floating point.

mod error;
mod members;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::netlink::Family;
use crate::units::quote;
use crate::wanted::Address;

use members::Members;

pub use error::Error;

/// Which places an instance is to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoutingPolicy {
    /// Whatever its routes lead to: `allow_all`.
    AllowAll,
    /// The data network alone: `deny_all`, nothing, and, as in Testground, any other word.
    #[default]
    DenyAll,
}

/// What one instance asks for, with the values that it said; whether they can be is for [`super::link`] to find out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The network; only `default` exists.
    pub network: String,
    /// The address of the data link; the one it has when nothing is said.
    pub ipv4: Option<Address>,
    /// The same of IPv6.
    pub ipv6: Option<Address>,
    /// Whether the data link is connected.
    pub enable: bool,
    /// The shape of all that leaves by the data link.
    pub default: LinkShape,
    /// Rules for some peers, beside those of configurations before.
    pub rules: Vec<LinkRule>,
    /// The state that is signalled when all is done; empty for none.
    pub callback_state: String,
    /// How many are to signal it, for the client alone.
    pub callback_target: Option<u64>,
    /// Which places the instance is to reach.
    pub routing_policy: RoutingPolicy,
    /// What was taken, and was perhaps meant otherwise: a sentence for the log each.
    pub notes: Vec<String>,
}

/// A shape as the SDKs say it; zero is none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkShape {
    /// Delay of each packet, in nanoseconds.
    pub latency: i64,
    /// How far it spreads to either side, in nanoseconds.
    pub jitter: i64,
    /// Bits per second.
    pub bandwidth: u64,
    /// 0 accepts, 1 rejects, 2 drops; of rules alone.
    pub filter: i64,
    /// Packets lost, in percent.
    pub loss: f64,
    /// Packets damaged, in percent.
    pub corrupt: f64,
    /// How often that is as with the packet before, in percent.
    pub corrupt_corr: f64,
    /// Packets that go without delay, in percent.
    pub reorder: f64,
    /// How often that is as with the packet before, in percent.
    pub reorder_corr: f64,
    /// Packets sent twice, in percent.
    pub duplicate: f64,
    /// How often that is as with the packet before, in percent.
    pub duplicate_corr: f64,
}

/// A rule for the peers of a subnet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkRule {
    /// Their network, as it was written.
    pub subnet: String,
    /// What becomes of the packets.
    pub shape: LinkShape,
}

/// The callback state of a configuration, even of one that is otherwise not legal; nothing where there is none.
#[must_use]
pub fn callback_state(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    let state = Members::of(&value, String::new()).ok()?.text("callback_state").ok()?;
    Some(state).filter(|state| !state.is_empty())
}

impl Config {
    /// What holds before an instance has asked for anything: connected, unshaped, and the data network alone in reach.
    #[must_use]
    pub fn initial() -> Self {
        Self { network: NETWORK.to_owned(), enable: true, ..Self::default() }
    }

    /// Reads the JSON that an instance published.
    ///
    /// # Errors
    ///
    /// A value that is not of its key's type; says the key, the value and what would be right.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(json).map_err(Error::NotJson)?;
        let members = Members::of(&value, String::new())?;
        let mut notes = Vec::new();
        let default = shape(&members.object("default")?, &mut notes)?;
        let rules = members.list("rules")?;
        let rules = rules.iter().enumerate().map(|(nth, rule)| {
            let members = Members::of(rule, format!("rules[{nth}]"))?;
            Ok(LinkRule { subnet: members.text("subnet")?, shape: shape(&members, &mut notes)? })
        });
        let rules = rules.collect::<Result<_, Error>>()?;
        Ok(Self {
            network: members.text("network")?,
            ipv4: members.address("IPv4", Family::V4)?,
            ipv6: members.address("IPv6", Family::V6)?,
            enable: members.flag("enable")?,
            default,
            rules,
            callback_state: members.text("callback_state")?,
            // Nobody here goes by it, so it may be anything.
            callback_target: members.optional_number("callback_target"),
            routing_policy: routing_policy(&members.text("routing_policy")?, &mut notes),
            notes,
        })
    }
}

/// The one network.
pub(super) const NETWORK: &str = "default";

fn shape(members: &Members<'_>, notes: &mut Vec<String>) -> Result<LinkShape, Error> {
    // The declarations of the SDK for JavaScript spell it so.
    if members.has("bandwith") {
        let key = members.path("bandwith");
        notes.push(format!("`{key}` is passed over: the key is `bandwidth`"));
    }
    Ok(LinkShape {
        latency: members.signed("latency", "a whole number of nanoseconds, such as 100000000")?,
        jitter: members.signed("jitter", "a whole number of nanoseconds, such as 10000000")?,
        bandwidth: members.unsigned("bandwidth")?,
        filter: members.signed("filter", "0 to accept, 1 to reject or 2 to drop")?,
        loss: members.percentage("loss")?,
        corrupt: members.percentage("corrupt")?,
        corrupt_corr: members.percentage("corrupt_corr")?,
        reorder: members.percentage("reorder")?,
        reorder_corr: members.percentage("reorder_corr")?,
        duplicate: members.percentage("duplicate")?,
        duplicate_corr: members.percentage("duplicate_corr")?,
    })
}

fn routing_policy(word: &str, notes: &mut Vec<String>) -> RoutingPolicy {
    match word {
        "allow_all" => return RoutingPolicy::AllowAll,
        "deny_all" | "" => {}
        other => notes.push(format!(
            "`routing_policy` `{}` is taken for `deny_all`, as Testground does: the words are `allow_all` and `deny_all`",
            quote(other)
        )),
    }
    RoutingPolicy::DenyAll
}
