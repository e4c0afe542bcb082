//! Which packets netem loses: tc-netem(8), and "Definition of a general and intuitive loss model for packet networks" by
//! Salsano, Ludovici and Ordine, 2009.

use super::chance::{attr_words, words};
use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::uapi::*;
use crate::tc::format;

/// A loss model; its probabilities are the kernel's, 0 for never and `u32::MAX` for always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "TCA_NETEM_LOSS")]
pub enum Loss {
    /// Each packet with this probability, correlated as [`super::Correlation::loss`] says.
    Random(u32),
    /// Two states, good and bad (Gilbert-Elliott).
    #[doc(alias = "NETEM_LOSS_GE")]
    GilbertElliott {
        /// Good to bad.
        p: u32,
        /// Bad to good.
        r: u32,
        /// Of loss in bad.
        one_minus_h: u32,
        /// Of loss in good.
        one_minus_k: u32,
    },
    /// Four states: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost on its own.
    ///
    /// The kernel adds p13 and p14, and p31 and p32, in 32 bits: a sum above `u32::MAX` wraps round there.
    #[doc(alias = "NETEM_LOSS_GI")]
    FourState {
        /// From 1 to 3.
        p13: u32,
        /// From 3 to 1.
        p31: u32,
        /// From 3 to 2.
        p32: u32,
        /// From 2 to 3.
        p23: u32,
        /// From 1 to 4.
        p14: u32,
    },
}

impl Default for Loss {
    /// None.
    fn default() -> Self {
        Self::Random(0)
    }
}

impl Loss {
    /// The probability in the fixed part of the options, which only random loss has.
    pub(super) fn in_qopt(self) -> u32 {
        match self {
            Self::Random(probability) => probability,
            Self::GilbertElliott { .. } | Self::FourState { .. } => 0,
        }
    }

    pub(super) fn parse(attributes: Attributes<'_>, in_qopt: u32) -> Self {
        let model = attributes.find_kind(TCA_NETEM_LOSS).and_then(|model| {
            let ge = model.nested().find_kind(NETEM_LOSS_GE).and_then(words);
            let ge = ge.map(|[p, r, h, one_minus_k]| Self::GilbertElliott {
                p,
                r,
                one_minus_h: u32::MAX - h,
                one_minus_k,
            });
            let gi = model.nested().find_kind(NETEM_LOSS_GI).and_then(words);
            ge.or(gi.map(|[p13, p31, p32, p14, p23]| Self::FourState { p13, p31, p32, p23, p14 }))
        });
        model.unwrap_or(Self::Random(in_qopt))
    }

    /// Writes the model's attribute; without one, the kernel goes back to random loss.
    pub(super) fn write(self, out: &mut Writer) {
        let (kind, fields): (u16, &[u32]) = match self {
            Self::Random(_) => return,
            // struct tc_netem_gemodel has h where tc has 1-h, but k1 is 1-k.
            Self::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
                (NETEM_LOSS_GE, &[p, r, u32::MAX - one_minus_h, one_minus_k])
            }
            // struct tc_netem_gimodel has p14 before p23, unlike the command line.
            Self::FourState { p13, p31, p32, p23, p14 } => (NETEM_LOSS_GI, &[p13, p31, p32, p14, p23]),
        };
        out.nest(libc::NLA_F_NESTED as u16 | TCA_NETEM_LOSS, |nest| attr_words(nest, kind, fields));
    }

    pub(super) fn words(self, correlation: Option<u32>) -> String {
        let list = |name: &str, values: &[u32]| {
            let values: Vec<String> = values.iter().map(|value| format::percent(*value)).collect();
            format!(" loss {name} {}", values.join(" "))
        };
        match (self, correlation) {
            (Self::Random(0), None) => String::new(),
            (Self::Random(probability), None) => list("random", &[probability]),
            (Self::Random(probability), Some(correlation)) => list("random", &[probability, correlation]),
            (Self::GilbertElliott { p, r, one_minus_h, one_minus_k }, _) => {
                list("gemodel", &[p, r, one_minus_h, one_minus_k])
            }
            (Self::FourState { p13, p31, p32, p23, p14 }, _) => list("state", &[p13, p31, p32, p23, p14]),
        }
    }
}
