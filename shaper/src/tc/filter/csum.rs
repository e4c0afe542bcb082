//! `csum`: the action that computes a packet's checksums, and the end of leaving them to the link.

use super::NLA_F_NESTED;
use crate::netlink::attr::Writer;
use crate::netlink::uapi::*;

/// The headers whose checksums are computed; ICMP covers ICMPv6.
const HEADERS: u32 = TCA_CSUM_UPDATE_FLAG_IPV4HDR
    | TCA_CSUM_UPDATE_FLAG_ICMP
    | TCA_CSUM_UPDATE_FLAG_TCP
    | TCA_CSUM_UPDATE_FLAG_UDP;

/// Writes a list of one action, after which the next filter has its turn.
pub(super) fn write(out: &mut Writer) {
    let first_action = 1;
    out.nest(first_action, |action| {
        action.attr_str(TCA_ACT_KIND, "csum").nest(TCA_ACT_OPTIONS | NLA_F_NESTED, |options| {
            let (index, capab, refcnt, bindcnt) = (0, 0, 0, 0);
            let parms = [index, capab, TC_ACT_UNSPEC.cast_unsigned(), refcnt, bindcnt, HEADERS];
            let parms: Vec<u8> = parms.iter().flat_map(|word| word.to_ne_bytes()).collect();
            options.attr(TCA_CSUM_PARMS, &parms);
        });
    });
}

pub(super) const WORDS: &str = " action csum ip4h icmp tcp udp continue";
