//! The rate: a link that sends one packet at a time, with a drop-tail queue in front of it.
//!
//! A virtual clock says when the link will have sent all it has accepted; no packet is stored here, so one integer is the
//! whole state.

use core::num::NonZeroU64;

use crate::probability::{is_less, select};

const NS_PER_SEC: u64 = 1_000_000_000;

/// A rate and the queue in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bytes on the wire per second.
    pub rate_bytes_per_sec: NonZeroU64,
    /// Longest a packet may wait and be serialised.
    pub queue_ns: u64,
    /// Time of sending that an idle link saves up, at most; what it sends on that goes at once.
    pub burst_ns: u64,
}

/// Time to put `bytes` on the wire, rounded up so that the rate is never exceeded.
///
/// A GSO frame is at most 512 KiB (`GSO_MAX_SIZE`), so `bytes` × 10^9 < 2^49.
#[inline(always)]
#[must_use]
pub fn serialise_ns(bytes: u32, rate_bytes_per_sec: NonZeroU64) -> u64 {
    // Not `div_ceil`: its test for zero would put a panic into the kernel program.
    (bytes as u64 * NS_PER_SEC + (rate_bytes_per_sec.get() - 1)) / rate_bytes_per_sec
}

/// What of a time without anything to send, before a packet that takes `busy_ns`, counts as lack of demand: a stream of such packets
/// at a tenth of the rate is idle for not much longer between them, and what is, is a silence of which nobody expects a rate.
#[inline(always)]
#[must_use]
pub fn silence_ns(idle_ns: u64, busy_ns: u64) -> u64 {
    const SILENCE_NS: u64 = 10_000_000;
    let most_ns = SILENCE_NS + 8 * busy_ns;
    select(is_less(idle_ns, most_ns), idle_ns, most_ns)
}

/// Accepts `bytes` that arrive at `now_ns` and returns when the link will have sent them, or `None` when the queue is full.
///
/// A link that is idle accepts any packet: a queue shorter than one packet must not stop all traffic. With saved-up time
/// the end may be before `now_ns`: the packet goes at once.
#[inline(always)]
#[must_use]
pub fn admit(link: Bottleneck, free_at_ns: u64, now_ns: u64, bytes: u32) -> Option<u64> {
    let start_ns = free_at_ns.max(now_ns.saturating_sub(link.burst_ns));
    let finish_ns = start_ns + serialise_ns(bytes, link.rate_bytes_per_sec);
    (free_at_ns <= now_ns || finish_ns - now_ns <= link.queue_ns).then_some(finish_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bottleneck(rate_bytes_per_sec: u64, queue_ns: u64) -> Bottleneck {
        Bottleneck { rate_bytes_per_sec: NonZeroU64::new(rate_bytes_per_sec).unwrap(), queue_ns, burst_ns: 0 }
    }

    proptest! {
        #[test]
        fn bytes_released_in_any_window_stay_under_the_rate(
            rate in 1_000u64..12_500_000_000,
            queue_ns in 0u64..1_000_000_000,
            burst_ns in prop_oneof![Just(0u64), 0u64..100_000_000],
            arrivals in prop::collection::vec((0u64..5_000_000, 1u32..65_536), 1..200),
        ) {
            let link = Bottleneck { burst_ns, ..bottleneck(rate, queue_ns) };
            let (mut now, mut free_at) = (1_000_000_000u64, 0u64);
            let mut sent: Vec<(u64, u32)> = Vec::new();
            for (gap, bytes) in arrivals {
                now += gap;
                if let Some(finish) = admit(link, free_at, now, bytes) {
                    prop_assert!(finish + burst_ns >= now);
                    prop_assert!(finish >= free_at);
                    free_at = finish;
                    sent.push((finish.max(now), bytes));
                }
            }
            for (i, &(from, first)) in sent.iter().enumerate() {
                let mut bytes = 0u128;
                for &(until, len) in &sent[i..] {
                    bytes += u128::from(len);
                    // rate × (t and what was saved up), plus the packet whose end opens the window
                    let time_ns = u128::from(until - from) + u128::from(burst_ns);
                    let bound = u128::from(rate) * time_ns / u128::from(NS_PER_SEC) + u128::from(first);
                    prop_assert!(bytes <= bound + 1, "{bytes} bytes in {} ns, at most {bound}", until - from);
                }
            }
        }

        #[test]
        fn nobody_waits_longer_than_the_queue(
            rate in 1_000u64..1_250_000_000,
            queue_ns in 1_000u64..1_000_000_000,
            lens in prop::collection::vec(40u32..9_000, 1..300),
        ) {
            let link = bottleneck(rate, queue_ns);
            let now = 5;
            let mut free_at = 0;
            for bytes in lens {
                if let Some(finish) = admit(link, free_at, now, bytes) {
                    prop_assert!(finish - now <= queue_ns || free_at <= now);
                    free_at = finish;
                }
            }
        }

        #[test]
        fn a_busy_link_loses_no_time(rate in 125_000u64..1_250_000_000, packets in 1u64..200) {
            let link = bottleneck(rate, u64::MAX);
            let mut free_at = 0;
            for _ in 0..packets {
                free_at = admit(link, free_at, 1_000, 1_514).unwrap();
            }
            // Rounding up costs less than 1 ns a packet.
            let exact = packets * 1_514 * NS_PER_SEC / rate;
            prop_assert!(free_at - 1_000 >= exact && free_at - 1_000 <= exact + packets + 1);
        }
    }

    #[test]
    fn an_idle_link_sends_its_burst_at_once() {
        // A kilobyte each at 1 MB/s, with 3 ms saved up: three go at once, the fourth takes its time.
        let link = Bottleneck { burst_ns: 3_000_000, ..bottleneck(1_000_000, 10_000_000) };
        let now = 1_000_000_000;
        let mut free_at = 0;
        let departures = [(); 4].map(|()| {
            free_at = admit(link, free_at, now, 1_000).unwrap();
            free_at.max(now) - now
        });
        assert_eq!(departures, [0, 0, 0, 1_000_000]);
    }

    #[test]
    fn an_idle_link_takes_a_packet_longer_than_its_queue() {
        let link = bottleneck(1_000, 1);
        assert_eq!(admit(link, 0, 10, 1_000), Some(1_000_000_010));
        assert_eq!(admit(link, 1_000_000_010, 11, 1), None);
    }
}
