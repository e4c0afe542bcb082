//! Links: what `ip link` shows, adds, sets and deletes.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::attr::Writer;
use super::uapi::*;
use super::{Error, Message, Reply, Socket};

/// Length of `struct ifinfomsg`: family, pad, type, index, flags, change mask.
const IFINFOMSG_LEN: usize = 16;

/// A link by number and name: the number addresses it, the name is for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Device {
    /// The kernel's number, never zero.
    pub ifindex: u32,
    /// The name when it was looked up.
    pub name: String,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A link as the kernel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number.
    pub ifindex: u32,
    /// The name.
    pub name: String,
    /// The kind of a virtual link (`veth`, `ifb`, `tun`, ...), as `ip -d link` shows it.
    pub kind: Option<String>,
    /// The alias text.
    pub ifalias: Option<String>,
    /// `IFF_*` bits.
    pub flags: u32,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Queue length in packets that a qdisc takes as its default.
    pub txqlen: u32,
    /// Most segments in one packet handed to the link; `None` on kernels that do not tell.
    pub gso_max_segs: Option<u32>,
    /// Most bytes in one packet handed to the link; `None` on kernels that do not tell.
    pub gso_max_size: Option<u32>,
    /// The Ethernet address; `None` for links without one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// The link this one is tied to: for a veth its peer, perhaps in another namespace.
    pub peer_ifindex: Option<u32>,
    /// The namespace of [`Link::peer_ifindex`] as this namespace numbers it; `None` for the same namespace.
    pub peer_netnsid: Option<i32>,
}

impl Link {
    /// Returns number and name.
    pub fn device(&self) -> Device {
        Device { ifindex: self.ifindex, name: self.name.clone() }
    }

    /// Says whether the link is set up.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Says whether the link is set up and has a carrier.
    pub fn is_running(&self) -> bool {
        self.is_up() && self.flags & libc::IFF_RUNNING as u32 != 0
    }

    /// Says whether the link is the loopback.
    pub fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    fn parse(reply: &Reply) -> Option<Self> {
        let (header, attributes) = reply.split::<IFINFOMSG_LEN>()?;
        let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
        let mut link = Self {
            ifindex: u32::from_ne_bytes([i0, i1, i2, i3]),
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
            ..Self::default()
        };
        for attribute in attributes {
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text(),
                IFLA_LINKINFO => {
                    link.kind = attribute.nested().find_kind(IFLA_INFO_KIND).map(|kind| kind.text())
                }
                IFLA_IFALIAS => link.ifalias = Some(attribute.text()),
                IFLA_MTU => link.mtu = attribute.u32().unwrap_or_default(),
                IFLA_TXQLEN => link.txqlen = attribute.u32().unwrap_or_default(),
                IFLA_GSO_MAX_SEGS => link.gso_max_segs = attribute.u32(),
                IFLA_GSO_MAX_SIZE => link.gso_max_size = attribute.u32(),
                IFLA_ADDRESS => link.mac = attribute.value.try_into().ok(),
                IFLA_LINK => link.peer_ifindex = attribute.u32().filter(|ifindex| *ifindex != 0),
                IFLA_LINK_NETNSID => link.peer_netnsid = attribute.u32().map(u32::cast_signed),
                _ => {}
            }
        }
        Some(link)
    }
}

/// Whether IPv6 makes a link-local address by itself when the link goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddrGenMode {
    /// From the Ethernet address: the kernel's default.
    Eui64,
    /// Never: the link carries no IPv6 address unless one is added.
    None,
}

/// What a message sets on a link; `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct Settings<'fd> {
    /// The name: needed for a new link, a renaming otherwise (the link must be down).
    pub name: Option<String>,
    /// Up or down.
    pub up: Option<bool>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Queue length in packets.
    pub txqlen: Option<u32>,
    /// Most segments in one packet handed to the link, from 1.
    pub gso_max_segs: Option<u32>,
    /// Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Alias text, up to 255 bytes; empty removes it. Ignored by the kernel in the message that adds a link.
    pub ifalias: Option<String>,
    /// IPv6 link-local address generation. Ignored by the kernel in the message that adds a link.
    pub addr_gen_mode: Option<AddrGenMode>,
    /// The bridge of which the link becomes a port.
    pub master: Option<Device>,
    /// The network namespace where a new link is made, or to which an existing one moves.
    pub netns: Option<BorrowedFd<'fd>>,
}

