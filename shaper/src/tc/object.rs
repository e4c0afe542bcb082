//! `struct tcmsg`, the fixed part of every traffic control message, and a dumped object.

use super::{Handle, Stats};
use crate::netlink::Reply;
use crate::netlink::uapi::*;

/// Length of `struct tcmsg`: family and pad, ifindex, handle, parent, info.
const TCMSG_LEN: usize = 20;

/// Writes `struct tcmsg`.
pub(super) fn tcmsg(ifindex: u32, handle: u32, parent: Handle, info: u32) -> [u8; TCMSG_LEN] {
    let mut header = [0; TCMSG_LEN];
    for (index, word) in [0, ifindex, handle, parent.to_u32(), info].into_iter().enumerate() {
        header[index * 4..index * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    header
}

/// A qdisc or class as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The link it is on.
    pub ifindex: u32,
    /// Its name.
    pub handle: Handle,
    /// What it is attached to.
    pub parent: Handle,
    /// The kind (`fq`, `htb`, `noqueue`, ...).
    pub kind: String,
    /// The kind's own options (`TCA_OPTIONS`), as in `netem::Options::parse`.
    pub options: Vec<u8>,
    /// Counters.
    pub stats: Stats,
}

impl Observed {
    pub(super) fn parse(reply: &Reply) -> Option<Self> {
        let Tcmsg { ifindex, handle, parent, .. } = Tcmsg::parse(reply)?;
        let (_, attributes) = reply.split::<TCMSG_LEN>()?;
        let mut observed = Self {
            ifindex,
            handle: Handle::from_u32(handle),
            parent,
            kind: String::new(),
            options: Vec::new(),
            stats: Stats::default(),
        };
        for attribute in attributes {
            match attribute.kind {
                TCA_KIND => observed.kind = attribute.text(),
                TCA_OPTIONS => observed.options = attribute.value.to_vec(),
                TCA_STATS2 => observed.stats = Stats::parse(attribute.nested()),
                _ => {}
            }
        }
        Some(observed)
    }
}

/// `struct tcmsg` as received.
pub(super) struct Tcmsg {
    pub(super) ifindex: u32,
    pub(super) handle: u32,
    pub(super) parent: Handle,
    pub(super) info: u32,
}

impl Tcmsg {
    pub(super) fn parse(reply: &Reply) -> Option<Self> {
        let (header, _) = reply.split::<TCMSG_LEN>()?;
        let word = |index: usize| {
            let bytes = header[index * 4..].first_chunk().copied().unwrap_or_default();
            u32::from_ne_bytes(bytes)
        };
        Some(Self { ifindex: word(1), handle: word(2), parent: Handle::from_u32(word(3)), info: word(4) })
    }
}
