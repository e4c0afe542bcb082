//! Routing policies: which places a namespace can reach at all.
//!
//! `deny-all` leaves every route of the user where it is. A rule of ours, before all of theirs but the one for the
//! namespace's own addresses, has a table of ours looked up, which holds copies of the routes that are kept; the rule after
//! it refuses everything else. These objects are the only record of the policy, known by their numbers, and without the
//! second rule they change nothing: the copies lead where the originals do.

mod change;
pub mod keep;
mod plan;
mod report;
mod standing;

use crate::netlink::{self, Family};
use crate::shape::{Named, text_by_name};

pub use change::steps;
pub use keep::Keep;
pub use plan::deny;
pub(crate) use report::name_of;
pub use report::{Applied, Kept, Report, State};
pub use standing::Standing;

/// The table of the routes that are kept.
pub const TABLE: u32 = 0x5a00;
/// Preference of the rule that has [`TABLE`] looked up; the one that refuses follows at once. Early, so that the user's own
/// rules cannot lead around the policy.
pub const PREF: u32 = 0x5a;
/// Who made our rules, as `ip rule` shows it.
pub const PROTOCOL: u8 = 0x5a;

/// What a namespace may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Whatever its routes lead to.
    AllowAll,
    /// The network of one link, and the places named besides.
    DenyAll,
}

impl Named for Policy {
    const WHAT: &'static str = "a policy";
    const ALL: &'static [Self] = &[Self::AllowAll, Self::DenyAll];

    fn name(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::DenyAll => "deny-all",
        }
    }
}

text_by_name!(Policy);

/// Why a policy cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The kernel chooses routes by no rules.
    #[error("this kernel has no rules for {family} routes ({config}): {source}")]
    NoRules {
        /// Whose routes.
        family: Family,
        /// What the kernel was built without.
        config: &'static str,
        /// The kernel's words.
        source: netlink::Error,
    },
    /// What is to be kept cannot be reached as it is.
    #[error("{keep} cannot be kept: no route leads there")]
    NoRoute {
        /// What is to be kept.
        keep: Keep,
    },
    /// The rule for the namespace's own addresses does not come before ours.
    #[error("{family} rules here do not begin with the lookup of table `local` (before preference {PREF})")]
    LocalRule {
        /// Whose rules.
        family: Family,
    },
}
