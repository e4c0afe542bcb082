//! The packet scheduler's clock: ticks of 64 ns, the kernel's unit for times in 32-bit fields.
//!
//! `PSCHED_SHIFT` is 6 on every kernel since 2.6.31 (`include/net/pkt_sched.h`), as `/proc/net/psched` tells.

/// Length of a tick.
pub const TICK_NS: u64 = 64;

/// `/proc/net/psched`'s clock resolution, which iproute2 uses as "HZ" when it sizes a burst.
pub const CLOCK_HZ: u64 = 1_000_000_000;

/// Converts a time to ticks, rounding down; times past 274 s become `u32::MAX`.
///
/// ```
/// assert_eq!(shaper::tc::psched::ticks_from_ns(20_000_000), 312_500);
/// ```
pub fn ticks_from_ns(time_ns: u64) -> u32 {
    u32::try_from(time_ns / TICK_NS).unwrap_or(u32::MAX)
}

/// Converts ticks to a time.
pub fn ns_from_ticks(ticks: u32) -> u64 {
    u64::from(ticks) * TICK_NS
}

/// Returns the ticks that `size_bytes` take at a rate, rounded as `tc` rounds: down to whole microseconds first.
///
/// The division is in floating point because that of `tc` is (`tc_calc_xmittime`): an exact one would now and then
/// differ by a microsecond. A rate of zero gives `u32::MAX`.
pub fn xmit_ticks(size_bytes: u64, rate_bytes_per_sec: u64) -> u32 {
    let time_us = 1_000_000.0 * (size_bytes as f64 / rate_bytes_per_sec as f64);
    // `as` saturates, and turns the NaN of 0 / 0 into 0.
    ticks_from_ns((time_us as u64).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_lose_less_than_one_tick(time_ns in 0..u64::from(u32::MAX) * TICK_NS) {
            let back = ns_from_ticks(ticks_from_ns(time_ns));
            prop_assert!(back <= time_ns && time_ns - back < TICK_NS);
        }

        #[test]
        fn ticks_survive_the_way_through_time(ticks: u32) {
            prop_assert_eq!(ticks_from_ns(ns_from_ticks(ticks)), ticks);
        }
    }

    #[test]
    fn what_does_not_fit_saturates() {
        assert_eq!(ticks_from_ns(u64::MAX), u32::MAX);
        assert_eq!(xmit_ticks(1600, 0), u32::MAX);
        assert_eq!(xmit_ticks(1600, 1), u32::MAX);
    }

    #[test]
    fn transmission_times_round_down_to_microseconds() {
        // 8 bytes at 10 mbit are 6.4 us, cut to 6 us: 93.75 ticks.
        assert_eq!(xmit_ticks(8, 1_250_000), 93);
        assert_eq!(xmit_ticks(15_000, 1_250_000), 187_500);
        assert_eq!(xmit_ticks(1600, 12_500_000_000), 0);
    }
}
