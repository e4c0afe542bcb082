//! Routes of any table, with every attribute that the kernel told: what is read can be written to another table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::{NextHop, path, words};
use crate::netlink::attr::{Attribute, Writer};
use crate::netlink::uapi::*;
use crate::netlink::{Error, Family, Message, Reply, Socket};

/// Length of `struct rtmsg`: family, prefix lengths, TOS, table, protocol, scope, type, flags.
const RTMSG_LEN: usize = 12;

/// What a next-hop object stands for: the kernel tells both, and takes only one.
const PATH: [u16; 6] = [RTA_OIF, RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH, RTA_ENCAP, RTA_ENCAP_TYPE];

/// The order in which iproute2 writes attributes; those that are not here come between the two.
const FIRST: [u16; 6] = [RTA_DST, RTA_GATEWAY, RTA_TABLE, RTA_PREFSRC, RTA_PRIORITY, RTA_PREF];
const LAST: [u16; 3] = [RTA_OIF, RTA_METRICS, RTA_MULTIPATH];

/// One route of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub family: Family,
    /// Where to: the network's address.
    pub to: IpAddr,
    /// Length of its prefix in bits.
    pub prefix_len: u8,
    /// The table.
    pub table: u32,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// How far away it leads (`RT_SCOPE_*`).
    pub scope: u8,
    /// What it does (`RTN_*`).
    pub kind: u8,
    /// For packets of this type of service only; 0 is any.
    pub tos: u8,
    /// Whether its gateway counts as a neighbour whatever other routes say (`onlink`).
    pub is_onlink: bool,
    /// The other attributes (`RTA_*`) by number, but for its age.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Entry {
    /// A route to neighbours on a link: `ip route add TO/PREFIX_LEN dev LINK scope link table TABLE`.
    pub fn on_link(to: IpAddr, prefix_len: u8, ifindex: u32, table: u32) -> Self {
        let family = Family::of(to);
        Self {
            family,
            to,
            prefix_len,
            table,
            protocol: libc::RTPROT_BOOT,
            scope: if family == Family::V4 { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE },
            kind: libc::RTN_UNICAST,
            tos: 0,
            is_onlink: false,
            attributes: vec![(RTA_OIF, ifindex.to_ne_bytes().to_vec())],
        }
    }

    /// The same route in another table.
    #[must_use]
    pub fn in_table(&self, table: u32) -> Self {
        Self { table, ..self.clone() }
    }

    /// The same way to another place.
    #[must_use]
    pub fn leading_to(&self, to: IpAddr, prefix_len: u8) -> Self {
        Self { to, prefix_len, ..self.clone() }
    }

    /// Says whether every address of that network is one of this route's.
    pub fn covers(&self, to: IpAddr, prefix_len: u8) -> bool {
        Family::of(to) == self.family
            && self.prefix_len <= prefix_len
            && network(to, self.prefix_len) == self.to
    }

    /// Returns the metric: of routes to the same place, the one with the least is taken.
    pub fn metric(&self) -> u32 {
        self.attribute(RTA_PRIORITY).and_then(|metric| metric.u32()).unwrap_or(0)
    }

    /// Returns the router preference of IPv6 (RFC 4191) as a rank: 0 is high, 1 medium, 2 low.
    pub fn preference_rank(&self) -> u8 {
        match self.attribute(RTA_PREF).and_then(|preference| preference.u8()) {
            Some(1) => 0,
            Some(3) => 2,
            _ => 1,
        }
    }

    /// Returns the address that packets are sent from unless the sender says another.
    pub fn source(&self) -> Option<IpAddr> {
        self.attribute(RTA_PREFSRC)?.ip()
    }

    /// The same route with packets sent from another address.
    #[must_use]
    pub fn with_source(&self, source: IpAddr) -> Self {
        let octets = match source {
            IpAddr::V4(source) => source.octets().to_vec(),
            IpAddr::V6(source) => source.octets().to_vec(),
        };
        let mut route = self.clone();
        route.attributes.retain(|(kind, _)| *kind != RTA_PREFSRC);
        route.attributes.push((RTA_PREFSRC, octets));
        route.attributes.sort_by_key(|(kind, _)| *kind);
        route
    }

    /// Returns the ways it goes: one, several of a multipath route, none of one that refuses.
    pub fn next_hops(&self) -> Vec<NextHop> {
        if let Some(paths) = self.attribute(RTA_MULTIPATH) {
            return path::of_multipath(paths.value);
        }
        let Some(ifindex) = self.attribute(RTA_OIF).and_then(|oif| oif.u32()) else {
            return Vec::new();
        };
        let gateway =
            [RTA_GATEWAY, RTA_VIA].into_iter().find_map(|kind| path::gateway(&self.attribute(kind)?));
        vec![NextHop { gateway, ifindex }]
    }

    /// Says whether it leads to neighbours on the link of this number, without a router.
    pub fn is_on_link(&self, ifindex: u32) -> bool {
        self.kind == libc::RTN_UNICAST && self.next_hops() == [NextHop { gateway: None, ifindex }]
    }

    /// Says whether a table takes one of the two only: the same place, type of service and metric.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        let place =
            |route: &Self| (route.table, route.family, route.to, route.prefix_len, route.tos, route.metric());
        place(self) == place(other)
    }

    /// Returns where to, as iproute2 says it: `default`, `10.0.0.0/24`, `10.0.0.7`.
    pub fn prefix(&self) -> String {
        match self.prefix_len {
            0 => "default".to_owned(),
            len if len == self.family.bits() => self.to.to_string(),
            len => format!("{}/{len}", self.to),
        }
    }

    /// Adds the route, or puts it in place of the one of the same destination and metric: no packet meets neither.
    ///
    /// `name` gives the names of links, for the command.
    pub fn replace(&self, name: &dyn Fn(u32) -> String) -> Message<'static> {
        let words = words::of(self, name);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let command = format!("{} route replace {words}", self.family.ip());
        let mut message =
            Message::new(libc::RTM_NEWROUTE, flags, format!("put route {words} in place"), command);
        self.write(self.kind, message.body_mut());
        message
    }

    /// Deletes the route.
    ///
    /// `name` as with [`Entry::replace`].
    pub fn delete(&self, name: &dyn Fn(u32) -> String) -> Message<'static> {
        let words = words::of(self, name);
        let command = format!("{} route del {words}", self.family.ip());
        let mut message = Message::new(libc::RTM_DELROUTE, 0, format!("delete route {words}"), command);
        // iproute2 says the kind where it is a word of the command.
        let kind = if self.kind == libc::RTN_UNICAST { libc::RTN_UNSPEC } else { self.kind };
        self.write(kind, message.body_mut());
        message
    }

    fn write(&self, kind: u8, body: &mut Writer) {
        let family = self.family.number();
        let (source_len, table) = (0, u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC));
        body.raw(&[family, self.prefix_len, source_len, self.tos, table, self.protocol, self.scope, kind]);
        body.raw(&if self.is_onlink { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
        let others = self.attributes.iter().map(|(kind, _)| *kind);
        let others = others.filter(|kind| !FIRST.contains(kind) && !LAST.contains(kind));
        for kind in FIRST.into_iter().chain(others).chain(LAST) {
            self.write_attribute(kind, body);
        }
    }

    fn write_attribute(&self, kind: u16, body: &mut Writer) {
        let is_object = self.attribute(RTA_NH_ID).is_some();
        match kind {
            RTA_DST if self.prefix_len > 0 => {
                body.attr_ip(RTA_DST, self.to);
            }
            RTA_TABLE if self.table > u32::from(u8::MAX) => {
                body.attr_u32(RTA_TABLE, self.table);
            }
            _ if is_object && PATH.contains(&kind) => {}
            _ => {
                if let Some(attribute) = self.attribute(kind) {
                    body.attr(kind, attribute.value);
                }
            }
        }
    }

    pub(super) fn attribute(&self, kind: u16) -> Option<Attribute<'_>> {
        let (kind, value) = self.attributes.iter().find(|(found, _)| *found == kind)?;
        Some(Attribute { kind: *kind, value })
    }

    /// Reads a route of a dump.
    ///
    /// `None` for one that leads nowhere now because its link is down, for one for some sources only (IPv6 subtrees), and for
    /// what the kernel noted about a single destination.
    pub fn parse(reply: &Reply) -> Option<Self> {
        let (header, attributes) = reply.split::<RTMSG_LEN>()?;
        let [family, prefix_len, source_len, tos, table, protocol, scope, kind, flags @ ..] = *header;
        let flags = u32::from_ne_bytes(flags);
        if flags & (RTM_F_CLONED | RTNH_F_DEAD) != 0 || source_len != 0 {
            return None;
        }
        let family = Family::from_number(family)?;
        let any = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let is_told_else = |kind| matches!(kind, RTA_DST | RTA_TABLE | RTA_CACHEINFO);
        let mut own: Vec<(u16, Vec<u8>)> = attributes
            .filter(|attribute| !is_told_else(attribute.kind))
            .map(|attribute| (attribute.kind, attribute.value.to_vec()))
            .collect();
        own.sort_by_key(|(kind, _)| *kind);
        for (_, paths) in own.iter_mut().filter(|(kind, _)| *kind == RTA_MULTIPATH) {
            path::forget_state(paths);
        }
        let find = |kind| attributes.find_kind(kind);
        Some(Self {
            family,
            to: find(RTA_DST).and_then(|to| to.ip()).unwrap_or(any),
            prefix_len,
            table: find(RTA_TABLE).and_then(|table| table.u32()).unwrap_or_else(|| table.into()),
            protocol,
            scope,
            kind,
            tos,
            is_onlink: flags & RTNH_F_ONLINK != 0,
            attributes: own,
        })
    }
}

