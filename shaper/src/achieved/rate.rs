//! How fast the bottleneck was.
//!
//! Our core spaces packets exactly, so a rate taken over the time that the bottleneck was sending is the one asked for by construction
//! (but for whole nanoseconds per packet, which count at tens of gigabits). What is not: whether there was something to send, and
//! whether the holder sent what the bottleneck did. So the rate is taken over all time but silences, less what the holder drops.

use shaper_common::abi::Counters;

use super::{Achieved, Holding, Quantity, RATE_SHARE};
use crate::shape::Shape;
use crate::units::Rate;

/// Fewer packets are no demand that a rate could be told from.
const LEAST_PACKETS: u64 = 100;

/// The rate, where the shape has one.
pub(super) fn of(shape: &Shape, counters: &Counters, holding: Holding) -> Option<Achieved> {
    let asked = shape.bandwidth()?;
    let time_ns = counters.link_busy_ns.saturating_add(counters.link_idle_ns).max(1) as f64;
    let bytes = counters.link_bytes as f64 * (1.0 - holding.dropped_share);
    let per_sec = bytes / time_ns * 1e9;
    let busy = counters.link_busy_ns as f64 / time_ns;
    let had_demand = counters.delayed_frames >= LEAST_PACKETS && busy >= 1.0 - RATE_SHARE;
    let off = (per_sec / asked.bytes_per_sec() as f64 - 1.0).abs();
    // A busy bottleneck may still have been idle for most of what is allowed.
    let allowed = RATE_SHARE + (1.0 - busy);
    Some(Achieved {
        what: "rate",
        asked: Quantity::Rate(asked),
        achieved: Quantity::Rate(Rate::from_bytes_per_sec(per_sec.round() as u64)),
        packets: counters.delayed_frames,
        is_chance: had_demand.then_some(off <= allowed),
        busy: Some(busy),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BYTES, counted_each};
    use super::*;
    use crate::shape::shape_of;

    const PACKETS: u64 = 2_000;

    /// `asked`, judged by what became of packets at `load` times 8 Mbit/s under `happened`.
    fn judged(asked: &str, happened: &str, load: f64, holding: Holding) -> Achieved {
        let gap_ns = (f64::from(BYTES) * 1e3 / load) as u64;
        of(&shape_of(asked), &counted_each(happened, PACKETS, gap_ns, 1), holding).unwrap()
    }

    fn share_of(achieved: &Achieved) -> f64 {
        let (Quantity::Rate(asked), Quantity::Rate(got)) = (achieved.asked, achieved.achieved) else {
            panic!("{achieved:?}")
        };
        got.bytes_per_sec() as f64 / asked.bytes_per_sec() as f64
    }

    #[test]
    fn under_demand_the_rate_is_that_asked_and_below_it_the_demand() {
        let asked = "bandwidth=8mbit queue=50ms";
        let full = judged(asked, asked, 1.5, Holding::default());
        assert_eq!(full.is_chance, Some(true), "{full:?}");
        assert!((share_of(&full) - 1.0).abs() < 1e-3, "{full:?}");
        let third = judged(asked, asked, 0.3, Holding::default());
        assert_eq!(third.is_chance, None, "{third:?}");
        assert!(
            (share_of(&third) - 0.3).abs() < 1e-3 && (third.busy.unwrap() - 0.3).abs() < 1e-3,
            "{third:?}"
        );
    }

    #[test]
    fn what_the_link_adds_counts_as_sent() {
        let asked = "bandwidth=8mbit queue=50ms overhead=100b";
        let full = judged(asked, asked, 1.0, Holding::default());
        assert_eq!(full.is_chance, Some(true), "{full:?}");
        assert!((share_of(&full) - 1.0).abs() < 1e-3, "{full:?}");
    }

    #[test]
    fn another_rate_and_a_holder_that_drops_are_noticed() {
        let asked = "bandwidth=8mbit queue=50ms";
        for happened in ["bandwidth=7.8mbit queue=50ms", "bandwidth=8.2mbit queue=50ms"] {
            let off = judged(asked, happened, 1.5, Holding::default());
            assert_eq!(off.is_chance, Some(false), "{off:?}");
        }
        let dropping = Holding { dropped_share: 0.03, ..Holding::default() };
        assert_eq!(judged(asked, asked, 1.5, dropping).is_chance, Some(false));
    }

    #[test]
    fn a_long_silence_is_not_idleness() {
        let asked = "bandwidth=8mbit queue=5s";
        let mut counters = counted_each(asked, PACKETS, 1_000, 1);
        let again = counted_each(asked, PACKETS, 1_000, 1);
        // The first packet of a train comes after a silence of any length.
        let link_idle_ns = shaper_common::bottleneck::silence_ns(3_600_000_000_000, 1_000_000);
        counters = counters.plus(&Counters { link_idle_ns, ..again });
        let achieved = of(&shape_of(asked), &counters, Holding::default()).unwrap();
        assert_eq!(achieved.is_chance, Some(true), "{achieved:?}");
        assert_eq!(of(&shape_of(asked), &Counters::default(), Holding::default()).unwrap().is_chance, None);
    }
}
