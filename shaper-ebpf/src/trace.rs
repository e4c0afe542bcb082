//! Telling of each packet while somebody traces.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use shaper_common::decide::{Departure, Frame};
use shaper_common::probability::is_less;

use crate::{maps, packet};

/// What became of a packet, as far as only the engine knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// When it arrived; zero: nobody has looked at the clock yet.
    pub(crate) arrival_ns: u64,
    /// Slot of the rule that it met; zero: none.
    pub(crate) slot: u32,
    /// [`shaper_common::trace::fate`] bits.
    pub(crate) fates: u32,
    /// Delay that the packet was given.
    pub(crate) delay_ns: u64,
    /// Delay that its copy was given.
    pub(crate) copy_delay_ns: u64,
}

impl Outcome {
    /// The outcome of a packet that has but one fate.
    #[inline(always)]
    pub(crate) fn of(arrival_ns: u64, fates: u32) -> Self {
        Self { arrival_ns, fates, ..Self::default() }
    }
}

/// `fate` if a bit of what departs is flipped, else no bit.
#[inline(always)]
pub(crate) fn if_corrupted(departure: Departure, fate: u32) -> u32 {
    is_less(0, u64::from(departure.corrupt)) as u32 * fate
}

/// `fate` where `flag` is 1, no bit where it is 0.
#[inline(always)]
pub(crate) fn if_set(flag: u64, fate: u32) -> u32 {
    flag as u32 * fate
}

/// Tells of a packet, if somebody wants to know.
///
/// To be called in one place of a program, whatever became of the packet: the kernel's verifier goes through all of this for
/// each call.
#[inline(always)]
pub(crate) fn tell(ctx: &TcContext, frame: Frame, outcome: Outcome) {
    let until_ns = maps::told_until_ns();
    if until_ns == 0 {
        return;
    }
    let arrival_ns = match outcome.arrival_ns {
        // SAFETY: no arguments.
        0 => unsafe { bpf_ktime_get_ns() },
        arrival_ns => arrival_ns,
    };
    if arrival_ns >= until_ns {
        return;
    }
    maps::tell(|event| {
        event.arrival_ns = arrival_ns;
        event.delay_ns = outcome.delay_ns;
        event.wire_bytes = frame.wire_bytes;
        event.wire_packets = frame.wire_packets;
        event.copy_delay_ns = outcome.copy_delay_ns;
        event.fates = outcome.fates;
        event.slot = outcome.slot;
        event.reserved = 0;
        event.head_len = packet::load_head(ctx, &mut event.head);
    });
}