impl Settings<'_> {
    /// Writes `struct ifinfomsg` and the attributes in the order of `ip link`.
    fn write(&self, ifindex: u32, out: &mut Writer) {
        let flag = libc::IFF_UP as u32;
        let (flags, change) = match self.up {
            Some(true) => (flag, flag),
            Some(false) => (0, flag),
            None => (0, 0),
        };
        out.raw(&ifinfomsg(ifindex, flags, change));
        if let Some(netns) = self.netns {
            out.attr_u32(IFLA_NET_NS_FD, netns.as_raw_fd().cast_unsigned());
        }
        if let Some(mac) = self.mac {
            out.attr(IFLA_ADDRESS, &mac);
        }
        for (kind, value) in
            [(IFLA_MTU, self.mtu), (IFLA_TXQLEN, self.txqlen), (IFLA_GSO_MAX_SEGS, self.gso_max_segs)]
        {
            if let Some(value) = value {
                out.attr_u32(kind, value);
            }
        }
        if let Some(master) = &self.master {
            out.attr_u32(IFLA_MASTER, master.ifindex);
        }
        if let Some(ifalias) = &self.ifalias {
            out.attr(IFLA_IFALIAS, ifalias.as_bytes());
        }
        if let Some(mode) = self.addr_gen_mode {
            let mode = match mode {
                AddrGenMode::Eui64 => IN6_ADDR_GEN_MODE_EUI64,
                AddrGenMode::None => IN6_ADDR_GEN_MODE_NONE,
            };
            out.nest(IFLA_AF_SPEC, |families| {
                families.nest(libc::AF_INET6 as u16, |inet6| {
                    inet6.attr_u8(IFLA_INET6_ADDR_GEN_MODE, mode);
                });
            });
        }
        if let Some(name) = &self.name {
            out.attr_str(IFLA_IFNAME, name);
        }
    }

    /// Prints the settings as `ip link` takes them, each word after a space; a namespace by what its descriptor is.
    fn words(&self) -> String {
        let mut words = String::new();
        let mut push = |key: &str, value: String| words.extend([" ", key, " ", &value]);
        if let Some(netns) = self.netns {
            push("netns", format!("/proc/self/fd/{}", netns.as_raw_fd()));
        }
        if let Some([a, b, c, d, e, f]) = self.mac {
            push("address", format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
        }
        if let Some(mtu) = self.mtu {
            push("mtu", mtu.to_string());
        }
        if let Some(txqlen) = self.txqlen {
            push("txqueuelen", txqlen.to_string());
        }
        if let Some(segs) = self.gso_max_segs {
            push("gso_max_segs", segs.to_string());
        }
        if let Some(master) = &self.master {
            push("master", master.name.clone());
        }
        if let Some(ifalias) = &self.ifalias {
            push("alias", format!("'{ifalias}'"));
        }
        match self.addr_gen_mode {
            Some(AddrGenMode::Eui64) => push("addrgenmode", "eui64".into()),
            Some(AddrGenMode::None) => push("addrgenmode", "none".into()),
            None => {}
        }
        match self.up {
            Some(true) => words.push_str(" up"),
            Some(false) => words.push_str(" down"),
            None => {}
        }
        words
    }
}

/// Lists the links of the socket's namespace, in the kernel's order.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let message = query("list links", "ip -d link show", 0);
    Ok(socket.dump(message)?.iter().filter_map(Link::parse).collect())
}

/// Finds a link by name.
///
/// # Errors
///
/// [`Error::Refused`] with `ENODEV` when there is none.
pub fn by_name(socket: &mut Socket, name: &str) -> Result<Link, Error> {
    let mut message = query(&format!("find link `{name}`"), &format!("ip -d link show dev {name}"), 0);
    message.body_mut().attr_str(IFLA_IFNAME, name);
    one(socket, message)
}

