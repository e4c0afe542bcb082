//! Which routes `deny-all` keeps.

use std::net::{IpAddr, Ipv4Addr};

use super::standing::{is_without_rules, lookup, prohibit};
use super::{Error, Keep, PREF, Standing, TABLE};
use crate::netlink::link::Link;
use crate::netlink::route::{self, Entry};
use crate::netlink::rule::{self, Action, Rule};
use crate::netlink::{Family, Socket};

/// The kernel's table of the namespace's own addresses.
const LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;
/// IPv4's multicast addresses. IPv6's are in table `local`, which is asked before our rules.
const MULTICAST: (IpAddr, u8) = (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4);

/// What `deny-all` has to be in the socket's namespace so that the network of `link` and `keeps` stay reachable.
///
/// Reads routes and rules of the namespace, ours aside, and changes nothing.
///
/// # Errors
///
/// [`Error`].
pub fn deny(socket: &mut Socket, link: &Link, keeps: &[Keep]) -> Result<Standing, Error> {
    let mut wanted = Standing::default();
    for family in Family::ALL {
        let routes = route::dump(socket, family, None)?;
        let keeps: Vec<Keep> =
            keeps.iter().copied().filter(|keep| Family::of(keep.address) == family).collect();
        let rules = match rule::dump(socket, family) {
            Ok(rules) => rules,
            // Without IPv6 there is nothing of it to deny.
            Err(error) if is_without_rules(&error) && family == Family::V6 && routes.is_empty() => {
                match keeps.first() {
                    Some(&keep) => return Err(Error::NoRoute { keep }),
                    None => continue,
                }
            }
            Err(source) if is_without_rules(&source) => {
                let config = match family {
                    Family::V4 => "CONFIG_IP_MULTIPLE_TABLES",
                    Family::V6 => "CONFIG_IPV6_MULTIPLE_TABLES",
                };
                return Err(Error::NoRules { family, config, source });
            }
            Err(error) => return Err(error.into()),
        };
        let is_local =
            |rule: &Rule| rule.is_plain && rule.action == Action::Lookup(LOCAL) && rule.pref < PREF;
        if !rules.iter().any(is_local) {
            return Err(Error::LocalRule { family });
        }
        wanted.families.push(family);
        wanted.routes.extend(kept(family, &routes, &tables(&rules), link, &keeps)?);
        wanted.rules.extend([lookup(family), prohibit(family)]);
    }
    Ok(wanted)
}

/// The tables that the kernel asks for every packet, in order, but for ours. Rules for some packets only are passed over: what
/// is kept is kept for all.
fn tables(rules: &[Rule]) -> Vec<u32> {
    let table = |rule: &Rule| match rule.action {
        Action::Lookup(table) if rule.is_plain && table != TABLE => Some(table),
        _ => None,
    };
    rules.iter().filter_map(table).collect()
}

/// The routes of one family to keep, in our table; those without a router first.
fn kept(
    family: Family,
    routes: &[Entry],
    tables: &[u32],
    link: &Link,
    keeps: &[Keep],
) -> Result<Vec<Entry>, Error> {
    let mut kept = Kept::default();
    for route in candidates(routes, tables).filter(|route| route.prefix_len > 0) {
        if route.is_on_link(link.ifindex) {
            kept.push(route.in_table(TABLE));
        }
    }
    // The kernel takes no route by a link that is down. It also says whose network is kept.
    if family == Family::V4 && link.is_up() {
        let (to, prefix_len) = MULTICAST;
        kept.push(Entry::on_link(to, prefix_len, link.ifindex, TABLE));
    }
    for &keep in keeps {
        for route in of_keep(routes, tables, keep)? {
            kept.push_with_routers(route, routes, tables);
        }
    }
    let mut kept = kept.0;
    kept.sort_by_key(|route| route.next_hops().iter().any(|hop| hop.gateway.is_some()));
    Ok(kept)
}

/// The routes that the kernel goes by for what is to be kept: that for the whole of it, and those for parts of it.
fn of_keep(routes: &[Entry], tables: &[u32], keep: Keep) -> Result<Vec<Entry>, Error> {
    let mut wanted = Vec::new();
    let whole = best(routes, tables, keep.address, keep.prefix_len);
    if let Some(whole) = whole.filter(|route| route.kind == libc::RTN_UNICAST) {
        wanted.push(whole.leading_to(keep.address, keep.prefix_len).in_table(TABLE));
    }
    let is_part = |route: &&Entry| {
        let all = Entry::on_link(keep.address, keep.prefix_len, 0, TABLE);
        route.prefix_len > keep.prefix_len && all.covers(route.to, route.prefix_len)
    };
    wanted.extend(candidates(routes, tables).filter(is_part).map(|route| route.in_table(TABLE)));
    // An address of the namespace itself needs no route of ours.
    let is_own = whole.is_some_and(|route| route.table == LOCAL);
    if wanted.is_empty() && !is_own {
        return Err(Error::NoRoute { keep });
    }
    Ok(wanted)
}

/// The user's routes, in the order in which the kernel asks the tables.
fn candidates<'a>(routes: &'a [Entry], tables: &'a [u32]) -> impl Iterator<Item = &'a Entry> {
    let users = tables.iter().filter(|table| **table != LOCAL);
    users.flat_map(|table| routes.iter().filter(move |route| route.table == *table && route.tos == 0))
}

/// The route by which packets to all of this network go; a part of it may have another.
fn best<'a>(routes: &'a [Entry], tables: &[u32], to: IpAddr, prefix_len: u8) -> Option<&'a Entry> {
    let in_table = |table: &u32| {
        let matching = routes
            .iter()
            .filter(|route| route.table == *table && route.tos == 0 && route.covers(to, prefix_len));
        matching
            .min_by_key(|route| (u8::MAX - route.prefix_len, route.metric(), route.preference_rank()))
            // Such a route says to ask the next table.
            .filter(|route| route.kind != libc::RTN_THROW)
    };
    tables.iter().find_map(in_table)
}

#[derive(Default)]
struct Kept(Vec<Entry>);

impl Kept {
    /// Adds a route, unless one for the same place is there.
    fn push(&mut self, route: Entry) {
        if !self.0.iter().any(|other| other.is_in_place_of(&route)) {
            self.0.push(route);
        }
    }

    /// Adds a route, and those to its routers, as hosts: the kernel takes no route by a router that it has none to.
    fn push_with_routers(&mut self, route: Entry, routes: &[Entry], tables: &[u32]) {
        for hop in route.next_hops() {
            // A link-local address is a neighbour's, whatever routes say.
            let Some(gateway) = hop.gateway.filter(|gateway| !is_link_local(*gateway)) else { continue };
            let bits = Family::of(gateway).bits();
            if self.0.iter().any(|kept| kept.is_on_link(hop.ifindex) && kept.covers(gateway, bits)) {
                continue;
            }
            let on_link: Vec<Entry> =
                candidates(routes, tables).filter(|route| route.is_on_link(hop.ifindex)).cloned().collect();
            if let Some(neighbours) = best(&on_link, tables, gateway, bits) {
                self.push(neighbours.leading_to(gateway, bits).in_table(TABLE));
            }
        }
        self.push(route);
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
