//! Telling a link's neighbours where an address is now: who had it elsewhere would go on sending there until that entry is too old.
//!
//! The kernel does not do so for an address that is added: `arp_notify` is for links that come up or change theirs, and `ndisc_notify` is
//! a setting of the user's. What is lost of this is made up for by time, as without it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::Session;
use crate::netlink::link::Link;

/// An Ethernet address.
type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
/// That of [`ALL_NODES`] (RFC 2464, 7).
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// A request of Ethernet for IPv4 (RFC 826).
const ARP_REQUEST: [u8; 8] = [0, 1, 0x08, 0, 6, 4, 0, 1];
const ICMPV6: u8 = 58;
/// Neighbour advertisement (RFC 4861, 4.4), its flags, and its option that says the link's address.
const ADVERTISEMENT: u8 = 136;
const IS_ROUTER: u8 = 0x80;
const OVERRIDES: u8 = 0x20;
const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];
const ADVERTISEMENT_LEN: u8 = 32;

/// Says on an Ethernet link that `address` is there.
pub(super) fn announce(session: &mut Session, link: &Link, address: IpAddr) {
    let Some(mac) = link.mac.filter(|_| link.is_running()) else { return };
    if !session.effect(|| format!("announce {address} on {}", link.name)) {
        return;
    }
    let frame = match address {
        IpAddr::V4(address) => arp(mac, address),
        IpAddr::V6(address) => {
            let path = format!("/proc/sys/net/ipv6/conf/{}/forwarding", link.name);
            // /proc/sys/net is that of the namespace of the thread that opens it.
            let is_router =
                session.netns().run(|| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0"));
            advertisement(mac, address, is_router.unwrap_or(false))
        }
    };
    // Neighbours find out by themselves, later.
    let _ = session.netns().run(|| send(link.ifindex, &frame));
}

/// An announcement (RFC 5227, 2.3): the address asks for itself.
fn arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let octets = address.octets();
    [&BROADCAST[..], &mac, &ETHERTYPE_ARP, &ARP_REQUEST, &mac, &octets, &[0; 6], &octets].concat()
}

/// An advertisement that nobody asked for (RFC 4861, 7.2.6).
fn advertisement(mac: Mac, address: Ipv6Addr, is_router: bool) -> Vec<u8> {
    let flags = OVERRIDES | if is_router { IS_ROUTER } else { 0 };
    let message = |checksum: [u8; 2]| {
        let [high, low] = checksum;
        let head = [ADVERTISEMENT, 0, high, low, flags, 0, 0, 0];
        [&head[..], &address.octets(), &TARGET_LINK_ADDRESS, &mac].concat()
    };
    let pseudo = [&address.octets()[..], &ALL_NODES.octets(), &[0, 0, 0, ADVERTISEMENT_LEN, 0, 0, 0, ICMPV6]];
    let checksum = !sum(&[&pseudo.concat()[..], &message([0; 2])].concat());
    // Hop limit 255: what came by a router is not believed.
    let header = [0x60, 0, 0, 0, 0, ADVERTISEMENT_LEN, ICMPV6, 255];
    let to = [&ALL_NODES_MAC[..], &mac, &ETHERTYPE_IPV6].concat();
    [&to[..], &header, &address.octets(), &ALL_NODES.octets(), &message(checksum.to_be_bytes())].concat()
}

/// The sum of a checksum (RFC 1071) of an even number of bytes.
fn sum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

fn send(ifindex: u32, frame: &[u8]) -> Result<(), Errno> {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: 0,
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: frame and address are read for the lengths that are told, and live until the call returns.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    Errno::result(sent).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    #[test]
    fn an_address_of_ipv4_asks_for_itself() {
        let frame = arp(MAC, Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[22..32], [2, 0, 0, 0, 0, 7, 10, 0, 0, 9]);
        assert_eq!(frame[32..], [0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
    }

    #[test]
    fn one_of_ipv6_is_advertised_to_all_with_a_checksum_that_is_right() {
        for (is_router, flags) in [(false, 0x20), (true, 0xa0)] {
            let address: Ipv6Addr = "fd00::9".parse().unwrap();
            let frame = advertisement(MAC, address, is_router);
            let (header, message) = frame[14..].split_at(40);
            assert_eq!(message.len(), usize::from(ADVERTISEMENT_LEN));
            assert_eq!((message[0], message[4], header[7]), (136, flags, 255));
            assert_eq!(message[8..24], address.octets());
            assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 7]);
            let all = [&header[8..], &[0, 0, 0, 32, 0, 0, 0, 58], message].concat();
            assert_eq!(sum(&all), 0xffff);
        }
    }
}
