//! `mirred`: the action that sends a packet to another link.

use std::fmt;

use super::NLA_F_NESTED;
use crate::netlink::attr::Writer;
use crate::netlink::link::Device;
use crate::netlink::uapi::*;

/// On which side of the other link the packet appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As one that the link sends, through its qdisc: the way into an ifb.
    Egress,
    /// As one that the link received.
    Ingress,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Egress => "egress",
            Side::Ingress => "ingress",
        })
    }
}

/// Takes the packet away to another link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirred {
    /// The side it appears on.
    pub side: Side,
    /// The link it appears at.
    pub dev: Device,
}

impl Mirred {
    /// Writes a list of one action.
    pub(super) fn write(&self, out: &mut Writer) {
        let first_action = 1;
        out.nest(first_action, |action| {
            action.attr_str(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS | NLA_F_NESTED, |options| {
                let (index, capab, refcnt, bindcnt) = (0, 0, 0, 0);
                let eaction = match self.side {
                    Side::Egress => TCA_EGRESS_REDIR,
                    Side::Ingress => TCA_INGRESS_REDIR,
                };
                let parms = [
                    index,
                    capab,
                    TC_ACT_STOLEN.cast_unsigned(),
                    refcnt,
                    bindcnt,
                    eaction.cast_unsigned(),
                    self.dev.ifindex,
                ];
                let parms: Vec<u8> = parms.iter().flat_map(|word| word.to_ne_bytes()).collect();
                options.attr(TCA_MIRRED_PARMS, &parms);
            });
        });
    }

    pub(super) fn words(&self) -> String {
        format!(" action mirred {} redirect dev {}", self.side, self.dev)
    }
}
