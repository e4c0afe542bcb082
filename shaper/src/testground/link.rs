//! What the configurations of one instance, one after the other, come to for its data link.
//!
//! As with Testground's own sidecar the last shape counts, and rules accumulate: a configuration without rules removes none, and
//! only one that accepts the same subnet, without a shape, takes its rule away. Otherwise than there:
//!
//! - A rule that accepts and has a shape shapes what goes to its subnet, in place of `default`.
//! - The most specific subnet counts, whichever came first.
//! - A rule that drops does so silently, and in both directions: the subnet is cut off. There, the sender's `connect` fails at once
//!   (`EINVAL`), and what the peers send still arrives.
//! - A rule that rejects answers at once, and in both directions: a connection is refused (`ECONNREFUSED`; there, `EACCES`), and so is
//!   one of the peers, which there waits until it gives up.
//! - What is disconnected and comes back has its address and its open connections; rules stay, too, as there.

mod error;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use shaper_common::abi::{Direction, link_flag};

use super::config::{Config, LinkRule, NETWORK, RoutingPolicy};
use crate::netlink::Family;
use crate::plan::set::Wish;
use crate::policy::Keep;
use crate::rules::{self, Filter, Prefix, Rule, RuleParts, RuleSet, To};
use crate::shape::{Parts, Shape};
use crate::wanted::{Address, Routing, Wanted};

pub use error::Error;

/// What is wanted of the data link of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    is_connected: bool,
    ipv4: Option<Address>,
    ipv6: Option<Address>,
    shape: Option<Shape>,
    rules: BTreeMap<Prefix, Treatment>,
    policy: RoutingPolicy,
}

/// What becomes of the packets of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Shaped(Shape),
    Dropped,
    Rejected,
}

/// That of [`Config::initial`].
impl Default for Link {
    fn default() -> Self {
        let policy = RoutingPolicy::default();
        Self { is_connected: true, ipv4: None, ipv6: None, shape: None, rules: BTreeMap::new(), policy }
    }
}

impl Link {
    /// What is wanted once `config` was asked for, too. This is pure: whoever fails to make it so goes on with what was before.
    ///
    /// Of a configuration that disconnects nothing else counts but its routing policy, as with Testground's own sidecar.
    ///
    /// # Errors
    ///
    /// A value that cannot be had; says the key, the value and what would be right.
    pub fn configured(&self, config: &Config) -> Result<Self, Error> {
        if config.network != NETWORK {
            return Err(Error::Network { network: crate::units::quote(&config.network) });
        }
        let policy = config.routing_policy;
        if !config.enable {
            return Ok(Self { is_connected: false, policy, ..self.clone() });
        }
        let ipv4 = config.ipv4.map(checked).transpose()?.or(self.ipv4);
        let ipv6 = config.ipv6.map(checked).transpose()?.or(self.ipv6);
        let mut rules = self.rules.clone();
        for (nth, rule) in config.rules.iter().enumerate() {
            let (subnet, treatment) = treatment(&format!("rules[{nth}]"), rule)?;
            match treatment {
                Some(treatment) => rules.insert(subnet, treatment),
                None => rules.remove(&subnet),
            };
        }
        let shape = shape::of("default", &config.default)?;
        Ok(Self { is_connected: true, ipv4, ipv6, shape, rules, policy })
    }

    /// Whether the data link is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// What that is of the link `dev`, where the hosts and networks `keep` stay in reach whatever the policy.
    ///
    /// # Errors
    ///
    /// When there are more rules than a link can have.
    pub fn wanted(&self, dev: &str, keep: &[Keep]) -> Result<Wanted, Error> {
        let none = (RuleSet::default(), RuleSet::default());
        let (egress, ingress) = if self.is_connected { (self.egress()?, self.ingress()?) } else { none };
        let policy = match self.policy {
            RoutingPolicy::AllowAll => Routing::AllowAll,
            RoutingPolicy::DenyAll => Routing::DenyAll { keep: keep.to_vec() },
        };
        Ok(Wanted {
            dev: Some(dev.to_owned()),
            wishes: vec![
                (Direction::Egress, Wish::Whole(egress)),
                (Direction::Ingress, Wish::Whole(ingress)),
            ],
            flags: if self.is_connected { 0 } else { link_flag::DOWN },
            addresses: self.ipv4.into_iter().chain(self.ipv6).filter(|_| self.is_connected).collect(),
            policy: Some(policy),
            ..Wanted::default()
        })
    }

