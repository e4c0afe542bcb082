//! Whether a shape needs each packet of the wire for itself.
//!
//! A sender hands up to 64 KB to a link as one GSO frame of some 44 segments, and every engine sees it as one packet.

use crate::shape::Shape;
use crate::units::{Delay, Size};

/// The largest GSO frame of TCP without BIG TCP.
const FRAME: Size = Size::from_bytes(65_536);

/// A GSO frame at a rate where it takes longer than this is a burst that the queue behind the bottleneck would see:
/// below 524 Mbit/s. Above it, one frame for many segments is what makes such a rate cheap to emulate.
const BURST: Delay = Delay::from_ms(1);

/// The `gso_max_segs` that the link needs (1: no GSO), or `None` when frames of any size will do.
///
/// Jitter is drawn for each packet, and a low rate spaces packets, not frames; a plain delay does not mind.
#[must_use]
pub fn max_segs(shape: &Shape) -> Option<u32> {
    let coarse = shape.bandwidth().is_some_and(|rate| rate.time_for(FRAME).is_none_or(|time| time > BURST));
    (coarse || !shape.jitter().is_zero()).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Parts;

    #[test]
    fn only_what_acts_on_single_packets_needs_them() {
        let shape = |latency: &str, jitter: Option<&str>, bandwidth: Option<&str>| {
            Shape::new(Parts {
                latency: Some(latency.parse().unwrap()),
                jitter: jitter.map(|jitter| jitter.parse().unwrap()),
                bandwidth: bandwidth.map(|bandwidth| bandwidth.parse().unwrap()),
                ..Parts::default()
            })
            .unwrap()
        };
        assert_eq!(max_segs(&shape("100ms", None, None)), None);
        assert_eq!(max_segs(&shape("100ms", Some("1ms"), None)), Some(1));
        assert_eq!(max_segs(&shape("0ms", None, Some("10mbit"))), Some(1));
        assert_eq!(max_segs(&shape("0ms", None, Some("1gbit"))), None);
    }
}
