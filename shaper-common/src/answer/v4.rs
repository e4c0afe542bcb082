//! Answers to IPv4 packets.

use super::{ICMP_HLEN, IPPROTO_ICMP, IPPROTO_TCP, TCP_HLEN, TTL, checksum, sum};

/// Bytes of a header without options.
pub const HLEN: usize = 20;
/// Most that an error quotes: a header with options, and 8 bytes of what follows it (RFC 792).
pub const QUOTE_MAX: usize = 68;
/// Bytes of what [`reset`] makes.
pub const RESET_LEN: usize = HLEN + TCP_HLEN;
/// Bytes in front of the quote of [`prohibited`].
pub const QUOTE_AT: usize = HLEN + ICMP_HLEN;
/// Most bytes of what [`prohibited`] makes.
pub const ERROR_MAX: usize = QUOTE_AT + QUOTE_MAX;

const ICMP_DEST_UNREACH: u8 = 3;
/// RFC 1812, 5.2.7.1: communication administratively prohibited.
const ICMP_PKT_FILTERED: u8 = 13;

/// Whether a packet with this header may be answered at all: from one host, to one host, and not a later fragment
/// (RFC 1122, 3.2.2).
#[inline(always)]
#[must_use]
pub fn is_answerable(ip: &[u8; HLEN]) -> bool {
    let is_host = |first: u8| first != 0 && first < 224;
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff;
    ip[0] >> 4 == 4 && ip[0] & 0x0f >= 5 && fragment == 0 && is_host(ip[12]) && is_host(ip[16])
}

/// Bytes of the header, options included.
#[inline(always)]
#[must_use]
pub fn header_len(ip: &[u8; HLEN]) -> u32 {
    (ip[0] & 0x0f) as u32 * 4
}

/// Bytes of the packet, of which `there` are there, padding included; `None` when it cannot be so long.
///
/// Zero says that it is too long to be said (BIG TCP).
#[inline(always)]
#[must_use]
pub fn len(ip: &[u8; HLEN], there: u32) -> Option<u32> {
    let told = u16::from_be_bytes([ip[2], ip[3]]) as u32;
    let len = if told == 0 { there } else { told };
    if len < header_len(ip) || len > there { None } else { Some(len) }
}

/// Whether an ICMP type is an error, about which no error is sent (RFC 1122, 3.2.2).
#[inline(always)]
#[must_use]
pub fn is_error(icmp_type: u8) -> bool {
    matches!(icmp_type, 3 | 4 | 5 | 11 | 12)
}

/// Makes `answer` the packet that carries the TCP header `tcp` back.
#[inline(always)]
pub fn reset(ip: &[u8; HLEN], tcp: &[u8; TCP_HLEN], answer: &mut [u8; RESET_LEN]) {
    answer[..HLEN].copy_from_slice(&header(ip, IPPROTO_TCP, TCP_HLEN as u32));
    answer[HLEN..].copy_from_slice(tcp);
    let pseudo = sum(&answer[12..HLEN]) + IPPROTO_TCP as u32 + TCP_HLEN as u32;
    let sum = checksum(pseudo + sum(&answer[HLEN..]));
    answer[HLEN + 16..HLEN + 18].copy_from_slice(&sum);
}

/// Bytes of a packet of `len` that an error quotes.
#[inline(always)]
#[must_use]
pub fn quote_len(ip: &[u8; HLEN], len: u32) -> u32 {
    let quoted = header_len(ip) + 8;
    if len < quoted { len } else { quoted }
}

/// Makes `answer` the error about a packet whose first `quote_len` bytes are at [`QUOTE_AT`], zeros behind them.
#[inline(always)]
pub fn prohibited(ip: &[u8; HLEN], answer: &mut [u8; ERROR_MAX], quote_len: u32) {
    answer[..HLEN].copy_from_slice(&header(ip, IPPROTO_ICMP, ICMP_HLEN as u32 + quote_len));
    answer[HLEN..QUOTE_AT].copy_from_slice(&[ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0, 0, 0, 0, 0, 0]);
    let sum = checksum(sum(&answer[HLEN..]));
    answer[HLEN + 2..HLEN + 4].copy_from_slice(&sum);
}