/// Finds a link by number.
///
/// # Errors
///
/// [`Error::Refused`] with `ENODEV` when there is none.
pub fn by_index(socket: &mut Socket, ifindex: u32) -> Result<Link, Error> {
    let message = query(&format!("find link number {ifindex}"), "ip -d link show", ifindex);
    one(socket, message)
}

fn one(socket: &mut Socket, message: Message<'_>) -> Result<Link, Error> {
    let operation = message.operation().to_owned();
    let reply = socket.get(message)?;
    Link::parse(&reply).ok_or(Error::Receive { operation, errno: nix::errno::Errno::ENODATA })
}

fn query(operation: &str, command: &str, ifindex: u32) -> Message<'static> {
    let mut message = Message::new(libc::RTM_GETLINK, 0, operation, command);
    message.body_mut().raw(&ifinfomsg(ifindex, 0, 0)).attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    message
}

/// Adds a link of a kind that needs no more than its name (`ifb`, `bridge`, `dummy`).
pub fn add<'fd>(kind: &str, settings: &Settings<'fd>) -> Message<'fd> {
    let name = settings.name.as_deref().unwrap_or_default();
    let mut message = Message::new(
        libc::RTM_NEWLINK,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        format!("add {kind} `{name}`"),
        format!("ip link add {name}{} type {kind}", settings.words()),
    );
    settings.write(0, message.body_mut());
    message.body_mut().nest(IFLA_LINKINFO, |info| {
        info.attr(IFLA_INFO_KIND, kind.as_bytes());
    });
    message
}

/// Adds a veth pair: two links, what is sent into one comes out of the other; each may be in a namespace of its own.
pub fn add_veth<'fd>(settings: &Settings<'fd>, peer: &Settings<'fd>) -> Message<'fd> {
    let name = settings.name.as_deref().unwrap_or_default();
    let peer_name = peer.name.as_deref().unwrap_or_default();
    let mut message = Message::new(
        libc::RTM_NEWLINK,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        format!("add veth `{name}` with peer `{peer_name}`"),
        format!("ip link add {name}{} type veth peer name {peer_name}{}", settings.words(), peer.words()),
    );
    settings.write(0, message.body_mut());
    message.body_mut().nest(IFLA_LINKINFO, |info| {
        info.attr(IFLA_INFO_KIND, b"veth");
        info.nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |out| peer.write(0, out));
        });
    });
    message
}

/// Changes settings of a link.
pub fn set<'fd>(device: &Device, settings: &Settings<'fd>) -> Message<'fd> {
    let mut message = change(&device.name, settings);
    settings.write(device.ifindex, message.body_mut());
    message
}

/// Changes settings of a link known by name only, as one that an earlier message of the same batch adds.
///
/// Such a message cannot rename: [`Settings::name`] is ignored.
pub fn set_by_name<'fd>(name: &str, settings: &Settings<'fd>) -> Message<'fd> {
    let mut message = change(name, settings);
    let settings = Settings { name: Some(name.to_owned()), ..settings.clone() };
    settings.write(0, message.body_mut());
    message
}

fn change<'fd>(name: &str, settings: &Settings<'fd>) -> Message<'fd> {
    let words = settings.words();
    let rename = match &settings.name {
        Some(new) if new != name => format!(" name {new}"),
        _ => String::new(),
    };
    Message::new(
        libc::RTM_NEWLINK,
        0,
        format!("set{rename}{words} on link `{name}`"),
        format!("ip link set dev {name}{rename}{words}"),
    )
}

/// Deletes a link, and with a veth its peer.
pub fn delete(device: &Device) -> Message<'static> {
    let mut message = Message::new(
        libc::RTM_DELLINK,
        0,
        format!("delete link `{device}`"),
        format!("ip link delete dev {device}"),
    );
    message.body_mut().raw(&ifinfomsg(device.ifindex, 0, 0));
    message
}

fn ifinfomsg(ifindex: u32, flags: u32, change: u32) -> [u8; IFINFOMSG_LEN] {
    let mut header = [0; IFINFOMSG_LEN];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}
