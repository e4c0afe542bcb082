//! Which routing policy.

use clap::Args;

use super::value;
use crate::policy::{Keep, Policy};

const POLICY: &str = "Routing policy";

/// The flags of a routing policy, of the whole namespace.
#[derive(Args, Clone, Debug, Default)]
pub struct PolicyArgs {
    /// What the namespace can reach: `deny-all` leaves the network of the link, and refuses everything else at once;
    /// `allow-all` takes that back
    ///
    /// No route of yours is touched: rules of shaper's own come before them, which `clear` deletes too. With a shape, --for
    /// is the time limit of the shape only. A program that binds to a link by name goes around the policy with IPv4. Give the
    /// command again after the addresses of the link have changed, or it was down.
    #[arg(
        long, value_name = "NAME", help_heading = POLICY,
        value_parser = value::named::<Policy>(), ignore_case = true
    )]
    pub policy: Option<Policy>,
    /// With `deny-all`: a host or network that stays reachable as it is now, such as `192.0.2.7`; may be given several times
    ///
    /// An address or a prefix: names are not looked up. The routers on the way stay reachable too.
    #[arg(long, value_name = "HOST", help_heading = POLICY)]
    pub keep: Vec<Keep>,
}
