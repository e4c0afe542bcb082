//! Shapes in words.

use std::fmt::Display;

use super::{Chance, Shape};
use crate::units::Probability;

impl Shape {
    /// The shape in words, as its flags would say it.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.latency().is_zero() {
            words.push(format!("latency {}", self.latency()));
        }
        if !self.jitter().is_zero() {
            let order = if self.keep_order() { " keep-order" } else { "" };
            let correlation = correlation(self.jitter_correlation());
            words.push(format!(
                "jitter {} {}{correlation}{order}",
                self.jitter(),
                self.distribution().words()
            ));
        }
        if let Some(reorder) = self.reorder() {
            let gap = Some(self.reorder_gap()).filter(|gap| *gap > 1);
            words.push(format!("reorder {}{}", chance(reorder), optional("gap", gap)));
        }
        if let (Some(bandwidth), Some(queue)) = (self.bandwidth(), self.queue()) {
            let (burst, overhead, ecn) = (
                optional("burst", self.burst()),
                optional("overhead", self.overhead()),
                optional("ecn", self.ecn()),
            );
            words.push(format!("bandwidth {bandwidth} queue {queue}{burst}{overhead}{ecn}"));
        }
        words.extend(self.loss().map(|loss| loss.to_string()));
        words.extend(self.duplicate().map(|duplicate| format!("duplicate {}", chance(duplicate))));
        words.extend(self.corrupt().map(|corrupt| format!("corrupt {}", chance(corrupt))));
        words.join(", ")
    }
}

fn chance(chance: Chance) -> String {
    format!("{}{}", chance.probability, correlation(chance.correlation))
}

fn correlation(correlation: Probability) -> String {
    optional("correlation", Some(correlation).filter(|correlation| !correlation.is_never()))
}

fn optional<T: Display>(word: &str, value: Option<T>) -> String {
    value.map(|value| format!(" {word} {value}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::shape::shape_of;

    #[test]
    fn a_shape_is_told_in_the_words_of_its_flags() {
        for (shape, words) in [
            ("latency=100ms", "latency 100ms"),
            (
                "latency=40ms jitter=5ms distribution=normal jitter_correlation=25% keep_order=true",
                "latency 40ms, jitter 5ms normal correlation 25% keep-order",
            ),
            (
                "latency=40ms reorder=25% reorder_correlation=50% reorder_gap=5",
                "latency 40ms, reorder 25% correlation 50% gap 5",
            ),
            (
                "bandwidth=10mbit burst=32kb overhead=10b,48b,5b ecn=5ms",
                "bandwidth 10Mbit queue 100ms burst 32Kb overhead 10b,48b,5b ecn 5ms",
            ),
            ("loss=1% loss_correlation=25%", "loss 1% correlation 25%"),
            ("loss_gemodel=1%,10%", "loss-gemodel 1%,10%,100%,0%"),
            ("loss_pattern=0010 duplicate=1% corrupt=0.1%", "loss-pattern 0010, duplicate 1%, corrupt 0.1%"),
        ] {
            assert_eq!(shape_of(shape).words(), words);
        }
    }
}