/// Lists the routes of a family, of one table or of all; a table that the kernel does not know yet has none.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket, family: Family, table: Option<u32>) -> Result<Vec<Entry>, Error> {
    let of_table = table.map_or("all".to_owned(), |table| table.to_string());
    let mut message = Message::new(
        libc::RTM_GETROUTE,
        0,
        format!("list {family} routes"),
        format!("{} route show table {of_table}", family.ip()),
    );
    let mut header = [0; RTMSG_LEN];
    header[0] = family.number();
    message.body_mut().raw(&header);
    if let Some(table) = table {
        message.body_mut().attr_u32(RTA_TABLE, table);
    }
    let replies = match socket.dump(message) {
        Err(error) if error.errno() == Errno::ENOENT => Vec::new(),
        other => other?,
    };
    // A kernel that does not filter by table tells all, and one without the family tells of the other.
    let wanted = |entry: &Entry| entry.family == family && table.is_none_or(|table| entry.table == table);
    Ok(replies.iter().filter_map(Entry::parse).filter(wanted).collect())
}

/// Returns the first address of the network of this prefix length (in bits) that has the address in it.
pub fn network(address: IpAddr, prefix_len: u8) -> IpAddr {
    let host_bits = |bits: u8| u32::from(bits.saturating_sub(prefix_len));
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits(32)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits(128)).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}
