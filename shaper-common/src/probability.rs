//! Probabilities as integers.

/// Always.
pub const CERTAIN: u32 = u32::MAX;

/// 1 where something of probability `probability` (in 2^32nds; [`CERTAIN`] is always) happens, given 64 uniform bits; else 0.
///
/// A number and no `bool`, because the kernel's verifier follows both ways of each comparison, and the rest of the program once more
/// for each value it knows because of it: five events as `bool`s took it 800 ms (Linux 6.18). No mask of all ones or zero either:
/// that it takes for a comparison, too.
#[inline(always)]
#[must_use]
pub fn happens(probability: u32, bits: u64) -> u64 {
    let probability = probability as u64;
    // 2^32 where it is `CERTAIN`.
    let threshold = probability + ((probability + 1) >> 32);
    is_less(bits >> 32, threshold)
}

/// 1 where `a` is less than `b`, both below 2^63; else 0.
#[inline(always)]
#[must_use]
pub fn is_less(a: u64, b: u64) -> u64 {
    // The compiler would make a comparison of it if it knew that this is a difference.
    core::hint::black_box(a.wrapping_sub(b)) >> 63
}

/// `yes` where `flag` is 1, `no` where it is 0.
#[inline(always)]
#[must_use]
pub fn select(flag: u64, yes: u64, no: u64) -> u64 {
    no.wrapping_add(flag.wrapping_mul(yes.wrapping_sub(no)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact() {
        assert_eq!([happens(0, 0), happens(0, u64::MAX)], [0, 0]);
        assert_eq!([happens(CERTAIN, 0), happens(CERTAIN, u64::MAX)], [1, 1]);
        assert_eq!([happens(1 << 31, (1 << 63) - 1), happens(1 << 31, 1 << 63)], [1, 0]);
    }

    #[test]
    fn a_flag_selects() {
        assert_eq!([select(1, 7, 9), select(0, 7, 9)], [7, 9]);
    }
}
