//! Addresses of links: what `ip address` shows and adds.

mod entry;

use std::net::IpAddr;

use super::link::Device;
use super::uapi::*;
use super::{Error, Family, Message, Reply, Socket};

pub use entry::{Entry, of_link};

/// Length of `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const IFADDRMSG_LEN: usize = 8;

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The link's number.
    pub ifindex: u32,
    /// The link's own address.
    pub local: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix_len: u8,
}

impl Address {
    fn parse(reply: &Reply) -> Option<Self> {
        let (header, attributes) = reply.split::<IFADDRMSG_LEN>()?;
        let [_, prefix_len, _, _, i0, i1, i2, i3] = *header;
        // On a point-to-point link IFA_ADDRESS is the other end; IPv6 has IFA_LOCAL only there.
        let local = attributes.find_kind(IFA_LOCAL).or_else(|| attributes.find_kind(IFA_ADDRESS))?.ip()?;
        Some(Self { ifindex: u32::from_ne_bytes([i0, i1, i2, i3]), local, prefix_len })
    }
}

/// Lists all addresses of the socket's namespace.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    Ok(socket.dump(list())?.iter().filter_map(Address::parse).collect())
}

fn list() -> Message<'static> {
    let mut message = Message::new(libc::RTM_GETADDR, 0, "list addresses", "ip address show");
    message.body_mut().raw(&[0; IFADDRMSG_LEN]);
    message
}

/// Adds an address, which must be new; an IPv6 one is usable at once (`nodad`).
pub fn add(device: &Device, local: IpAddr, prefix_len: u8) -> Message<'static> {
    let nodad = if local.is_ipv6() { " nodad" } else { "" };
    let mut message = Message::new(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        format!("add address {local}/{prefix_len} to `{device}`"),
        format!("ip address add {local}/{prefix_len} dev {device}{nodad}"),
    );
    let mut header = [0; IFADDRMSG_LEN];
    header[0] = Family::of(local).number();
    header[1] = prefix_len;
    header[2] = if local.is_ipv6() { IFA_F_NODAD } else { 0 };
    header[4..8].copy_from_slice(&device.ifindex.to_ne_bytes());
    message.body_mut().raw(&header).attr_ip(IFA_LOCAL, local).attr_ip(IFA_ADDRESS, local);
    message
}
