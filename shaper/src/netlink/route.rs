//! Routes: what `ip route add` adds, and what `ip route show` lists.

mod entry;
mod path;
mod words;

use std::net::IpAddr;

use super::link::Device;
use super::uapi::*;
use super::{Family, Message};

pub use entry::{Entry, dump, network};
pub use path::NextHop;

/// Where packets for a prefix go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination and prefix length in bits; `None` for the default route.
    pub to: Option<(IpAddr, u8)>,
    /// The next hop, on a network of `dev`.
    pub via: IpAddr,
    /// The link, when the next hop does not determine it.
    pub dev: Option<Device>,
}

/// Adds a route to the main table, which must be new.
pub fn add(route: &Route) -> Message<'static> {
    let (prefix, prefix_len) = match route.to {
        Some((address, len)) => (format!("{address}/{len}"), len),
        None => ("default".to_owned(), 0),
    };
    let dev = route.dev.as_ref().map(|dev| format!(" dev {dev}")).unwrap_or_default();
    let text = format!("{prefix} via {}{dev}", route.via);
    let mut message = Message::new(
        libc::RTM_NEWROUTE,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        format!("add route {text}"),
        format!("ip route add {text}"),
    );
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
    let (source_len, tos, scope) = (0, 0, libc::RT_SCOPE_UNIVERSE);
    let [f0, f1, f2, f3] = [0; 4];
    message.body_mut().raw(&[
        Family::of(route.via).number(),
        prefix_len,
        source_len,
        tos,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_BOOT,
        scope,
        libc::RTN_UNICAST,
        f0,
        f1,
        f2,
        f3,
    ]);
    if let Some((address, _)) = route.to {
        message.body_mut().attr_ip(RTA_DST, address);
    }
    message.body_mut().attr_ip(RTA_GATEWAY, route.via);
    if let Some(dev) = &route.dev {
        message.body_mut().attr_u32(RTA_OIF, dev.ifindex);
    }
    message
}
