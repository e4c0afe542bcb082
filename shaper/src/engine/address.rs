//! Another address for a link: connections by other addresses go on, and so do the routes that the old one was the source of.
//!
//! The kernel takes an IPv4 address of a network that has one already as secondary, and takes it away with the first one
//! (`promote_secondaries` is off by default). And with the last address of a link it takes all routes by that link. So:
//!
//! 1. the new address is added as a host, without its network; routes that said the old source say the new one;
//! 2. the old addresses go, the new one comes with its network;
//! 3. the host goes.
//!
//! IPv6 has no secondary addresses, a network's route stays with the last of them, and a link has an address once, whatever the length
//! of its network: there the new one comes with its network first, then the old ones go, and nothing is left for the third.
//! The link-local address is none of the network, and stays.
//!
//! Each is one batch: killed in between, the link has the new address, and the next command goes on.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::netlink::address::{self, Entry};
use crate::netlink::link::{self, Device, Link};
use crate::netlink::{self, Family, Message, Socket, route};
use crate::policy;

use super::inverse::Inverse;
use super::{Error, Session, announce, clear};

/// How long the kernel may take for the route to an address of IPv6; it was less than 1 ms.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Why a link cannot have an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is in none of the link's networks.
    #[error("{address} is in no network of `{link}`: give an address of {}", .networks.join(" or "))]
    NotInNetwork {
        /// The address asked for.
        address: IpAddr,
        /// The link.
        link: String,
        /// Its networks.
        networks: Vec<String>,
    },
    /// It is the first or the last one of the network.
    #[error("{address} is {what} of {network}, and no host's: give one in between")]
    NotAHost {
        /// The address asked for.
        address: IpAddr,
        /// Which of the two.
        what: &'static str,
        /// The network.
        network: String,
    },
}

/// What has to change for an address.
#[derive(Clone, Debug)]
pub struct AddressChange {
    link: Link,
    local: IpAddr,
    before: Addresses,
    wanted: Addresses,
    links: Vec<Link>,
}

/// The addresses of a link that are in one network, in the kernel's order, and the routes that say one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    entries: Vec<Entry>,
    routes: Vec<route::Entry>,
}

impl AddressChange {
    /// Finds out what has to change for `link` to have `local` as its one address in the network that it is in; changes nothing.
    ///
    /// The network is the smallest one that the link has an address of; `prefix_len` (in bits) is that of a link that has no address
    /// yet.
    ///
    /// # Errors
    ///
    /// [`AddressError`], or when a dump is refused.
    pub fn plan(session: &mut Session, link: &Link, local: IpAddr, prefix_len: u8) -> Result<Self, Error> {
        let socket = session.socket();
        let entries = address::of_link(socket, &link.device(), Family::of(local))?;
        let prefix_len = network_of(&entries, &link.name, local, prefix_len)?;
        let before = take(socket, &link.device(), local, prefix_len)?;
        let model = before.entries.iter().find(|entry| entry.prefix_len == prefix_len);
        let wanted = match model {
            Some(model) => model.with_local(local),
            None => Entry::new(link.ifindex, local, prefix_len),
        };
        let routes = before.routes.iter().map(|route| route.with_source(local)).collect();
        let is_same = matches!(&before.entries[..], [only] if only.is_in_place_of(&wanted));
        let entries = if is_same { before.entries.clone() } else { vec![wanted] };
        let wanted = Addresses { entries, routes };
        Ok(Self { link: link.clone(), local, before, wanted, links: link::dump(session.socket())? })
    }