/// The header of an answer: from the one that the packet went to.
#[inline(always)]
fn header(of: &[u8; HLEN], protocol: u8, payload_bytes: u32) -> [u8; HLEN] {
    let [high, low] = (HLEN as u16 + payload_bytes as u16).to_be_bytes();
    // Not to be fragmented, so that it needs no identification (RFC 6864).
    let mut ip = [0x45, 0, high, low, 0, 0, 0x40, 0, TTL, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&of[16..20]);
    ip[16..20].copy_from_slice(&of[12..16]);
    let sum = checksum(sum(&ip));
    ip[10..12].copy_from_slice(&sum);
    ip
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(edit: impl Fn(&mut [u8; HLEN])) -> [u8; HLEN] {
        let mut ip = [0x45, 0, 0, 60, 0, 0, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        edit(&mut ip);
        ip
    }

    #[test]
    fn only_packets_between_two_hosts_are_answered() {
        assert!(is_answerable(&ip(|_| {})), "a first fragment is");
        assert!(is_answerable(&ip(|ip| (ip[12], ip[16]) = (127, 127))), "on the loopback");
        for (reason, packet) in [
            ("a later fragment", ip(|ip| ip[7] = 1)),
            ("a later fragment, far", ip(|ip| ip[6] = 0x10)),
            ("to a group", ip(|ip| ip[16] = 224)),
            ("to everybody", ip(|ip| ip[16] = 255)),
            ("from a group", ip(|ip| ip[12] = 239)),
            ("from nobody", ip(|ip| ip[12] = 0)),
            ("to nobody", ip(|ip| ip[16] = 0)),
            ("another version", ip(|ip| ip[0] = 0x65)),
            ("a short header", ip(|ip| ip[0] = 0x44)),
        ] {
            assert!(!is_answerable(&packet), "{reason}");
        }
    }

    #[test]
    fn padding_is_no_part_of_the_packet() {
        assert_eq!(len(&ip(|_| {}), 60), Some(60));
        assert_eq!(len(&ip(|_| {}), 66), Some(60));
        assert_eq!(len(&ip(|_| {}), 59), None);
        assert_eq!(len(&ip(|ip| ip[3] = 19), 60), None);
        assert_eq!(len(&ip(|ip| ip[3] = 0), 70_000), Some(70_000));
    }

    #[test]
    fn errors_quote_the_header_and_eight_bytes() {
        assert_eq!(quote_len(&ip(|_| {}), 60), 28);
        assert_eq!(quote_len(&ip(|_| {}), 24), 24);
        assert_eq!(quote_len(&ip(|ip| ip[0] = 0x4f), 1_000), QUOTE_MAX as u32);
    }

    #[test]
    fn errors_are_known() {
        let errors: Vec<u8> = (0..=255).filter(|kind| is_error(*kind)).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }

    #[test]
    fn what_is_sent_sums_up() {
        let mut answer = [7; ERROR_MAX];
        answer[QUOTE_AT + 28..].fill(0);
        prohibited(&ip(|_| {}), &mut answer, 28);
        assert_eq!(answer[HLEN..HLEN + 2], [3, 13]);
        assert_eq!(answer[..4], [0x45, 0, 0, 56]);
        assert_eq!((checksum(sum(&answer[..HLEN])), checksum(sum(&answer[HLEN..]))), ([0; 2], [0; 2]));
        let tcp = super::super::reset(&[0x50; TCP_HLEN], 60).unwrap();
        let mut packet = [7; RESET_LEN];
        reset(&ip(|_| {}), &tcp, &mut packet);
        assert_eq!(packet[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(checksum(sum(&packet[12..]) + 6 + 20), [0; 2]);
    }
}
