//! Whether shapes need each packet of the wire for itself.
//!
//! A sender hands up to 64 KB to a link as one GSO frame of some 44 segments, and every engine sees it as one packet.

use super::Needs;
use crate::shape::Shape;
use crate::units::{Delay, Size};

/// The largest GSO frame of TCP without BIG TCP.
const FRAME: Size = Size::from_bytes(65_536);

/// A GSO frame at a rate where it takes longer than this is a burst that the queue behind the bottleneck would see:
/// below 524 Mbit/s. Above it, one frame for many segments is what makes such a rate cheap to emulate.
const BURST: Delay = Delay::from_ms(1);

/// The `gso_max_segs` that the link needs (1: no GSO), or `None` when frames of any size will do.
///
/// Faults and jitter are drawn for each packet, a mark is one packet's, and a low rate spaces packets, not frames; a plain
/// delay does not mind.
#[must_use]
pub fn max_segs(needs: &Needs) -> Option<u32> {
    needs.any(acts_on_packets).then_some(1)
}

fn acts_on_packets(shape: &Shape) -> bool {
    let coarse = shape.bandwidth().is_some_and(|rate| rate.time_for(FRAME).is_none_or(|time| time > BURST));
    let drawn = shape.loss().is_some()
        || shape.duplicate().is_some()
        || shape.corrupt().is_some()
        || shape.reorder().is_some()
        || !shape.jitter().is_zero();
    coarse || drawn || shape.ecn().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::shape_of;

    #[test]
    fn only_what_acts_on_single_packets_needs_them() {
        for text in [
            "latency=100ms jitter=1ms",
            "bandwidth=10mbit",
            "latency=100ms loss=0.1%",
            "loss_gemodel=1%",
            "loss_state=1%",
            "loss_pattern=0010",
            "duplicate=1%",
            "corrupt=1%",
            "latency=100ms reorder=1%",
            "bandwidth=10gbit ecn=1ms",
        ] {
            assert_eq!(max_segs(&shape_of(text).into()), Some(1), "{text}");
        }
        for text in [
            "latency=100ms",
            "latency=100ms jitter=0ms loss=0% duplicate=0% corrupt=0% reorder=0%",
            "bandwidth=1gbit overhead=24b burst=64kb",
        ] {
            assert_eq!(max_segs(&shape_of(text).into()), None, "{text}");
        }
    }
}