    /// The address.
    #[must_use]
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// Whether the link has the address, and no other one in its network.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.before.entries == self.wanted.entries
    }

    /// Makes it so; what takes it back is written down.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn make(&self, session: &mut Session) -> Result<(), Error> {
        if self.is_done() {
            return Ok(());
        }
        session.on_failure(Inverse::Address(Box::new(self.clone())));
        let [first, second, third] = steps(&self.before, &self.wanted, &self.link.device(), &self.name());
        session.send(first)?;
        // Before the old ones go.
        self.until_taken(session, &self.wanted)?;
        session.send(second)?;
        session.send(third)?;
        Ok(())
    }

    /// Tells the neighbours of an address that is new, which may have been another's. Last of all, for a link that was down lets nothing
    /// pass before it has its rules.
    pub fn announce(&self, session: &mut Session) {
        if !self.is_done() {
            announce_all(session, &self.link, &self.wanted);
        }
    }

    /// Waits until packets to the addresses are taken. With IPv6 the kernel makes the route to an address later than the address, in its
    /// own time, and only while the link has a carrier.
    fn until_taken(&self, session: &mut Session, addresses: &Addresses) -> Result<(), Error> {
        let family = Family::of(self.local);
        if family == Family::V4 || session.is_dry() || !self.link.is_running() {
            return Ok(());
        }
        let begin = Instant::now();
        loop {
            let routes = route::dump(session.socket(), family, None)?;
            let is_taken = |entry: &Entry| {
                let is_to = |route: &route::Entry| route.to == entry.local && route.kind == libc::RTN_LOCAL;
                routes.iter().any(is_to)
            };
            // What takes longer is another's affair, such as a link that was set down meanwhile.
            if addresses.entries.iter().all(is_taken) || begin.elapsed() > TAKEN_WITHIN {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Gives the link the addresses that it had, past what is so already.
    pub(super) fn take_back(&self, session: &mut Session) -> Result<(), Error> {
        let (dev, prefix_len) = (self.link.device(), self.prefix_len());
        let now = take(session.socket(), &dev, self.local, prefix_len)?;
        let there = route::dump(session.socket(), Family::of(self.local), None)?;
        let is_missing = |route: &&route::Entry| !there.contains(route);
        let routes: Vec<_> = self.before.routes.iter().filter(is_missing).cloned().collect();
        if now.entries == self.before.entries && routes.is_empty() {
            return Ok(());
        }
        let before = Addresses { entries: self.before.entries.clone(), routes };
        let mut failed = None;
        for message in steps(&now, &before, &dev, &self.name()).into_iter().flatten() {
            if let Err(error) = so_already(session.send(vec![message])) {
                failed.get_or_insert(error);
            }
        }
        self.until_taken(session, &self.before)?;
        announce_all(session, &self.link, &self.before);
        failed.map_or(Ok(()), Err)
    }

    /// What a policy that is planned before this is made has to say of a route: a dry run sees the routes of before.
    #[must_use]
    pub fn readdressed(&self, route: &route::Entry) -> route::Entry {
        let had = |source| self.before.entries.iter().any(|entry| entry.local == source);
        match route.source() {
            Some(source) if had(source) => route.with_source(self.local),
            _ => route.clone(),
        }
    }

    fn prefix_len(&self) -> u8 {
        self.wanted.entries.first().map_or(Family::of(self.local).bits(), |entry| entry.prefix_len)
    }

    fn name(&self) -> impl Fn(u32) -> String {
        |ifindex| policy::name_of(&self.links, ifindex)
    }
}

fn announce_all(session: &mut Session, link: &Link, addresses: &Addresses) {
    for entry in &addresses.entries {
        announce::announce(session, link, entry.local);
    }
}

/// The prefix length of the network that `local` is to be in.
fn network_of(entries: &[Entry], link: &str, local: IpAddr, prefix_len: u8) -> Result<u8, AddressError> {
    let bits = Family::of(local).bits();
    // Every link with IPv6 has an address of that network.
    let entries: Vec<&Entry> = entries.iter().filter(|entry| !is_link_local(entry.local)).collect();
    let is_in = |entry: &&&Entry| is_in_network(local, entry.local, entry.prefix_len);
    // A host alone is no network, but for the one that is there already.
    let of_networks = entries.iter().filter(|entry| entry.prefix_len < bits || entry.local == local);
    let found = of_networks.clone().filter(|entry| entry.prefix_len < bits).filter(is_in);
    let found = found.map(|entry| entry.prefix_len).max();
    let found = found.or_else(|| of_networks.filter(is_in).map(|entry| entry.prefix_len).next());
    let prefix_len = match found {
        Some(found) => found,
        None if entries.is_empty() => prefix_len.min(bits),
        None => {
            let mut networks: Vec<String> =
                entries.iter().map(|entry| network(entry.local, entry.prefix_len)).collect();
            networks.dedup();
            return Err(AddressError::NotInNetwork { address: local, link: link.to_owned(), networks });
        }
    };
    // Two hosts and no more (RFC 3021, RFC 6164), or one.
    if prefix_len >= bits - 1 {
        return Ok(prefix_len);
    }
    let what = match local {
        // Of IPv6 that is any router's (RFC 4291, 2.6.1).
        _ if route::network(local, prefix_len) == local => "the address",
        IpAddr::V4(local) if local.to_bits() | u32::MAX << (32 - prefix_len) == u32::MAX => {
            "the broadcast address"
        }
        _ => return Ok(prefix_len),
    };
    Err(AddressError::NotAHost { address: local, what, network: network(local, prefix_len) })
}

fn network(local: IpAddr, prefix_len: u8) -> String {
    format!("{}/{prefix_len}", route::network(local, prefix_len))
}

fn is_in_network(one: IpAddr, other: IpAddr, prefix_len: u8) -> bool {
    route::network(one, prefix_len) == route::network(other, prefix_len)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What there is of the network of `local`. Tables of the kernel's own, in which addresses are the destinations, are its business.
fn take(
    socket: &mut Socket,
    device: &Device,
    local: IpAddr,
    prefix_len: u8,
) -> Result<Addresses, netlink::Error> {
    let family = Family::of(local);
    let is_in = |entry: &Entry| is_in_network(entry.local, local, prefix_len);
    let entries: Vec<Entry> = address::of_link(socket, device, family)?.into_iter().filter(is_in).collect();
    let says_one = |route: &route::Entry| {
        let is_one = |source| entries.iter().any(|entry| entry.local == source);
        route.table != u32::from(libc::RT_TABLE_LOCAL) && route.source().is_some_and(is_one)
    };
    let routes = route::dump(socket, family, None)?.into_iter().filter(says_one).collect();
    Ok(Addresses { entries, routes })
}

/// What leads from `now` to `wanted`, as three batches; after each the link has an address, and its routes have theirs.
fn steps(
    now: &Addresses,
    wanted: &Addresses,
    device: &Device,
    name: &dyn Fn(u32) -> String,
) -> [Vec<Message<'static>>; 3] {
    let routes = || wanted.routes.iter().map(|route| route.replace(name));
    if now.entries.iter().chain(&wanted.entries).any(|entry| entry.family() == Family::V6) {
        let is_there =
            |entry: &&Entry, others: &[Entry]| others.iter().any(|other| other.is_in_place_of(entry));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for old in now.entries.iter().filter(|old| !is_there(old, &wanted.entries)) {
            // The same address with another network is in the way.
            let is_in_the_way = wanted.entries.iter().any(|new| new.local == old.local);
            if is_in_the_way { &mut first } else { &mut second }.push(old.delete(device));
        }
        first.extend(
            wanted.entries.iter().filter(|new| !is_there(new, &now.entries)).map(|new| new.add(device)),
        );
        first.extend(routes());
        return [first, second, Vec::new()];
    }
    let host = wanted.entries.first().map(Entry::host);
    let is_among = |host: &Entry, entries: &[Entry]| entries.iter().any(|entry| entry.is_in_place_of(host));
    let is_host = |entry: &&Entry| host.as_ref().is_some_and(|host| entry.is_in_place_of(host));

    let mut first = Vec::new();
    if let Some(host) = host.as_ref().filter(|host| !is_among(host, &now.entries)) {
        first.push(host.add(device));
    }
    first.extend(routes());
    // Secondary ones come after the one that they would go with.
    let mut second: Vec<_> =
        now.entries.iter().rev().filter(|entry| !is_host(entry)).map(|entry| entry.delete(device)).collect();
    second.extend(wanted.entries.iter().filter(|entry| !is_host(entry)).map(|entry| entry.add(device)));
    let third = host.as_ref().filter(|host| !is_among(host, &wanted.entries));
    [first, second, third.map(|host| host.delete(device)).into_iter().collect()]
}

/// An address that is there already, or gone already, is as it should be.
fn so_already(result: Result<(), netlink::Error>) -> Result<(), Error> {
    match result {
        Err(error) if matches!(error.errno(), Errno::EEXIST | Errno::EADDRNOTAVAIL) => Ok(()),
        other => clear::gone(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> Vec<Entry> {
        let entry = |text: &&str| {
            let (local, prefix_len) = text.split_once('/').expect("ADDRESS/LENGTH");
            Entry::new(2, local.parse::<IpAddr>().expect("an address"), prefix_len.parse().expect("a length"))
        };
        texts.iter().map(entry).collect()
    }

    fn network_for(local: &str, prefix_len: u8, texts: &[&str]) -> Result<u8, String> {
        let local = local.parse().expect("an address");
        network_of(&entries(texts), "eth1", local, prefix_len).map_err(|error| error.to_string())
    }

    #[test]
    fn the_network_is_the_smallest_one_of_the_link_that_has_the_address() {
        assert_eq!(network_for("16.0.1.1", 12, &["16.0.0.7/16"]), Ok(16));
        assert_eq!(network_for("16.0.1.1", 12, &["16.0.0.7/16", "16.0.1.9/24"]), Ok(24));
        assert_eq!(network_for("16.0.1.1", 12, &["16.0.1.1/32", "16.0.0.7/16"]), Ok(16));
        assert_eq!(network_for("16.0.1.1", 12, &["16.0.1.1/32"]), Ok(32));
        assert_eq!(network_for("16.0.1.1", 12, &[]), Ok(12));
        assert_eq!(network_for("16.0.0.1", 12, &["16.0.0.0/31"]), Ok(31));
        for (local, words) in [
            ("17.0.0.1", "17.0.0.1 is in no network of `eth1`: give an address of 16.0.0.0/16"),
            ("16.0.0.0", "16.0.0.0 is the address of 16.0.0.0/16"),
            ("16.0.255.255", "16.0.255.255 is the broadcast address of 16.0.0.0/16"),
        ] {
            let error = network_for(local, 12, &["16.0.0.7/16"]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_network_of_ipv6_has_no_broadcast_and_is_not_that_of_the_link() {
        assert_eq!(network_for("fd00::9", 48, &["fe80::1/64", "fd00::1/64"]), Ok(64));
        assert_eq!(network_for("fd00::9", 48, &["fe80::1/64"]), Ok(48));
        assert_eq!(network_for("fd00::ffff:ffff:ffff:ffff", 64, &["fd00::1/64"]), Ok(64));
        assert_eq!(network_for("fd00::", 127, &[]), Ok(127));
        for (local, words) in [
            ("fd01::1", "fd01::1 is in no network of `eth1`: give an address of fd00::/64"),
            ("fd00::", "fd00:: is the address of fd00::/64"),
        ] {
            let error = network_for(local, 48, &["fe80::1/64", "fd00::1/64"]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn of_ipv6_the_new_address_comes_with_its_network_and_then_the_old_ones_go() {
        let of = |verb: &str, address: &str| {
            let nodad = if verb == "add" { " nodad" } else { "" };
            format!("ip address {verb} {address} dev eth1{nodad}")
        };
        let [first, second, third] = commands(&["fd00::1/64", "fd00::2/64"], &["fd00::9/64"]);
        assert_eq!(first, [of("add", "fd00::9/64")]);
        assert_eq!(second, [of("del", "fd00::1/64"), of("del", "fd00::2/64")]);
        assert!(third.is_empty());
        // What a killed command left.
        let [first, second, _] = commands(&["fd00::1/64", "fd00::9/64"], &["fd00::9/64"]);
        assert_eq!((first.len(), second), (0, vec![of("del", "fd00::1/64")]));
        let [first, second, _] = commands(&["fd00::9/128"], &["fd00::9/64"]);
        assert_eq!((first, second.len()), (vec![of("del", "fd00::9/128"), of("add", "fd00::9/64")], 0));
    }

    fn commands(now: &[&str], wanted: &[&str]) -> [Vec<String>; 3] {
        let of = |texts: &[&str]| Addresses { entries: entries(texts), routes: Vec::new() };
        let device = Device { ifindex: 2, name: "eth1".to_owned() };
        steps(&of(now), &of(wanted), &device, &|_| "eth1".to_owned())
            .map(|batch| batch.iter().map(|message| message.command().to_owned()).collect())
    }

    #[test]
    fn the_new_address_is_there_before_the_old_one_goes() {
        let [first, second, third] = commands(&["16.0.0.7/16", "16.0.0.8/16"], &["16.0.1.1/16"]);
        let of = |verb: &str, address: &str| format!("ip address {verb} {address} dev eth1");
        assert_eq!(first, [of("add", "16.0.1.1/32")]);
        assert_eq!(second, [of("del", "16.0.0.8/16"), of("del", "16.0.0.7/16"), of("add", "16.0.1.1/16")]);
        assert_eq!(third, [of("del", "16.0.1.1/32")]);
    }

    #[test]
    fn what_a_killed_command_left_is_gone_on_with() {
        let [first, second, third] = commands(&["16.0.0.7/16", "16.0.1.1/32"], &["16.0.1.1/16"]);
        assert_eq!((first.len(), second.len(), third.len()), (0, 2, 1));
        let [first, second, third] = commands(&["16.0.1.1/32"], &["16.0.1.1/32"]);
        assert_eq!((first.len(), second.len(), third.len()), (0, 0, 0));
        let [first, second, third] = commands(&[], &["16.0.1.1/32"]);
        assert_eq!((first.len(), second.len(), third.len()), (1, 0, 0));
        let [first, second, third] = commands(&["16.0.1.1/16"], &[]);
        assert_eq!((first.len(), second.len(), third.len()), (0, 1, 0));
    }
}
