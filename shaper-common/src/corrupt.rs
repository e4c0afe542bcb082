//! Damage: one bit of the packet, as netem does it, but never of the Ethernet header, which would only misdirect it.

/// Bytes in front of the packet.
const ETH_HLEN: u32 = 14;

/// A bit of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    /// Byte, from the start of the Ethernet header.
    pub byte: u32,
    /// The bit in it.
    pub mask: u8,
}

/// What a draw says about the place, never zero: zero is how "no bit" travels.
#[inline(always)]
#[must_use]
pub fn place(bits: u64) -> u32 {
    (bits >> 32) as u32 | 1
}

/// The bit that `place` selects in a frame of `len` bytes; `None` when there is nothing behind the Ethernet header.
#[inline(always)]
#[must_use]
pub fn bit(place: u32, len: u32) -> Option<Bit> {
    if len <= ETH_HLEN {
        return None;
    }
    let bits = (len - ETH_HLEN) as u64 * 8;
    let bit = ((place as u64 * bits) >> 32) as u32;
    Some(Bit { byte: ETH_HLEN + bit / 8, mask: 1 << (bit % 8) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bit_is_in_the_packet(bits: u64, len in 15u32..65_536) {
            let bit = bit(place(bits), len).unwrap();
            prop_assert!((14..len).contains(&bit.byte));
            prop_assert_eq!(bit.mask.count_ones(), 1);
        }
    }

    #[test]
    fn every_bit_can_be_hit() {
        let bits: std::collections::BTreeSet<_> = (0..=u16::MAX)
            .filter_map(|high| bit(place(u64::from(high) << 48), 18))
            .map(|bit| (bit.byte, bit.mask))
            .collect();
        assert_eq!(bits.len(), 32);
        assert_eq!(bit(1, 14), None);
    }
}
