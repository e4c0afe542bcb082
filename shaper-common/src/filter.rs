//! Whether a packet gets as far as its shape.

use crate::abi::Rule;

/// What becomes of a rule's packets; discriminants of [`Rule::filter`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Filter {
    /// They go on to the shape.
    #[default]
    Accept = 0,
    /// They are gone without a word.
    Drop = 1,
    /// Their sender is told at once: TCP by a reset, all else by an ICMP error, "administratively prohibited".
    Reject = 2,
    /// TCP connections end with a reset as soon as they send something; new ones can be opened, and what is not TCP goes on.
    Reset = 3,
}

impl Filter {
    /// All filters.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Drop, Self::Reject, Self::Reset];
}

/// The filter that the rule has at `now_ns`, as a [`Filter`] discriminant.
#[inline(always)]
#[must_use]
pub fn at(rule: &Rule, now_ns: u64) -> u32 {
    if now_ns < rule.filter_from_ns { Filter::Accept as u32 } else { rule.filter }
}

/// Whether the rule is in force at `now_ns`: its time is not over.
#[inline(always)]
#[must_use]
pub fn is_in_force(rule: &Rule, now_ns: u64) -> bool {
    rule.expires_ns == 0 || now_ns < rule.expires_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_begins_at_its_time_and_a_rule_ends_at_its() {
        let rule =
            Rule { filter: Filter::Drop as u32, filter_from_ns: 10, expires_ns: 20, ..Rule::default() };
        assert_eq!([9, 10].map(|now_ns| at(&rule, now_ns)), [0, 1]);
        assert_eq!([19, 20].map(|now_ns| is_in_force(&rule, now_ns)), [true, false]);
        assert!(is_in_force(&Rule::default(), u64::MAX));
    }
}