    fn egress(&self) -> Result<RuleSet, Error> {
        let all = self.shape.map(|shape| rule(None, None, Some(shape)));
        let of_subnets = self.rules.iter().map(|(subnet, treatment)| match treatment {
            Treatment::Shaped(shape) => rule(Some(*subnet), None, Some(*shape)),
            Treatment::Dropped => rule(Some(*subnet), Some(Filter::Drop), None),
            Treatment::Rejected => rule(Some(*subnet), Some(Filter::Reject), None),
        });
        set(all.into_iter().chain(of_subnets))
    }

    fn ingress(&self) -> Result<RuleSet, Error> {
        let is_filtered = |treatment: &Treatment| !matches!(treatment, Treatment::Shaped(_));
        // What is shaped comes through a filter of a larger network, as it goes.
        let is_in_filtered = |subnet: &Prefix| {
            let around = |other: &Prefix| {
                let (length, address) = (subnet.length(), subnet.address());
                other.length() < length && other.contains(address)
            };
            self.rules.iter().any(|(other, treatment)| is_filtered(treatment) && around(other))
        };
        let of_subnets = self.rules.iter().filter_map(|(subnet, treatment)| match treatment {
            Treatment::Shaped(_) => is_in_filtered(subnet).then(|| rule(Some(*subnet), None, None)),
            Treatment::Dropped => Some(rule(Some(*subnet), Some(Filter::Drop), None)),
            Treatment::Rejected => Some(rule(Some(*subnet), Some(Filter::Reject), None)),
        });
        set(of_subnets)
    }
}

fn set(rules: impl Iterator<Item = Result<Rule, rules::Error>>) -> Result<RuleSet, Error> {
    let rules = rules.collect::<Result<Vec<_>, _>>().and_then(RuleSet::new);
    rules.map_err(Error::Rules)
}

fn rule(to: Option<Prefix>, filter: Option<Filter>, shape: Option<Shape>) -> Result<Rule, rules::Error> {
    let shape = shape.map(Parts::from).unwrap_or_default();
    Rule::new(RuleParts { to: to.map(To::from), filter, shape, ..RuleParts::default() })
}

/// What a rule says of its subnet; nothing for one that only takes another away.
fn treatment(key: &str, rule: &LinkRule) -> Result<(Prefix, Option<Treatment>), Error> {
    let subnet = subnet(&rule.subnet).map_err(|why| Error::Subnet {
        key: key.to_owned(),
        subnet: crate::units::quote(&rule.subnet),
        why: why.map(Box::new),
    })?;
    let treatment = match rule.shape.filter {
        0 => shape::of(key, &rule.shape)?.map(Treatment::Shaped),
        1 => Some(Treatment::Rejected),
        2 => Some(Treatment::Dropped),
        filter => return Err(Error::Filter { key: key.to_owned(), filter }),
    };
    Ok((subnet, treatment))
}

/// A network with its length: a host alone is none to Testground's decoder, either.
fn subnet(text: &str) -> Result<Prefix, Option<rules::Error>> {
    if !text.contains('/') {
        return Err(None);
    }
    text.parse().map_err(Some)
}

fn checked(address: Address) -> Result<Address, Error> {
    let what = match address.address {
        IpAddr::V4(address) if address.is_unspecified() => "no address",
        IpAddr::V6(address) if address.is_unspecified() => "no address",
        one if one.is_loopback() => "an address of the loopback",
        one if one.is_multicast() => "a multicast address",
        IpAddr::V4(address) if address.octets()[0] >= 240 => "a reserved address",
        IpAddr::V4(address) if address.octets()[0] == 0 => "an address of this network itself",
        IpAddr::V6(address) if address.is_unicast_link_local() => "an address of the link alone",
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => "an address of IPv4",
        _ => return Ok(address),
    };
    Err(Error::Address { family: Family::of(address.address), address, what })
}
