//! The ways that a route goes.

use std::net::IpAddr;

use crate::netlink::attr::{Attribute, Attributes};
use crate::netlink::uapi::*;

/// Length of `struct rtnexthop`: length, flags, weight, link.
const RTNEXTHOP_LEN: usize = 8;

/// One way that a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// The router, unless the destination is a neighbour itself.
    pub gateway: Option<IpAddr>,
    /// The link's number.
    pub ifindex: u32,
}

/// Reads the value of `RTA_MULTIPATH`.
pub(super) fn of_multipath(mut rest: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let Some([l0, l1, _, _, i0, i1, i2, i3]) = rest.first_chunk::<RTNEXTHOP_LEN>() {
        let len = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let Some(attributes) = rest.get(RTNEXTHOP_LEN..len) else { break };
        let gateway = Attributes::new(attributes).find_map(|attribute| gateway(&attribute));
        hops.push(NextHop { gateway, ifindex: u32::from_ne_bytes([*i0, *i1, *i2, *i3]) });
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// Clears in the value of `RTA_MULTIPATH` what the kernel knows by itself, whether a link is down: it refuses to be told.
pub(super) fn forget_state(paths: &mut [u8]) {
    let mut rest = paths;
    while let Some([l0, l1, flags, ..]) = rest.first_chunk_mut::<RTNEXTHOP_LEN>() {
        *flags &= RTNH_F_ONLINK as u8;
        let len = usize::from(u16::from_ne_bytes([*l0, *l1])).max(RTNEXTHOP_LEN).next_multiple_of(4);
        rest = rest.get_mut(len..).unwrap_or_default();
    }
}

/// The router that an attribute names; in one of another family than the route's, the family's number comes first.
pub(super) fn gateway(attribute: &Attribute<'_>) -> Option<IpAddr> {
    match attribute.kind {
        RTA_GATEWAY => attribute.ip(),
        RTA_VIA => Attribute { value: attribute.value.get(2..)?, ..*attribute }.ip(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read_and_their_state_is_forgotten() {
        #[rustfmt::skip]
        let mut paths = [
            16, 0, 0x14, 0, 3, 0, 0, 0, /* RTA_GATEWAY */ 8, 0, 5, 0, 10, 0, 0, 1,
            8, 0, 0x01, 0, 4, 0, 0, 0,
        ];
        let gateway = Some("10.0.0.1".parse().expect("an address"));
        let hops = [NextHop { gateway, ifindex: 3 }, NextHop { gateway: None, ifindex: 4 }];
        assert_eq!(of_multipath(&paths), hops);
        forget_state(&mut paths);
        assert_eq!((paths[2], paths[18]), (4, 0));
        assert_eq!(of_multipath(&paths), hops);
    }

    #[test]
    fn a_router_of_another_family_has_its_number_in_front() {
        let mut value = vec![libc::AF_INET6 as u8, 0];
        value.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(gateway(&Attribute { kind: RTA_VIA, value: &value }), "fe80::1".parse().ok());
    }

    proptest! {
        #[test]
        fn reading_always_ends(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(of_multipath(&bytes).len() <= bytes.len());
            forget_state(&mut bytes);
        }
    }
}
