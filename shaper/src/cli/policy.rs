//! The part of `shaper apply` that is about the namespace's routes.

use serde::Serialize;

use super::apply::done;
use super::args::{ApplyArgs, LinkArgs, PolicyArgs, RuleArgs};
use super::exit::{Code, Failure};
use super::output;
use crate::policy::{Applied, Policy};
use crate::shape::{Direction, EngineChoice, Parts};
use crate::wanted::{Routing, Wanted};

/// What `apply --json` prints of a policy without a shape.
#[derive(Serialize)]
struct Alone {
    namespace: String,
    policy: Applied,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
}

/// Whether the flags ask for a policy and for no shape.
///
/// # Errors
///
/// Flags that do not fit together.
pub(super) fn is_alone(args: &ApplyArgs) -> Result<bool, Failure> {
    let usage = |what: &str| Err(Failure::new(Code::Usage, anyhow::anyhow!("{what}")));
    if !args.policy.keep.is_empty() && args.policy.policy != Some(Policy::DenyAll) {
        return usage("--keep says what `--policy deny-all` leaves reachable: give that too");
    }
    let RuleArgs { to, filter, after, file } = &args.rule;
    let LinkArgs { down, mtu, shape_neighbours, fail_closed } = args.link;
    let is_of_a_rule = to.is_some() || filter.is_some() || after.is_some() || file.is_some();
    let is_of_a_link = down || mtu.is_some() || shape_neighbours || fail_closed;
    if args.policy.policy.is_none() || is_of_a_rule || is_of_a_link || args.shape.parts()? != Parts::default()
    {
        return Ok(false);
    }
    if args.time_limit.is_some() {
        return usage("--for is the time limit of a shape, and there is none: a policy lasts until `clear`");
    }
    if args.engine != EngineChoice::Auto || args.direction != Direction::default() {
        return usage(
            "--engine and --direction are of a shape, and there is none: give a shape, such as `--latency 100ms`",
        );
    }
    Ok(true)
}

/// The policy that the flags ask for.
pub(super) fn asked(args: &PolicyArgs) -> Option<Routing> {
    args.policy.map(|policy| match policy {
        Policy::AllowAll => Routing::AllowAll,
        Policy::DenyAll => Routing::DenyAll { keep: args.keep.clone() },
    })
}

/// Applies a policy without a shape.
pub(super) fn run(args: &ApplyArgs) -> Result<(), Failure> {
    let (dev, policy) = (args.dev.clone(), asked(&args.policy));
    let wanted = Wanted { dev, addresses: args.address.into_iter().collect(), policy, ..Wanted::default() };
    let (namespace, done) = done(args, wanted)?;
    let Some(policy) = done.policy else { return Ok(()) };
    let alone = Alone { namespace, policy, commands: done.commands };
    if args.json {
        return output::print_json(&alone);
    }
    let commands: String = alone.commands.iter().map(|command| format!("{command}\n")).collect();
    output::print(text(&alone.policy, &alone.namespace) + &commands)
}

/// What was applied, in one line and one for each route.
pub(super) fn text(applied: &Applied, namespace: &str) -> String {
    let Applied { report, outcome } = applied;
    format!("{outcome}: policy of `{namespace}`: {}", report.words())
}
