//! What a packet takes on the bottleneck: its own bytes, and what the link below adds (tc-netem(8), `rate`; tc-stab(8)).

use core::num::NonZeroU64;

use crate::abi::Rule;
use crate::decide::Frame;

/// Bytes that `frame` takes on the rule's bottleneck; each packet of a GSO frame is taken to be as long as the others.
#[inline(always)]
#[must_use]
pub fn bytes(rule: &Rule, frame: Frame) -> u32 {
    if rule.overhead_bytes == 0 && rule.cell_bytes == 0 {
        return frame.wire_bytes;
    }
    let packets = frame.wire_packets as u64;
    let overhead = rule.overhead_bytes as i32 as i64 * packets as i64;
    let bytes = (frame.wire_bytes as i64 + overhead).max(0) as u64;
    let (Some(cell_bytes), Some(packets)) =
        (NonZeroU64::new(rule.cell_bytes as u64), NonZeroU64::new(packets))
    else {
        return least(bytes);
    };
    // Not `div_ceil`: its test for zero would put a panic into the kernel program.
    let each = (bytes + (packets.get() - 1)) / packets;
    let cells = (each + (cell_bytes.get() - 1)) / cell_bytes * packets.get();
    let cell = (rule.cell_bytes as i64 + rule.cell_overhead_bytes as i32 as i64).max(0) as u64;
    least(cells * cell)
}

#[inline(always)]
fn least(bytes: u64) -> u32 {
    bytes.min(u32::MAX as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rule: Rule, wire_bytes: u32, wire_packets: u32) -> u32 {
        bytes(&rule, Frame { wire_bytes, wire_packets })
    }

    #[test]
    fn overhead_is_taken_once_for_each_packet() {
        assert_eq!(of(Rule::default(), 1_514, 1), 1_514);
        let more = Rule { overhead_bytes: 24, ..Rule::default() };
        assert_eq!((of(more, 1_514, 1), of(more, 3_028, 2)), (1_538, 3_076));
        let less = Rule { overhead_bytes: -14_i32 as u32, ..Rule::default() };
        assert_eq!((of(less, 1_514, 1), of(less, 10, 1)), (1_500, 0));
    }

    #[test]
    fn the_last_cell_is_filled_up() {
        // ATM: 48 bytes of 53; a TCP acknowledgement with 8 bytes of AAL5 trailer takes two cells.
        let atm = Rule { overhead_bytes: 8, cell_bytes: 48, cell_overhead_bytes: 5, ..Rule::default() };
        assert_eq!((of(atm, 40, 1), of(atm, 41, 1), of(atm, 82, 2)), (53, 106, 212));
    }
}
