//! Addresses with all that the kernel told of them: what is taken away can be put back.

use std::net::IpAddr;

use super::{Address, IFADDRMSG_LEN};
use crate::netlink::attr::Attribute;
use crate::netlink::link::Device;
use crate::netlink::uapi::*;
use crate::netlink::{Error, Family, Message, Reply, Socket};

/// The order in which iproute2 writes what an address has beside itself.
const BESIDE: [u16; 6] = [IFA_BROADCAST, IFA_LABEL, IFA_RT_PRIORITY, IFA_FLAGS, IFA_PROTO, IFA_CACHEINFO];
/// The flags that whoever adds an address may say; the others are the kernel's findings.
const SAID: u32 = IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

/// An address of a link, with its label, broadcast address and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The link's number.
    pub ifindex: u32,
    /// The link's own address.
    pub local: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix_len: u8,
    scope: u8,
    /// Those of [`BESIDE`] that are there, by number.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Entry {
    /// An address of which nothing else is said.
    pub fn new(ifindex: u32, local: impl Into<IpAddr>, prefix_len: u8) -> Self {
        Self {
            ifindex,
            local: local.into(),
            prefix_len,
            scope: libc::RT_SCOPE_UNIVERSE,
            attributes: Vec::new(),
        }
    }

    /// Another address in place of this one, which lasts for ever.
    #[must_use]
    pub fn with_local(&self, local: IpAddr) -> Self {
        let lasting = |(kind, _): &&(u16, Vec<u8>)| !matches!(*kind, IFA_CACHEINFO | IFA_PROTO);
        Self { local, attributes: self.attributes.iter().filter(lasting).cloned().collect(), ..self.clone() }
    }

    /// The same address without its network.
    #[must_use]
    pub fn host(&self) -> Self {
        Self { scope: self.scope, ..Self::new(self.ifindex, self.local, self.family().bits()) }
    }

    /// Whose it is.
    pub fn family(&self) -> Family {
        Family::of(self.local)
    }

    /// Says whether a link has one of the two only: the same address and prefix length.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        (self.ifindex, self.local, self.prefix_len) == (other.ifindex, other.local, other.prefix_len)
    }

    /// Adds the address, which must be new; an IPv6 one is usable at once (`nodad`).
    pub fn add(&self, device: &Device) -> Message<'static> {
        let Self { local, prefix_len, .. } = self;
        let (nodad, flags) = match self.family() {
            Family::V4 => ("", 0),
            Family::V6 => (" nodad", IFA_F_NODAD),
        };
        let mut message = Message::new(
            libc::RTM_NEWADDR,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            format!("add address {local}/{prefix_len} to `{device}`"),
            format!("ip address add {local}/{prefix_len}{} dev {device}{nodad}", self.words()),
        );
        let body = message.body_mut().raw(&self.header(device, flags, self.scope));
        body.attr_ip(IFA_LOCAL, *local);
        for attribute in BESIDE.into_iter().filter_map(|kind| self.attribute(kind)) {
            match attribute.u32() {
                // These count, and not those of the header.
                Some(said) if attribute.kind == IFA_FLAGS => {
                    body.attr(IFA_FLAGS, &(said | u32::from(flags)).to_ne_bytes());
                }
                _ => {
                    body.attr(attribute.kind, attribute.value);
                }
            }
        }
        body.attr_ip(IFA_ADDRESS, *local);
        message
    }

    /// Takes the address away.
    pub fn delete(&self, device: &Device) -> Message<'static> {
        let Self { local, prefix_len, .. } = self;
        let mut message = Message::new(
            libc::RTM_DELADDR,
            0,
            format!("take address {local}/{prefix_len} from `{device}`"),
            format!("ip address del {local}/{prefix_len} dev {device}"),
        );
        let body = message.body_mut().raw(&self.header(device, 0, libc::RT_SCOPE_UNIVERSE));
        body.attr_ip(IFA_LOCAL, *local).attr_ip(IFA_ADDRESS, *local);
        message
    }

    fn header(&self, device: &Device, flags: u8, scope: u8) -> [u8; IFADDRMSG_LEN] {
        let [i0, i1, i2, i3] = device.ifindex.to_ne_bytes();
        [self.family().number(), self.prefix_len, flags, scope, i0, i1, i2, i3]
    }

    fn attribute(&self, kind: u16) -> Option<Attribute<'_>> {
        let (kind, value) = self.attributes.iter().find(|(found, _)| *found == kind)?;
        Some(Attribute { kind: *kind, value })
    }

    /// What `ip address add` takes of it; what has no word there, or is a matter of time, is left out.
    fn words(&self) -> String {
        let mut words = String::new();
        if let Some(broadcast) = self.attribute(IFA_BROADCAST).and_then(|attribute| attribute.ip()) {
            words += &format!(" brd {broadcast}");
        }
        match self.scope {
            // Of IPv6 the address says it.
            _ if self.family() == Family::V6 => {}
            libc::RT_SCOPE_UNIVERSE => {}
            libc::RT_SCOPE_LINK => words += " scope link",
            libc::RT_SCOPE_HOST => words += " scope host",
            scope => words += &format!(" scope {scope}"),
        }
        if let Some(label) = self.attribute(IFA_LABEL) {
            words += &format!(" label {}", label.text());
        }
        if let Some(metric) = self.attribute(IFA_RT_PRIORITY).and_then(|attribute| attribute.u32()) {
            words += &format!(" metric {metric}");
        }
        let flags = self.attribute(IFA_FLAGS).and_then(|attribute| attribute.u32()).unwrap_or(0);
        for (flag, word) in [(IFA_F_NOPREFIXROUTE, " noprefixroute"), (IFA_F_MCAUTOJOIN, " autojoin")] {
            if flags & flag != 0 {
                words += word;
            }
        }
        words
    }

    /// Reads an address of a dump; `None` for one whose network is that of the other end of the link.
    pub fn parse(reply: &Reply, name: &str) -> Option<Self> {
        let Address { ifindex, local, prefix_len } = Address::parse(reply)?;
        let (header, attributes) = reply.split::<IFADDRMSG_LEN>()?;
        if attributes.find_kind(IFA_ADDRESS)?.ip()? != local {
            return None;
        }
        let kept = |attribute: Attribute<'_>| {
            let value = match attribute.kind {
                // Where nobody said a label, it is the name of the link.
                IFA_LABEL if attribute.text() == name => return None,
                IFA_FLAGS => match attribute.u32()? & SAID {
                    0 => return None,
                    said => said.to_ne_bytes().to_vec(),
                },
                // Preferred and valid times; of what lasts for ever nothing need be said.
                IFA_CACHEINFO if attribute.value.starts_with(&[u8::MAX; 8]) => return None,
                kind if BESIDE.contains(&kind) => attribute.value.to_vec(),
                _ => return None,
            };
            Some((attribute.kind, value))
        };
        let attributes = attributes.filter_map(kept).collect();
        let [_, _, _, scope, ..] = *header;
        Some(Self { ifindex, local, prefix_len, scope, attributes })
    }
}

/// Lists the addresses of one family of one link, in the kernel's order: of those of IPv4 in one network the first is the main one.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn of_link(socket: &mut Socket, device: &Device, family: Family) -> Result<Vec<Entry>, Error> {
    let entries = socket.dump(super::list())?;
    let entries = entries.iter().filter_map(|reply| Entry::parse(reply, &device.name));
    Ok(entries.filter(|entry| entry.ifindex == device.ifindex && entry.family() == family).collect())
}
