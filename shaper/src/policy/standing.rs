//! What of a policy is in the kernel, or is to be.

use nix::errno::Errno;

use super::{PREF, PROTOCOL, TABLE};
use crate::netlink::route::{self, Entry};
use crate::netlink::rule::{self, Action, Rule};
use crate::netlink::{Error, Family, Socket};

/// Rules and routes of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The families whose routes the kernel chooses by rules.
    pub families: Vec<Family>,
    /// The routes that are kept, those without a router first: the others need them.
    pub routes: Vec<Entry>,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Standing {
    /// Looks at the socket's namespace.
    ///
    /// # Errors
    ///
    /// When a dump is refused for another reason than that the kernel has no rules.
    pub fn take(socket: &mut Socket) -> Result<Self, Error> {
        let mut standing = Self::default();
        for family in Family::ALL {
            match rule::dump(socket, family) {
                Ok(rules) => {
                    standing.families.push(family);
                    standing.rules.extend(rules.into_iter().filter(is_ours));
                    standing.routes.extend(route::dump(socket, family, Some(TABLE))?);
                }
                Err(error) if is_without_rules(&error) => {}
                Err(error) => return Err(error),
            }
        }
        standing.routes.sort_by_key(|route| route.next_hops().iter().any(|hop| hop.gateway.is_some()));
        Ok(standing)
    }

    /// Says whether there is nothing of ours.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    /// Says whether every family is refused what is not kept.
    #[must_use]
    pub fn denies_all(&self) -> bool {
        let denies = |family: &Family| {
            [lookup(*family), prohibit(*family)].iter().all(|rule| self.rules.contains(rule))
        };
        !self.families.is_empty() && self.families.iter().all(denies)
    }
}

/// The rule that has our table looked up.
pub(super) fn lookup(family: Family) -> Rule {
    Rule::new(family, PREF, PROTOCOL, Action::Lookup(TABLE))
}

/// The rule that refuses what our table did not have.
pub(super) fn prohibit(family: Family) -> Rule {
    Rule::new(family, PREF + 1, PROTOCOL, Action::Prohibit)
}

fn is_ours(rule: &Rule) -> bool {
    [lookup(rule.family), prohibit(rule.family)].contains(rule)
}

/// Whether a dump of rules was refused because there are none in this kernel, or no such family.
pub(super) fn is_without_rules(error: &Error) -> bool {
    matches!(error.errno(), Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT)
}
