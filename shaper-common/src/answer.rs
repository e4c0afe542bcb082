//! What a rejected packet is answered with, as the one it was sent to would have: TCP with a reset (RFC 9293), everything
//! else with an ICMP error that says "administratively prohibited" (RFC 792 and RFC 1812, RFC 4443).
//!
//! Bytes in, bytes out, without the Ethernet header; checksums are complete.

pub mod v4;
pub mod v6;

/// Protocol numbers of IP.
pub const IPPROTO_ICMP: u8 = 1;
/// See [`IPPROTO_ICMP`].
pub const IPPROTO_TCP: u8 = 6;
/// See [`IPPROTO_ICMP`].
pub const IPPROTO_ICMPV6: u8 = 58;

/// Bytes of a TCP header without options.
pub const TCP_HLEN: usize = 20;
/// Bytes in front of what an ICMP error quotes.
pub const ICMP_HLEN: usize = 8;

/// Time to live of an answer.
const TTL: u8 = 64;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whether a frame with this Ethernet destination went to one station; errors about others are never sent (RFC 1122, 3.2.2).
#[inline(always)]
#[must_use]
pub fn is_unicast(ethernet: &[u8; 14]) -> bool {
    ethernet[0] & 1 == 0
}

/// The answer's Ethernet header: back to where the packet came from.
#[inline(always)]
#[must_use]
pub fn ethernet(of: &[u8; 14]) -> [u8; 14] {
    let mut back = *of;
    back[..6].copy_from_slice(&of[6..12]);
    back[6..12].copy_from_slice(&of[..6]);
    back
}

/// The TCP header that resets the connection of a segment, still without a checksum (RFC 9293, 3.10.7.1).
///
/// `bytes` is the length of the segment, its header included. `None` for a reset, which is never answered, and for a
/// header that cannot be.
#[inline(always)]
#[must_use]
pub fn reset(tcp: &[u8; TCP_HLEN], bytes: u32) -> Option<[u8; TCP_HLEN]> {
    let flags = tcp[13];
    let header = (tcp[12] >> 4) as u32 * 4;
    if flags & RST != 0 || header < TCP_HLEN as u32 || header > bytes {
        return None;
    }
    let mut answer = [0; TCP_HLEN];
    answer[..2].copy_from_slice(&tcp[2..4]);
    answer[2..4].copy_from_slice(&tcp[..2]);
    answer[12] = (TCP_HLEN as u8 / 4) << 4;
    if flags & ACK != 0 {
        // Where the peer expects the next one.
        answer[4..8].copy_from_slice(&tcp[8..12]);
        answer[13] = RST;
    } else {
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let counted = ((flags & SYN != 0) as u32) + ((flags & FIN != 0) as u32);
        let ack = seq.wrapping_add(bytes - header).wrapping_add(counted);
        answer[8..12].copy_from_slice(&ack.to_be_bytes());
        answer[13] = RST | ACK;
    }
    Some(answer)
}

/// The sum of the 16-bit words of some bytes, for [`checksum`]; up to 64 KiB, a last odd byte is left out.
#[inline(always)]
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).fold(0, |sum, word| sum + u16::from_be_bytes([word[0], word[1]]) as u32)
}

/// The Internet checksum (RFC 1071) of what sums up to `sum`.
#[inline(always)]
fn checksum(sum: u32) -> [u8; 2] {
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, ack: u32, flags: u8) -> [u8; TCP_HLEN] {
        let mut tcp = [0; TCP_HLEN];
        tcp[..4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&ack.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = flags;
        tcp[14] = 0xff;
        tcp
    }

    fn fields(answer: [u8; TCP_HLEN]) -> (u32, u32, u8) {
        let word = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
        assert_eq!(answer[..4], [0x56, 0x78, 0x12, 0x34], "the ports are swapped");
        assert_eq!((answer[12], &answer[14..]), (5 << 4, &[0; 6][..]));
        (word(4), word(8), answer[13])
    }

    #[test]
    fn a_reset_has_the_numbers_that_the_peer_accepts() {
        let of = |flags, bytes| reset(&segment(1_000, 77, flags), bytes).map(fields);
        assert_eq!(of(SYN, 20), Some((0, 1_001, RST | ACK)));
        assert_eq!(of(SYN, 30), Some((0, 1_011, RST | ACK)), "data of a fast open counts");
        assert_eq!(of(FIN, 25), Some((0, 1_006, RST | ACK)));
        assert_eq!(of(SYN | FIN, 20), Some((0, 1_002, RST | ACK)));
        assert_eq!(of(0, 20), Some((0, 1_000, RST | ACK)));
        assert_eq!(of(ACK, 1_000), Some((77, 0, RST)));
        assert_eq!(of(SYN | ACK, 20), Some((77, 0, RST)));
        assert_eq!(of(FIN | ACK, 20), Some((77, 0, RST)));
        let (_, ack, _) = fields(reset(&segment(u32::MAX, 0, SYN), 24).unwrap());
        assert_eq!(ack, 4, "sequence numbers wrap round");
    }

    #[test]
    fn options_are_no_data() {
        let mut tcp = segment(1_000, 0, SYN);
        tcp[12] = 10 << 4;
        assert_eq!(fields(reset(&tcp, 40).unwrap()).1, 1_001);
        assert_eq!(reset(&tcp, 39), None);
        tcp[12] = 4 << 4;
        assert_eq!(reset(&tcp, 40), None);
    }

    #[test]
    fn a_reset_is_not_answered() {
        for others in [0, ACK, SYN, FIN | ACK] {
            assert_eq!(reset(&segment(1, 2, RST | others), 20), None);
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        // Its example: the sum of these is 0xddf2.
        assert_eq!(checksum(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), [0x22, 0x0d]);
    }

    #[test]
    fn the_way_back_is_to_the_sender() {
        let of = [2, 1, 1, 1, 1, 1, 4, 3, 3, 3, 3, 3, 8, 0];
        assert!(is_unicast(&of));
        assert_eq!(ethernet(&of), [4, 3, 3, 3, 3, 3, 2, 1, 1, 1, 1, 1, 8, 0]);
        assert!(!is_unicast(&[0xff; 14]));
    }
}
