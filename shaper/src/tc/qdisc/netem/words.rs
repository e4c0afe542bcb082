//! The options as tc takes them.

use super::{Chance, Options};
use crate::tc::format;

impl Options {
    /// Prints all that [`Options::write`] sends, zeros included: with [`Options::correlation`] every correlation is named,
    /// because tc sends them all when it is given one of jitter, random loss, corruption or reordering.
    pub(in crate::tc::qdisc) fn words(&self) -> String {
        let correlation = self.correlation;
        let mut words = format!(" limit {}", self.limit_packets);
        if self.delay_ns != 0 || self.jitter_ns != 0 {
            words.extend([" delay ", &format::time(self.delay_ns)]);
        }
        if self.jitter_ns != 0 {
            words.extend([" ", &format::time(self.jitter_ns)]);
            if let Some(correlation) = correlation.filter(|correlation| correlation.delay != 0) {
                words.extend([" ", &format::percent(correlation.delay)]);
            }
        }
        let mut beside = String::new();
        match &self.distribution {
            None => {}
            Some(distribution) => match distribution.name.as_str() {
                // tc has no table of that name: uniform is what it does without one.
                "uniform" => {}
                // tc takes a table by the name of a file in its own directory only.
                "table" => {
                    beside = format!(" # distribution: a table of {} values", distribution.table.len())
                }
                name => words.extend([" distribution ", name]),
            },
        }
        words.push_str(&self.loss.words(correlation.map(|correlation| correlation.loss)));
        let mut chance = |name: &str, Chance { probability, correlation: own }: Chance| {
            words.extend([" ", name, " ", &format::percent(probability)]);
            if own != 0 || correlation.is_some() {
                words.extend([" ", &format::percent(own)]);
            }
        };
        if let Some(corrupt) = self.corrupt {
            chance("corrupt", corrupt);
        }
        let of_copies = correlation.map_or(0, |correlation| correlation.duplicate);
        if self.duplicate != 0 || of_copies != 0 {
            chance("duplicate", Chance { probability: self.duplicate, correlation: of_copies });
        }
        if let Some(reorder) = self.reorder {
            chance("reorder", reorder);
        }
        if self.gap > 1 {
            words.push_str(&format!(" gap {}", self.gap));
        }
        if let Some(rate) = self.rate {
            words.push_str(&rate.words());
        }
        if let Some(seed) = self.seed {
            words.push_str(&format!(" seed {seed}"));
        }
        words + &beside
    }
}
