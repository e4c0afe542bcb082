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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Family;
    use crate::policy::standing::{lookup, prohibit};

    fn standing(routes: &[Entry]) -> Standing {
        let rules = Family::ALL.into_iter().flat_map(|family| [lookup(family), prohibit(family)]).collect();
        Standing { routes: routes.to_vec(), rules, ..Standing::default() }
    }

    fn host(last: u8, ifindex: u32) -> Entry {
        Entry::on_link([10, 0, 0, last].into(), 32, ifindex, crate::policy::TABLE)
    }

    fn commands(now: &Standing, wanted: &Standing) -> [Vec<String>; 3] {
        let name = |ifindex| format!("eth{ifindex}");
        steps(now, wanted, &name)
            .map(|batch| batch.iter().map(|message| message.command().to_owned()).collect())
    }

    #[test]
    fn what_is_kept_comes_first_and_goes_last() {
        let (nothing, denied) = (Standing::default(), standing(&[host(1, 2)]));
        let route = "table 23040 proto boot scope link dev eth2";
        let [lookup, prohibit] = ["pref 90 protocol 90 table 23040", "pref 91 protocol 90 prohibit"];
        let both =
            |verb: &str, rule: &str| [format!("ip rule {verb} {rule}"), format!("ip -6 rule {verb} {rule}")];
        let [first, second, third] = commands(&nothing, &denied);
        assert_eq!(
            first,
            [&[format!("ip route replace 10.0.0.1 {route}")][..], &both("add", lookup)].concat()
        );
        assert_eq!((second, third), (both("add", prohibit).to_vec(), vec![]));
        let [first, second, third] = commands(&denied, &nothing);
        assert_eq!((first, second), (vec![], both("del", prohibit).to_vec()));
        assert_eq!(third, [&both("del", lookup)[..], &[format!("ip route del 10.0.0.1 {route}")]].concat());
    }

    #[test]
    fn a_route_gives_its_place_to_another_in_one_message() {
        let changed = commands(&standing(&[host(1, 2), host(2, 2)]), &standing(&[host(1, 3)]));
        let words = |to, link| format!("{to} table 23040 proto boot scope link dev {link}");
        let replace = format!("ip route replace {}", words("10.0.0.1", "eth3"));
        assert_eq!(
            changed,
            [vec![replace], vec![], vec![format!("ip route del {}", words("10.0.0.2", "eth2"))]]
        );
    }

    #[test]
    fn what_is_so_already_needs_nothing() {
        let denied = standing(&[host(1, 2)]);
        assert_eq!(commands(&denied, &denied), [const { Vec::<String>::new() }; 3]);
    }
}
