//! What `show` says of a policy.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::netlink::link::Link;
use crate::netlink::route::Entry;

/// Whether what is not kept is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing is refused.
    AllowAll,
    /// What is not kept is refused.
    DenyAll,
    /// A command was killed half-way, or somebody took a part away: what is not kept may pass.
    Incomplete,
}

impl State {
    /// As in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::DenyAll => "deny-all",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The policy of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub policy: State,
    /// The link whose network is kept; absent without one, and when it was down since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The routes that are kept.
    pub kept: Vec<Kept>,
}

/// A policy that is now so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// It.
    #[serde(flatten)]
    pub report: Report,
    /// `added`, `changed`, `removed`, `unchanged` or `dry-run`.
    pub outcome: Cow<'static, str>,
}

/// A route that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where to: an address, a network, or `default`.
    pub to: String,
    /// The router, or the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// The link, or that of the first router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// The address that packets come from, when the route says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<IpAddr>,
}

impl Report {
    /// Says in the names of `links` what stands.
    #[must_use]
    pub fn new(standing: &Standing, links: &[Link]) -> Self {
        let name = |ifindex: u32| name_of(links, ifindex);
        let of = |route: &Entry| {
            let hop = route.next_hops().first().copied();
            Kept {
                to: route.prefix(),
                via: hop.and_then(|hop| hop.gateway),
                dev: hop.map(|hop| name(hop.ifindex)),
                src: route.source(),
            }
        };
        // `deny-all` keeps multicast for the one link whose network it keeps.
        let multicast = standing.routes.iter().find(|route| route.to.is_multicast());
        Self {
            policy: match (standing.is_nothing(), standing.denies_all()) {
                (true, _) => State::AllowAll,
                (false, true) => State::DenyAll,
                (false, false) => State::Incomplete,
            },
            link: multicast.and_then(|route| Some(name(route.next_hops().first()?.ifindex))),
            kept: standing.routes.iter().map(of).collect(),
        }
    }

    /// The policy in a line, and below it one for each route that it keeps.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.policy {
            State::AllowAll => "allow-all\n".to_owned(),
            State::DenyAll => {
                let network = self.link.as_ref().map(|link| format!(" but the network of `{link}`"));
                format!("deny-all{}\n", network.unwrap_or_default())
            }
            State::Incomplete => "incomplete, everything may pass; `apply` or `clear` mends it\n".to_owned(),
        };
        let kept = self.kept.iter().map(|route| format!("  kept     {route}\n"));
        std::iter::once(what).chain(kept).collect()
    }
}

/// The name of the link of this number, or the number.
pub(crate) fn name_of(links: &[Link], ifindex: u32) -> String {
    let found = links.iter().find(|link| link.ifindex == ifindex);
    found.map_or_else(|| format!("if{ifindex}"), |link| link.name.clone())
}

/// `10.0.0.0/24 dev eth0 src 10.0.0.1`.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to)?;
        self.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        self.dev.iter().try_for_each(|dev| write!(f, " dev {dev}"))?;
        self.src.iter().try_for_each(|src| write!(f, " src {src}"))
    }
}
