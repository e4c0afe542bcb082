//! Flipping a bit of a frame so that the damage is real.
//!
//! A frame from a local sender has no checksum yet: whoever puts it on a wire fills it in, over the flipped bit, and a local receiver
//! does not look at it at all. So the checksum is finished first (as netem does, by `skb_checksum_help`) and says that it is.

use shaper_common::corrupt;

use super::vnet::{self, VNET_LEN};

/// Flips the bit at `place` of a frame behind its `virtio_net_hdr`.
///
/// The checksums of a GSO frame are made when it is cut up, behind us: its damage goes unnoticed where they are.
pub(super) fn flip(frame: &mut [u8], place: u32) {
    let Some((header, packet)) = frame.split_first_chunk_mut::<VNET_LEN>() else { return };
    if let Some(unfinished) = vnet::take_checksum(header) {
        finish(packet, unfinished);
    }
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    if let Some(bit) = corrupt::bit(place, len) {
        packet[bit.byte as usize] ^= bit.mask;
    }
}

/// Writes the checksum over what follows `start`. The field holds the pseudo-header's sum already.
fn finish(packet: &mut [u8], unfinished: vnet::Checksum) {
    let vnet::Checksum { start, field } = unfinished;
    let Some(covered) = packet.get(start..) else { return };
    let sum = !sum(covered);
    // RFC 768: a UDP checksum of zero would mean that there is none. For TCP all ones is as good as zero.
    let sum = if sum == 0 { 0xffff } else { sum };
    if let Some(field) = packet.get_mut(start + field..).and_then(|rest| rest.first_chunk_mut()) {
        *field = sum.to_be_bytes();
    }
}

/// The ones' complement sum of 16-bit words (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    });
    let mut sum: u64 = words.map(u64::from).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071, section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2.
    #[test]
    fn the_sum_is_that_of_the_rfc() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        assert_eq!(sum(&[0xab]), 0xab00);
    }

    /// A frame of UDP over IPv4 whose checksum is left to the link, as a TAP hands it over.
    fn unfinished() -> Vec<u8> {
        let mut frame = vec![0; VNET_LEN + 14 + 20 + 8 + 5];
        frame[0] = 1;
        frame[6..8].copy_from_slice(&34_u16.to_ne_bytes());
        frame[8..10].copy_from_slice(&6_u16.to_ne_bytes());
        let udp = &mut frame[VNET_LEN + 34..];
        udp[..8].copy_from_slice(&[0x12, 0x34, 0x00, 0x35, 0x00, 0x0d, 0x00, 0x1e]);
        udp[8..].copy_from_slice(b"hello");
        frame
    }

    #[test]
    fn the_checksum_is_finished_and_one_bit_is_wrong() {
        let mut frame = unfinished();
        flip(&mut frame, u32::MAX);
        assert_eq!(frame[0], 0, "nobody finishes it again");
        // The last bit was flipped: with that undone, data and checksum add up, the pseudo-header's part (0x1e) included.
        let last = frame.len() - 1;
        assert_eq!(frame[last], b'o' ^ 0x80);
        frame[last] ^= 0x80;
        let covered = &frame[VNET_LEN + 34..];
        let with_pseudo_header = u32::from(sum(covered)) + 0x1e;
        assert_eq!((with_pseudo_header >> 16) + (with_pseudo_header & 0xffff), 0xffff);
    }

    #[test]
    fn a_frame_with_its_checksum_only_gets_the_bit() {
        let mut frame = unfinished();
        frame[0] = 0;
        let before = frame.clone();
        flip(&mut frame, 1);
        let differing: u32 = frame.iter().zip(&before).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(differing, 1);
        assert_eq!(frame[VNET_LEN + 14], before[VNET_LEN + 14] ^ 1);
    }

    #[test]
    fn what_is_inconsistent_does_no_harm() {
        for len in 0..40 {
            flip(&mut vec![0xff; len], u32::MAX);
        }
    }
}
