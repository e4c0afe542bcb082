//! What a rule remembers of the packets before, in the same word as the next packet's index.
//!
//! One word, because it is then changed by one compare-and-exchange: packet *n* + 1 is decided with what packet *n* left
//! behind, whichever CPUs they are on.
//!
//! ```text
//! 63                    24 23       14 13         6 5      2 1     0
//! | index (wraps at 2^40) | jitter    | reorder    | events | state |
//! ```

use crate::abi::Rule;
use crate::loss::Model;
use crate::probability::{is_less, select};

const INDEX_AT: u32 = 24;
const JITTER_AT: u32 = 14;
const REORDER_AT: u32 = 6;
const REORDERED_AT: u32 = 5;
const CORRUPTED_AT: u32 = 4;
const DUPLICATED_AT: u32 = 3;
const LOST_AT: u32 = 2;
const INDEX_MASK: u64 = (1 << 40) - 1;
const JITTER_MAX: u64 = (1 << 10) - 1;
const REORDER_MAX: u64 = (1 << 8) - 1;
const STATE_MASK: u64 = 3;

/// Most packets that may be between two reordered ones.
pub const REORDER_GAP_MAX: u32 = REORDER_MAX as u32;

/// What the packets before left behind. An event is 1 or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// State of the loss model, 0 to 3.
    pub loss_state: u64,
    /// Whether the packet before was lost.
    pub lost: u64,
    /// Whether it was sent twice.
    pub duplicated: u64,
    /// Whether a bit of it was flipped.
    pub corrupted: u64,
    /// Whether it overtook others.
    pub reordered: u64,
    /// Packets since the last one that overtook others; stays at [`REORDER_GAP_MAX`].
    pub since_reordered: u64,
    /// How many packets ago the jitter was drawn that the packet before had; zero: too long ago to repeat it.
    pub jitter_age: u64,
}

/// The word before the first packet.
pub const FIRST: u64 = 0;

/// Whether the fate of a packet depends on those before it. Where it does not, an addition claims the next index.
#[inline(always)]
#[must_use]
pub fn is_needed(rule: &Rule) -> bool {
    let has_states =
        rule.loss_model == Model::GilbertElliott as u32 || rule.loss_model == Model::FourState as u32;
    let correlation = rule.loss_correlation
        | rule.duplicate_correlation
        | rule.corrupt_correlation
        | rule.reorder_correlation
        | rule.jitter_correlation;
    has_states || correlation != 0 || rule.reorder_gap > 1
}

/// What `packets` packets add to the word.
#[inline(always)]
#[must_use]
pub fn advance(packets: u32) -> u64 {
    (packets as u64) << INDEX_AT
}

/// The index in a word.
#[inline(always)]
#[must_use]
pub fn index(word: u64) -> u64 {
    word >> INDEX_AT
}

/// The index in a word, counted from `first`.
#[inline(always)]
#[must_use]
pub fn index_since(word: u64, first: u64) -> u64 {
    index(word).wrapping_sub(first) & INDEX_MASK
}

/// The memory in a word.
#[inline(always)]
#[must_use]
pub fn unpack(word: u64) -> Memory {
    Memory {
        loss_state: word & STATE_MASK,
        lost: word >> LOST_AT & 1,
        duplicated: word >> DUPLICATED_AT & 1,
        corrupted: word >> CORRUPTED_AT & 1,
        reordered: word >> REORDERED_AT & 1,
        since_reordered: word >> REORDER_AT & REORDER_MAX,
        jitter_age: word >> JITTER_AT & JITTER_MAX,
    }
}

/// The word of `index` and `memory`.
#[inline(always)]
#[must_use]
pub fn pack(index: u64, memory: Memory) -> u64 {
    let is_countable = is_less(memory.since_reordered, REORDER_MAX);
    let since_reordered = select(is_countable, memory.since_reordered, REORDER_MAX);
    let jitter_age = memory.jitter_age * is_less(memory.jitter_age, JITTER_MAX + 1);
    (index & INDEX_MASK) << INDEX_AT
        | jitter_age << JITTER_AT
        | since_reordered << REORDER_AT
        | (memory.reordered & 1) << REORDERED_AT
        | (memory.corrupted & 1) << CORRUPTED_AT
        | (memory.duplicated & 1) << DUPLICATED_AT
        | (memory.lost & 1) << LOST_AT
        | memory.loss_state & STATE_MASK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            at in 0u64..=INDEX_MASK,
            loss_state in 0u64..4,
            events: [bool; 4],
            since_reordered in 0u64..=REORDER_MAX,
            jitter_age in 0u64..=JITTER_MAX,
        ) {
            let [lost, duplicated, corrupted, reordered] = events.map(u64::from);
            let memory =
                Memory { loss_state, lost, duplicated, corrupted, reordered, since_reordered, jitter_age };
            let word = pack(at, memory);
            prop_assert_eq!((index(word), unpack(word)), (at, memory));
            prop_assert_eq!(unpack(word.wrapping_add(advance(44))), memory);
            prop_assert_eq!(index_since(word.wrapping_add(advance(44)), at), 44);
        }
    }

    #[test]
    fn what_does_not_fit_is_forgotten_or_stays_at_its_most() {
        let memory = Memory { since_reordered: 1_000, jitter_age: 1_024, ..Memory::default() };
        let unpacked = unpack(pack(0, memory));
        assert_eq!((unpacked.since_reordered, unpacked.jitter_age), (REORDER_MAX, 0));
    }
}
