//! From what there is of a policy to what there is to be.

use super::Standing;
use crate::netlink::Message;
use crate::netlink::route::Entry;
use crate::netlink::rule::{Action, Rule};

/// What leads from `now` to `wanted`, as three batches; after each the next command can go on or go back.
///
/// 1. What is kept and not there yet, and the rule for it: no packet goes another way than before.
/// 2. What refuses the rest, or no longer does.
/// 3. What is not kept any more, and its rule.
///
/// So what stays kept is reachable all the time, and what stays denied is at no time. `name` gives the names of links, for the
/// commands of a dry run.
#[must_use]
pub fn steps(now: &Standing, wanted: &Standing, name: &dyn Fn(u32) -> String) -> [Vec<Message<'static>>; 3] {
    let refuses = |rule: &&Rule| rule.action == Action::Prohibit;
    let leads = |rule: &&Rule| rule.action != Action::Prohibit;
    let added: Vec<&Rule> = wanted.rules.iter().filter(|rule| !now.rules.contains(rule)).collect();
    let removed: Vec<&Rule> = now.rules.iter().filter(|rule| !wanted.rules.contains(rule)).collect();

    let missing = wanted.routes.iter().filter(|route| !now.routes.contains(route));
    let mut first: Vec<_> = missing.map(|route| route.replace(name)).collect();
    first.extend(added.iter().copied().filter(leads).map(Rule::add));

    let mut second: Vec<_> = added.iter().copied().filter(refuses).map(Rule::add).collect();
    second.extend(removed.iter().copied().filter(refuses).map(Rule::delete));

    let mut third: Vec<_> = removed.iter().copied().filter(leads).map(Rule::delete).collect();
    let is_replaced = |route: &Entry| wanted.routes.iter().any(|other| other.is_in_place_of(route));
    // Those that need others, which come last in a table that we made, go first.
    let gone = now.routes.iter().rev().filter(|route| !is_replaced(route));
    third.extend(gone.map(|route| route.delete(name)));
    [first, second, third]
}
