//! How often something befalls a packet, and how much that depends on the packet before.
//!
//! A probability is the kernel's: 0 is never, `u32::MAX` always.

use crate::netlink::attr::{Attribute, Attributes, Writer};
use crate::netlink::uapi::*;

/// A probability and its correlation (`struct tc_netem_reorder`, `struct tc_netem_corrupt`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chance {
    /// How often.
    pub probability: u32,
    /// How much the draw is that of the packet before.
    pub correlation: u32,
}

impl Chance {
    pub(super) fn parse(attributes: Attributes<'_>, kind: u16) -> Option<Self> {
        let [probability, correlation] = words(attributes.find_kind(kind)?)?;
        Some(Self { probability, correlation })
    }

    pub(super) fn write(self, kind: u16, out: &mut Writer) {
        attr_words(out, kind, &[self.probability, self.correlation]);
    }
}

/// Correlations of what the fixed part of the options says without one (`struct tc_netem_corr`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[doc(alias = "TCA_NETEM_CORR")]
pub struct Correlation {
    /// Of the jitter.
    pub delay: u32,
    /// Of random loss.
    pub loss: u32,
    /// Of duplicates.
    pub duplicate: u32,
}

impl Correlation {
    pub(super) fn parse(attributes: Attributes<'_>) -> Option<Self> {
        let [delay, loss, duplicate] = words(attributes.find_kind(TCA_NETEM_CORR)?)?;
        Some(Self { delay, loss, duplicate })
    }

    pub(super) fn write(self, out: &mut Writer) {
        attr_words(out, TCA_NETEM_CORR, &[self.delay, self.loss, self.duplicate]);
    }
}

/// Reads a struct of 32-bit words; `None` when the attribute is too short.
pub(super) fn words<const N: usize>(attribute: Attribute<'_>) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        *word = attribute.value.get(index * 4..)?.first_chunk().copied().map(u32::from_ne_bytes)?;
    }
    Some(words)
}

/// Writes a struct of 32-bit words.
pub(super) fn attr_words(out: &mut Writer, kind: u16, words: &[u32]) {
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    out.attr(kind, &value);
}
