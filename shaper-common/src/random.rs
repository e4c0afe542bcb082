//! Counter-based randomness: a draw is a hash of what it is for, so there is no generator state and no lock.
//!
//! Packet *n* of a rule meets the same fate on every engine, every CPU and every run with the same seed, and asking for
//! one more impairment does not reshuffle the others.

/// What a draw decides; part of the hash, so that two draws for one packet are independent.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The packet's place in the delay distribution.
    Jitter = 1,
    /// Whether that is the place of the packet before.
    JitterRepeat = 2,
    /// The place of the packet's copy.
    JitterOfCopy = 3,
    /// Whether the packet is lost, or the state of the loss model changes.
    Loss = 4,
    /// Whether its loss is that of the packet before.
    LossRepeat = 5,
    /// Whether it is lost in the state that the loss model is in.
    LossInState = 6,
    /// Whether it is sent twice.
    Duplicate = 7,
    /// Whether that is as with the packet before.
    DuplicateRepeat = 8,
    /// Whether a bit is flipped.
    Corrupt = 9,
    /// Whether that is as with the packet before.
    CorruptRepeat = 10,
    /// Which bit.
    CorruptWhere = 11,
    /// Whether a bit of the copy is flipped.
    CorruptOfCopy = 12,
    /// Which bit of the copy.
    CorruptWhereOfCopy = 13,
    /// Whether the packet overtakes others.
    Reorder = 14,
    /// Whether that is as with the packet before.
    ReorderRepeat = 15,
}

/// Weyl increment: 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws 64 uniform bits for the packet `index` of rule `rule`.
#[inline(always)]
#[must_use]
pub fn draw(seed: u64, rule: u32, index: u64, purpose: Purpose) -> u64 {
    let stream = mix(seed ^ ((rule as u64) << 32 | purpose as u64).wrapping_mul(GOLDEN));
    mix(stream.wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square critical value at 99.9 % for 255 degrees of freedom.
    const CHI_SQUARE_255: f64 = 330.5;

    fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
        let mut count = [0u32; 256];
        let mut n = 0u32;
        for byte in bytes {
            count[byte as usize] += 1;
            n += 1;
        }
        let expect = f64::from(n) / 256.0;
        count.iter().map(|&c| (f64::from(c) - expect).powi(2) / expect).sum()
    }

    #[test]
    fn each_byte_of_consecutive_packets_is_uniform() {
        for shift in (0..64).step_by(8) {
            let bytes = (0..100_000).map(|i| (draw(7, 0, i, Purpose::Jitter) >> shift) as u8);
            assert!(chi_square(bytes) < CHI_SQUARE_255, "byte at bit {shift}");
        }
    }

    #[test]
    fn neighbouring_seeds_and_rules_are_independent() {
        let seeds =
            (0..100_000).map(|i| (draw(1, 0, i, Purpose::Jitter) ^ draw(2, 0, i, Purpose::Jitter)) as u8);
        assert!(chi_square(seeds) < CHI_SQUARE_255);
        let rules =
            (0..100_000).map(|i| (draw(1, 0, i, Purpose::Jitter) ^ draw(1, 1, i, Purpose::Jitter)) as u8);
        assert!(chi_square(rules) < CHI_SQUARE_255);
    }

    #[test]
    fn a_draw_is_a_pure_function() {
        assert_eq!(draw(1, 2, 3, Purpose::Jitter), draw(1, 2, 3, Purpose::Jitter));
        // Pinned: a change of the hash changes what every seed in every bug report means.
        assert_eq!(draw(0, 0, 0, Purpose::Jitter), 5_197_578_548_964_807_871);
    }
}
