//! What the packets of a train carry: whose they are, and enough to see whether a bit of them was changed.

/// What precedes the padding of each packet: the train's number and the packet's, 32 bits each.
pub(super) const HEADER_LEN: usize = 8;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It is this one of the train, as it was sent.
    Intact {
        /// Its sequence number.
        sequence: u32,
    },
    /// It is not as it was sent.
    Damaged,
    /// It belongs to an earlier train.
    Straggler,
}

/// Writes packet `sequence` of a train; what is behind the header is the header's complement, again and again.
pub(super) fn write(packet: &mut [u8], train: u32, sequence: u32) {
    let header = u64::from(train) << 32 | u64::from(sequence);
    let (head, padding) = packet.split_at_mut(HEADER_LEN);
    head.copy_from_slice(&header.to_be_bytes());
    let complement = (!header).to_be_bytes();
    for chunk in padding.chunks_mut(HEADER_LEN) {
        chunk.copy_from_slice(&complement[..chunk.len()]);
    }
}

/// Reads a packet of a train whose payloads are `payload` long.
pub(super) fn read(packet: &[u8], train: u32, payload: usize) -> Content {
    let Some((head, padding)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return Content::Damaged;
    };
    let header = u64::from_be_bytes(*head);
    let complement = (!header).to_be_bytes();
    let is_whole = padding.chunks(HEADER_LEN).all(|chunk| *chunk == complement[..chunk.len()]);
    let (number, sequence) = ((header >> 32) as u32, header as u32);
    if is_whole && number != train {
        Content::Straggler
    } else if is_whole && packet.len() == payload {
        Content::Intact { sequence }
    } else {
        Content::Damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_packet_with_padding_is_seen() {
        for payload in [16, 18, 64] {
            let mut packet = vec![0; payload];
            write(&mut packet, 3, 70_000);
            assert_eq!(read(&packet, 3, payload), Content::Intact { sequence: 70_000 });
            assert_eq!(read(&packet, 4, payload), Content::Straggler);
            for bit in 0..8 * payload {
                packet[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&packet, 3, payload), Content::Damaged, "bit {bit} of {payload} bytes");
                packet[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_packet_cut_short_or_too_long_is_damaged() {
        let mut packet = [0; 40];
        write(&mut packet, 1, 2);
        assert_eq!(read(&packet[..39], 1, 40), Content::Damaged);
        assert_eq!(read(&packet, 1, 39), Content::Damaged);
        assert_eq!(read(&packet[..7], 1, 40), Content::Damaged);
    }
}
