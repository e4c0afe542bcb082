//! What the kernel programs tell of each packet while somebody traces.
//!
//! The events go through a ring buffer, which has one reader. Whoever holds the [`Lease`] is that reader; one that is killed
//! stops renewing it, and the programs fall silent.

use crate::abi::Plain;

/// Bytes of the ring buffer; a power of two and a multiple of any page size.
pub const RING_BYTES: u32 = 1 << 20;

/// Who reads the events, in a memory-mappable array of one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// `CLOCK_MONOTONIC` time until which events are wanted; zero: nobody wants them. Changed by compare-and-exchange only.
    pub until_ns: u64,
    /// Process id of the reader, as its own pid namespace numbers it.
    pub pid: u64,
    /// Events that found the ring buffer full, ever.
    pub missed: u64,
}

/// First bytes of each packet that are told: Ethernet, IPv6, and TCP with its options fit.
pub const HEAD: usize = 96;

/// What became of one packet.
///
/// The delays are apart, for two zeros side by side become a call of `memset`, a loop that the verifier follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC` time at which the packet met the program.
    pub arrival_ns: u64,
    /// Delay that it was given.
    pub delay_ns: u64,
    /// Bytes on the wire.
    pub wire_bytes: u32,
    /// Packets on the wire; more than one for a GSO frame.
    pub wire_packets: u32,
    /// Delay that its copy was given.
    pub copy_delay_ns: u64,
    /// [`fate`] bits.
    pub fates: u32,
    /// The rule that it met.
    pub slot: u32,
    /// How many bytes of `head` are the packet's, at most [`HEAD`].
    pub head_len: u32,
    /// Zero.
    pub reserved: u32,
    /// The packet's first bytes, from its Ethernet header on; behind `head_len` is whatever was there before.
    pub head: [u8; HEAD],
}

impl Event {
    /// Nothing that became of no packet.
    pub const EMPTY: Self = Self {
        arrival_ns: 0,
        delay_ns: 0,
        wire_bytes: 0,
        wire_packets: 0,
        copy_delay_ns: 0,
        fates: 0,
        slot: 0,
        head_len: 0,
        reserved: 0,
        head: [0; HEAD],
    };

    /// The packet's first bytes.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head[..HEAD.min(self.head_len as usize)]
    }
}

/// Bits of [`Event::fates`].
pub mod fate {
    /// It is lost, as asked.
    pub const LOST: u32 = 1;
    /// The bottleneck's queue was full.
    pub const QUEUE_FULL: u32 = 1 << 1;
    /// It was given a departure time.
    pub const DELAYED: u32 = 1 << 2;
    /// It is sent twice.
    pub const DUPLICATED: u32 = 1 << 3;
    /// One bit of it is flipped.
    pub const CORRUPTED: u32 = 1 << 4;
    /// It goes ahead of others.
    pub const REORDERED: u32 = 1 << 5;
    /// It is marked congestion experienced.
    pub const MARKED: u32 = 1 << 6;
    /// `netem` decides what becomes of it.
    pub const GIVEN_TO_NETEM: u32 = 1 << 7;
    /// Not shaped: not IP, or neighbour discovery.
    pub const PASSED_NOT_IP: u32 = 1 << 8;
    /// Not shaped: the rule's time was over.
    pub const PASSED_EXPIRED: u32 = 1 << 9;
    /// Not shaped: nobody was there to hold it.
    pub const PASSED_UNHELD: u32 = 1 << 10;
    /// The bottleneck's queue was full for its copy.
    pub const COPY_QUEUE_FULL: u32 = 1 << 11;
    /// One bit of its copy is flipped.
    pub const COPY_CORRUPTED: u32 = 1 << 12;
    /// Not shaped: no rule is for it.
    pub const PASSED_UNMATCHED: u32 = 1 << 13;
    /// Dropped or answered, as the rule's filter asks.
    pub const FILTERED: u32 = 1 << 14;
    /// Dropped: nobody was there to hold it, and it must not pass unshaped.
    pub const DROPPED_UNHELD: u32 = 1 << 15;
}

const _: () = {
    assert!(size_of::<Lease>() == 24);
    assert!(size_of::<Event>() == 144 && align_of::<Event>() == 8);
};

// SAFETY: `repr(C)`, integers only, and the size assertions above leave no room for padding.
unsafe impl Plain for Lease {}
// SAFETY: as above.
unsafe impl Plain for Event {}
