//! Answers to IPv6 packets. Extension headers are not walked: what has some is answered with an ICMPv6 error.

use super::{ICMP_HLEN, IPPROTO_ICMPV6, IPPROTO_TCP, TCP_HLEN, TTL, checksum, sum};

/// Bytes of the fixed header.
pub const HLEN: usize = 40;
/// Most that an error quotes.
pub const QUOTE_MAX: usize = 128;
/// Bytes of what [`reset`] makes.
pub const RESET_LEN: usize = HLEN + TCP_HLEN;
/// Bytes in front of the quote of [`prohibited`].
pub const QUOTE_AT: usize = HLEN + ICMP_HLEN;
/// Most bytes of what [`prohibited`] makes.
pub const ERROR_MAX: usize = QUOTE_AT + QUOTE_MAX;

const ICMPV6_DEST_UNREACH: u8 = 1;
/// RFC 4443, 3.1: communication with destination administratively prohibited.
const ICMPV6_ADM_PROHIBITED: u8 = 1;
const ICMPV6_REDIRECT: u8 = 137;

/// Whether a packet with this header may be answered at all: from one host, to one host (RFC 4443, 2.4 e).
#[inline(always)]
#[must_use]
pub fn is_answerable(ip: &[u8; HLEN]) -> bool {
    ip[0] >> 4 == 6 && is_host(ip, 8) && is_host(ip, 24)
}

/// Whether the address at `at` is neither a group's nor the unspecified one.
#[inline(always)]
fn is_host(ip: &[u8; HLEN], at: usize) -> bool {
    let mut bits = 0;
    let mut byte = 0;
    while byte < 16 {
        bits |= ip[at + byte];
        byte += 1;
    }
    bits != 0 && ip[at] != 0xff
}

/// Bytes of the packet, of which `there` are there, padding included; `None` when it cannot be so long.
///
/// Zero says that a jumbo payload option says it, or BIG TCP.
#[inline(always)]
#[must_use]
pub fn len(ip: &[u8; HLEN], there: u32) -> Option<u32> {
    let told = u16::from_be_bytes([ip[4], ip[5]]) as u32;
    let len = if told == 0 { there } else { HLEN as u32 + told };
    if len < HLEN as u32 || len > there { None } else { Some(len) }
}

/// Whether an ICMPv6 type is an error or a redirect, about which no error is sent (RFC 4443, 2.4 e).
#[inline(always)]
#[must_use]
pub fn is_error(icmp_type: u8) -> bool {
    icmp_type < 128 || icmp_type == ICMPV6_REDIRECT
}

/// Makes `answer` the packet that carries the TCP header `tcp` back.
#[inline(always)]
pub fn reset(ip: &[u8; HLEN], tcp: &[u8; TCP_HLEN], answer: &mut [u8; RESET_LEN]) {
    answer[..HLEN].copy_from_slice(&header(ip, IPPROTO_TCP, TCP_HLEN as u32));
    answer[HLEN..].copy_from_slice(tcp);
    let sum = checksum(sum(&answer[8..]) + IPPROTO_TCP as u32 + TCP_HLEN as u32);
    answer[HLEN + 16..HLEN + 18].copy_from_slice(&sum);
}

/// Bytes of a packet of `len` that an error quotes.
#[inline(always)]
#[must_use]
pub fn quote_len(len: u32) -> u32 {
    if len < QUOTE_MAX as u32 { len } else { QUOTE_MAX as u32 }
}

/// Makes `answer` the error about a packet whose first `quote_len` bytes are at [`QUOTE_AT`], zeros behind them.
#[inline(always)]
pub fn prohibited(ip: &[u8; HLEN], answer: &mut [u8; ERROR_MAX], quote_len: u32) {
    let payload_bytes = ICMP_HLEN as u32 + quote_len;
    answer[..HLEN].copy_from_slice(&header(ip, IPPROTO_ICMPV6, payload_bytes));
    let icmp = [ICMPV6_DEST_UNREACH, ICMPV6_ADM_PROHIBITED, 0, 0, 0, 0, 0, 0];
    answer[HLEN..QUOTE_AT].copy_from_slice(&icmp);
    let sum = checksum(sum(&answer[8..]) + IPPROTO_ICMPV6 as u32 + payload_bytes);
    answer[HLEN + 2..HLEN + 4].copy_from_slice(&sum);
}

/// The header of an answer: from the one that the packet went to.
#[inline(always)]
fn header(of: &[u8; HLEN], next: u8, payload_bytes: u32) -> [u8; HLEN] {
    let [high, low] = (payload_bytes as u16).to_be_bytes();
    let mut ip = [0; HLEN];
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, next, TTL]);
    ip[8..24].copy_from_slice(&of[24..40]);
    ip[24..40].copy_from_slice(&of[8..24]);
    ip
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(edit: impl Fn(&mut [u8; HLEN])) -> [u8; HLEN] {
        let mut ip = [0; HLEN];
        (ip[0], ip[5], ip[6], ip[7]) = (0x60, 20, 17, 64);
        (ip[8], ip[23], ip[24], ip[39]) = (0xfd, 1, 0xfd, 2);
        edit(&mut ip);
        ip
    }

    #[test]
    fn only_packets_between_two_hosts_are_answered() {
        assert!(is_answerable(&ip(|_| {})));
        assert!(is_answerable(&ip(|ip| (ip[8], ip[24]) = (0, 0))), "on the loopback");
        for (reason, packet) in [
            ("to a group", ip(|ip| ip[24] = 0xff)),
            ("from a group", ip(|ip| ip[8] = 0xff)),
            ("from nobody", ip(|ip| ip[8..24].fill(0))),
            ("to nobody", ip(|ip| ip[24..].fill(0))),
            ("another version", ip(|ip| ip[0] = 0x45)),
        ] {
            assert!(!is_answerable(&packet), "{reason}");
        }
    }

    #[test]
    fn padding_is_no_part_of_the_packet() {
        assert_eq!(len(&ip(|_| {}), 60), Some(60));
        assert_eq!(len(&ip(|_| {}), 66), Some(60));
        assert_eq!(len(&ip(|_| {}), 59), None);
        assert_eq!(len(&ip(|ip| ip[5] = 0), 70_000), Some(70_000));
        assert_eq!(len(&ip(|ip| ip[5] = 0), 39), None);
    }

    #[test]
    fn errors_are_known() {
        assert!((0..128).all(is_error) && is_error(137));
        assert!((128..137).chain(138..=255).all(|kind| !is_error(kind)));
    }

    #[test]
    fn what_is_sent_sums_up() {
        let mut answer = [7; ERROR_MAX];
        answer[QUOTE_AT + 50..].fill(0);
        prohibited(&ip(|_| {}), &mut answer, quote_len(50));
        assert_eq!(answer[..8], [0x60, 0, 0, 0, 0, 58, 58, 64]);
        assert_eq!((answer[8], answer[23], answer[24], answer[39]), (0xfd, 2, 0xfd, 1));
        assert_eq!(answer[HLEN..HLEN + 2], [1, 1]);
        assert_eq!(checksum(sum(&answer[8..]) + 58 + 58), [0; 2]);
        let mut packet = [7; RESET_LEN];
        reset(&ip(|_| {}), &super::super::reset(&[0x50; TCP_HLEN], 60).unwrap(), &mut packet);
        assert_eq!(checksum(sum(&packet[8..]) + 6 + 20), [0; 2]);
        assert_eq!(quote_len(1_000), QUOTE_MAX as u32);
    }
}
