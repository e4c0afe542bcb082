//! Which packets are lost.
//!
//! The models and the names of their parameters are those of netem (tc-netem(8)); Salsano, Ludovici and Ordine, "Definition
//! of a general and intuitive loss model for packet networks", 2009.

use core::num::NonZeroU64;

use crate::abi::Rule;
use crate::probability::{CERTAIN, happens, select};

/// How losses follow each other; discriminants of [`Rule::loss_model`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// No packet is lost.
    #[default]
    None = 0,
    /// Each packet for itself, or like the one before with [`Rule::loss_correlation`]. Probabilities: of loss.
    Random = 1,
    /// Two states, good and bad (Gilbert-Elliott). Probabilities: p, good to bad; r, bad to good; 1-h, of loss in bad; 1-k,
    /// of loss in good.
    GilbertElliott = 2,
    /// Four states. Probabilities: p13, p31, p32, p23, p14, where 1 is received in a gap, 2 received in a burst, 3 lost in a
    /// burst, 4 lost on its own in a gap.
    FourState = 3,
    /// As [`Rule::loss_pattern`] says. Probabilities: none.
    Pattern = 4,
}

/// The state in which a model begins: good of [`Model::GilbertElliott`], received in a gap of [`Model::FourState`].
pub const FIRST_STATE: u64 = 0;

/// What becomes of a packet, and the model's state after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whether the packet is lost: 1, or 0.
    pub lost: u64,
    /// The state in which the next packet finds the model, 0 to 3.
    pub state: u64,
}

/// Decides a packet by [`Model::GilbertElliott`]; state 0 is good, 1 is bad.
#[inline(always)]
#[must_use]
pub fn gilbert_elliott(rule: &Rule, state: u64, bits: u64, bits_in_state: u64) -> Step {
    let [to_bad, to_good, in_bad, in_good, _] = rule.loss;
    let is_bad = state & 1;
    let leaves = happens(select(is_bad, to_good as u64, to_bad as u64) as u32, bits);
    let lost = happens(select(is_bad, in_bad as u64, in_good as u64) as u32, bits_in_state);
    Step { lost, state: is_bad ^ leaves }
}

/// Decides a packet by [`Model::FourState`]; the states, from 0: received in a gap, received in a burst, lost in a burst, lost in a gap.
#[inline(always)]
#[must_use]
pub fn four_state(rule: &Rule, state: u64, bits: u64) -> Step {
    const GAP: u64 = 0;
    const BURST: u64 = 1;
    const LOST: u64 = 2;
    const ALONE: u64 = 3;
    let [p13, p31, p32, p23, p14] = rule.loss;
    // Of each state: the probability of the first of its ways on, that of the first two, and where the three ways lead.
    let gap = (p14, p14.saturating_add(p13), [ALONE, LOST, GAP]);
    let burst = (p23, p23, [LOST, LOST, BURST]);
    let lost = (p32, p32.saturating_add(p31), [BURST, GAP, LOST]);
    let alone = (CERTAIN, CERTAIN, [GAP, GAP, GAP]);
    let (low, high) = (state & 1, state >> 1 & 1);
    let of_state = |of: [u64; 4]| select(high, select(low, of[3], of[2]), select(low, of[1], of[0]));
    let ways = [gap, burst, lost, alone];
    let first = happens(of_state(ways.map(|way| way.0 as u64)) as u32, bits);
    let first_two = happens(of_state(ways.map(|way| way.1 as u64)) as u32, bits);
    let to = |way: usize| of_state(ways.map(|(_, _, to)| to[way]));
    let state = select(first, to(0), select(first_two, to(1), to(2)));
    // Both states in which packets are lost have the high bit.
    Step { lost: state >> 1 & 1, state }
}

/// Whether the pattern has packet `index` lost: 1, or 0.
#[inline(always)]
#[must_use]
pub fn in_pattern(rule: &Rule, index: u64) -> u64 {
    match NonZeroU64::new(rule.loss_pattern_len as u64) {
        Some(len) => rule.loss_pattern >> (index % len) & 1,
        None => 0,
    }
}
