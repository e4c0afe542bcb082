//! Filters: what `tc filter` attaches to clsact.

pub mod bpf;
mod csum;
mod mirred;

pub use mirred::{Mirred, Side};

use super::Handle;
use super::object::{Tcmsg, tcmsg};
use crate::netlink::link::Device;
use crate::netlink::uapi::*;
use crate::netlink::{Error, Message, Reply, Socket};

/// `NLA_F_NESTED`, which iproute2 sets for an action's options alone.
const NLA_F_NESTED: u16 = 0x8000;

/// A filter as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The link it is on.
    pub ifindex: u32,
    /// The hook or qdisc it is attached to.
    pub parent: Handle,
    /// Its number among those of one preference.
    pub handle: u32,
    /// Its place: lower comes first.
    pub pref: u16,
    /// The protocol it is for (`ETH_P_*`).
    pub protocol: u16,
    /// The chain it is in.
    pub chain: u32,
    /// The kind (`bpf`, `u32`, ...).
    pub kind: String,
    /// What a filter of the kind `bpf` runs.
    pub bpf: Option<bpf::Program>,
}

impl Observed {
    fn parse(reply: &Reply) -> Option<Self> {
        let Tcmsg { ifindex, handle, parent, info } = Tcmsg::parse(reply)?;
        let (_, attributes) = reply.split::<20>()?;
        let [pref_hi, pref_lo, protocol_hi, protocol_lo] = info.to_be_bytes();
        let kind = attributes.find_kind(TCA_KIND).map(|kind| kind.text()).unwrap_or_default();
        let options = attributes.find_kind(TCA_OPTIONS).filter(|_| kind == "bpf");
        Some(Self {
            ifindex,
            parent,
            handle,
            pref: u16::from_be_bytes([pref_hi, pref_lo]),
            // The info word is a number whose lower half is a number in network order.
            protocol: u16::from_be(u16::from_be_bytes([protocol_hi, protocol_lo])),
            chain: attributes.find_kind(TCA_CHAIN).and_then(|chain| chain.u32()).unwrap_or_default(),
            kind,
            bpf: options.map(|options| bpf::Program::parse(options.nested())),
        })
    }
}

/// Lists the filters of one hook of a link ([`Handle::INGRESS`], [`Handle::EGRESS`]); none when it has no clsact.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket, dev: &Device, parent: Handle) -> Result<Vec<Observed>, Error> {
    let mut message = Message::new(
        libc::RTM_GETTFILTER,
        0,
        format!("list filters of `{dev}` (parent {parent})"),
        format!("tc filter show dev {dev} {parent}"),
    );
    message.body_mut().raw(&tcmsg(dev.ifindex, 0, parent, 0));
    let replies = socket.dump(message)?;
    // Each preference comes once more without a handle, as the place that its filters share.
    Ok(replies.iter().filter_map(Observed::parse).filter(|filter| filter.handle != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.18 answers to `tc filter show dev lo egress` after
    /// `tc filter add dev lo egress pref 23040 handle 1 bpf direct-action object-pinned shaper_egress`, without nlmsghdr.
    #[rustfmt::skip]
    const BPF: &[u8] = &[
        0, 0, 0, 0,  1, 0, 0, 0,  1, 0, 0, 0,  0xf3, 0xff, 0xff, 0xff,  0, 3, 0, 0x5a, // tcmsg
        8, 0, 1, 0,  b'b', b'p', b'f', 0,                                              // TCA_KIND
        8, 0, 11, 0,  0, 0, 0, 0,                                                      // TCA_CHAIN
        68, 0, 2, 0,                                                                   // TCA_OPTIONS
        27, 0, 7, 0,  b's', b'h', b'a', b'p', b'e', b'r', b'_', b'e', b'g', b'r', b'e', b's', // TCA_BPF_NAME
        b's', b':', b'[', b'*', b'f', b's', b'o', b'b', b'j', b']', 0, 0,
        8, 0, 11, 0,  0xce, 0, 0, 0,                                                   // TCA_BPF_ID
        12, 0, 10, 0,  0x59, 0xf4, 0xa9, 0x31,  0x74, 0x4d, 0xcd, 0xc6,                // TCA_BPF_TAG
        8, 0, 8, 0,  1, 0, 0, 0,                                                       // TCA_BPF_FLAGS
        8, 0, 9, 0,  8, 0, 0, 0,                                                       // TCA_BPF_FLAGS_GEN
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn a_dumped_program_is_read() {
        let reply = Reply { kind: libc::RTM_NEWTFILTER, body: BPF.to_vec() };
        let program = bpf::Program {
            name: "shaper_egress:[*fsobj]".into(),
            id: Some(206),
            tag: Some([0x59, 0xf4, 0xa9, 0x31, 0x74, 0x4d, 0xcd, 0xc6]),
            direct_action: true,
        };
        let expected = Observed {
            ifindex: 1,
            parent: Handle::EGRESS,
            handle: 1,
            pref: 0x5a00,
            protocol: libc::ETH_P_ALL as u16,
            chain: 0,
            kind: "bpf".into(),
            bpf: Some(program),
        };
        assert_eq!(Observed::parse(&reply), Some(expected));
    }

    #[test]
    fn a_reply_cut_short_anywhere_is_no_panic() {
        for len in 0..BPF.len() {
            let _ = Observed::parse(&Reply { kind: libc::RTM_NEWTFILTER, body: BPF[..len].to_vec() });
        }
    }
}
