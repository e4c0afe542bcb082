//! The values that cross the line between the kernel programs and user space.
//!
//! Integers only, `repr(C)`, no implicit padding: each layout is asserted below, and [`ABI_VERSION`] goes up with any
//! change, so that a binary never misreads the maps that another version left attached.

use crate::jitter::TABLE_LEN;
use crate::lookup::PrefixKey;

/// Version of every layout in this module and in [`crate::lookup`]; stored in [`Link::abi_version`].
pub const ABI_VERSION: u32 = 3;

/// Names of the maps in the object.
pub mod map {
    /// Array of one [`super::Link`].
    pub const LINK: &str = "SHAPER_LINK";
    /// Array of one [`crate::lookup::Search`].
    pub const SEARCH: &str = "SHAPER_SEARCH";
    /// Hash from [`crate::lookup::PrefixKey`] to [`crate::lookup::Match`].
    pub const PREFIXES: &str = "SHAPER_PREFIXES";
    /// Hash from [`crate::lookup::PortKey`] to [`crate::lookup::Candidates`].
    pub const PORTS: &str = "SHAPER_PORTS";
    /// Array of the tables that [`super::Rule::table`] refers to, `[i16; TABLE_LEN]` each ([`crate::jitter::TABLE_LEN`]).
    pub const TABLES: &str = "SHAPER_TABLES";
    /// Hash from a rule's slot to [`super::Entry`]; a hash, because its update swaps the whole value at once.
    pub const RULES: &str = "SHAPER_RULES";
    /// Array from a rule's slot to [`super::RuleState`].
    pub const STATES: &str = "SHAPER_STATES";
    /// Per-CPU array from a rule's slot to [`super::Counters`]; slot 0 has the packets that met no rule.
    pub const COUNTERS: &str = "SHAPER_COUNTERS";
    /// Memory-mappable array of one [`super::RelayReport`].
    pub const RELAY: &str = "SHAPER_RELAY";
    /// Memory-mappable array of one [`crate::trace::Lease`].
    pub const LEASE: &str = "SHAPER_LEASE";
    /// Ring buffer of [`crate::trace::Event`].
    pub const TRACE: &str = "SHAPER_TRACE";
}

/// Names of the programs in the object, each the entry point of one hook.
pub mod program {
    /// Engine `edt`: stamps the departure time on a clone and sends it to the link's `fq`.
    pub const EDT: &str = "shaper_edt";
    /// Engine `edt`, in front of the other where packets are to be damaged: matches those whose checksums must be finished.
    pub const FINISH: &str = "shaper_finish";
    /// Engine `netem`: picks the htb class.
    pub const NETEM: &str = "shaper_netem";
    /// Engine `relay`: decides, and steers what must wait into the TAP.
    pub const STEER: &str = "shaper_steer";
    /// Engine `relay`, on the TAP's egress: writes the [`super::HoldHeader`].
    pub const STAMP: &str = "shaper_stamp";
    /// Engine `relay`, on the TAP's ingress: gives held ingress packets back to the link.
    pub const RETURN: &str = "shaper_return";
    /// Engines `edt` and `netem`, on the link's ingress: matches what goes to the ifb.
    pub const DIVERT: &str = "shaper_divert";
    /// Behind the one that decides, where packets are to be answered: sends the sender a reset or an ICMP error.
    pub const ANSWER: &str = "shaper_answer";
    /// On the hook that answers come back by: takes their mark off.
    pub const FORGET: &str = "shaper_forget";
}

/// How one destination is shaped.
///
/// A probability is in 2^32nds: zero is never, `u32::MAX` is always ([`crate::probability::happens`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Propagation delay, one way.
    pub latency_ns: u64,
    /// Spread of the delay: half width of the uniform distribution, standard deviation of the others. Zero: none.
    pub jitter_ns: u64,
    /// Bottleneck rate in bytes on the wire per second. Zero: unlimited.
    pub rate_bytes_per_sec: u64,
    /// Longest a packet may wait for the bottleneck and be serialised; later ones are dropped. Zero only without a rate.
    pub queue_ns: u64,
    /// What the bottleneck may send at once after it was idle, as the time that takes at its rate. Zero: nothing.
    pub burst_ns: u64,
    /// Packets that wait longer than this for the bottleneck are marked congestion experienced (RFC 3168). Zero: none.
    pub ecn_ns: u64,
    /// Seed of every random draw of this rule.
    pub seed: u64,
    /// `CLOCK_MONOTONIC` time from which the rule no longer applies. Zero: never.
    pub expires_ns: u64,
    /// `CLOCK_MONOTONIC` time from which [`Rule::filter`] applies. Zero: from the beginning.
    pub filter_from_ns: u64,
    /// Index that [`RuleState::sequence`] had when the rule came: its packets are numbered from there.
    pub first_index: u64,
    /// [`crate::loss::Model::Pattern`]: packet *n* is lost where bit *n* modulo [`Rule::loss_pattern_len`] is set.
    pub loss_pattern: u64,
    /// Length of the pattern, 1 to 64.
    pub loss_pattern_len: u32,
    /// A [`crate::loss::Model`] discriminant.
    pub loss_model: u32,
    /// Probabilities of the model, in the order of its variant's documentation.
    pub loss: [u32; 5],
    /// Probability that a packet's loss is that of the packet before, not drawn anew.
    pub loss_correlation: u32,
    /// Probability that a packet is sent twice.
    pub duplicate: u32,
    /// As [`Rule::loss_correlation`], of duplicates.
    pub duplicate_correlation: u32,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: u32,
    /// As [`Rule::loss_correlation`], of corruption.
    pub corrupt_correlation: u32,
    /// Probability that a packet goes without latency and jitter, and so overtakes those before it.
    pub reorder: u32,
    /// As [`Rule::loss_correlation`], of reordering.
    pub reorder_correlation: u32,
    /// Only every so manieth packet since the last reordered one may be reordered. Zero and one: any; at most 255.
    pub reorder_gap: u32,
    /// Probability that a packet's jitter is that of the packet before.
    pub jitter_correlation: u32,
    /// A [`crate::jitter::Distribution`] discriminant.
    pub distribution: u32,
    /// Bytes that each packet takes on the bottleneck beyond its own, as an `i32`.
    pub overhead_bytes: u32,
    /// The bottleneck sends cells of so many bytes, the last one filled up. Zero: no cells.
    pub cell_bytes: u32,
    /// Bytes that each cell takes beyond its own, as an `i32`.
    pub cell_overhead_bytes: u32,
    /// [`rule_flag`] bits.
    pub flags: u32,
    /// Part of the random draws, so that two rules of one seed differ.
    pub id: u32,
    /// A [`crate::filter::Filter`] discriminant.
    pub filter: u32,
    /// Where the rule's table is in [`map::TABLES`], with [`crate::jitter::Distribution::Table`]; else zero.
    pub table: u32,
}

/// Bits of [`Rule::flags`].
pub mod rule_flag {
    /// No packet departs before one that arrived earlier.
    pub const KEEP_ORDER: u32 = 1;
}

/// One rule of a set: what the programs do, and what only user space reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What happens to its packets.
    pub rule: Rule,
    /// What the user said of it that the programs need not know.
    pub asked: Asked,
}

/// What the user said of a rule, as far as [`Rule`] and the tables do not say it as the user did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its peers, valid with [`asked::PREFIX`]; else all of both families.
    pub prefix: PrefixKey,
    /// The peer's port; zero: any.
    pub port: u16,
    /// `IPPROTO_*`, valid with [`asked::PROTOCOL`].
    pub protocol: u8,
    /// [`asked`] bits.
    pub flags: u8,
    /// Queue bound in bytes; zero: given otherwise, or not given.
    pub queue_bytes: u32,
    /// Queue bound in full-size packets; zero: given otherwise, or not given.
    pub queue_packets: u32,
    /// Burst in bytes; zero: none.
    pub burst_bytes: u32,
    /// `CLOCK_MONOTONIC` time at which the rule came as it is.
    pub since_ns: u64,
    /// The counters then: what became of packets under it is the difference.
    pub before: Counters,
}

/// Bits of [`Asked::flags`].
pub mod asked {
    /// The rule is for one protocol.
    pub const PROTOCOL: u8 = 1;
    /// The rule has a shape, and not only a filter.
    pub const SHAPE: u8 = 1 << 1;
    /// The rule is for the peers of one prefix.
    pub const PREFIX: u8 = 1 << 2;
}

/// What a rule remembers from packet to packet; changed by atomic operations only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleState {
    /// When the bottleneck will have sent all it has accepted.
    pub free_at_ns: u64,
    /// The next packet's index and what its draws depend on ([`crate::memory::Memory`]).
    pub sequence: u64,
    /// The latest departure given, for [`rule_flag::KEEP_ORDER`].
    pub last_at_ns: u64,
}

/// What happened to the packets that met a rule, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets seen (a GSO frame counts as the packets it becomes on the wire).
    pub packets: u64,
    /// Bytes seen, as on the wire.
    pub bytes: u64,
    /// Packets given a departure time.
    pub delayed_packets: u64,
    /// Bytes given a departure time.
    pub delayed_bytes: u64,
    /// Sum of the delays given, for the mean: `delay_ns_sum / delayed_frames`.
    pub delay_ns_sum: u64,
    /// Frames given a departure time (a GSO frame counts once).
    pub delayed_frames: u64,
    /// Of them, those that were sent ahead of others, and so without propagation delay.
    pub reordered_frames: u64,
    /// Sum of the times that they took to come through the bottleneck, which are part of [`Counters::delay_ns_sum`].
    pub queue_ns_sum: u64,
    /// Bytes that they took on the bottleneck.
    pub link_bytes: u64,
    /// Time that the bottleneck sent them.
    pub link_busy_ns: u64,
    /// Time that the bottleneck had nothing to send, of each silence only its beginning ([`crate::bottleneck::silence_ns`]).
    pub link_idle_ns: u64,
    /// Packets dropped because the bottleneck's queue was full, copies included.
    pub queue_drops: u64,
    /// Packets lost, as the rule asks.
    pub lost: u64,
    /// Packets sent twice.
    pub duplicated: u64,
    /// Packets of which a bit was flipped, copies included.
    pub corrupted: u64,
    /// Packets sent ahead of others.
    pub reordered: u64,
    /// Packets marked congestion experienced.
    pub marked: u64,
    /// Packets dropped or answered, as the rule's filter asks.
    pub filtered: u64,
    /// Packets not shaped: no rule is for them.
    pub passed_unmatched: u64,
    /// Packets not shaped: neighbour discovery and other frames that are not IP.
    pub passed_not_ip: u64,
    /// Packets not shaped: the rule's time was over.
    pub passed_expired: u64,
    /// Packets not shaped: nobody was there to hold them.
    pub passed_unheld: u64,
    /// Packets dropped: nobody was there to hold them, and they must not pass ([`link_flag::FAIL_CLOSED`]).
    pub dropped_unheld: u64,
}

impl Counters {
    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.each(before, u64::wrapping_sub)
    }

    /// The sum of two CPUs' counters.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.each(other, u64::wrapping_add)
    }

    fn each(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            packets: of(self.packets, other.packets),
            bytes: of(self.bytes, other.bytes),
            delayed_packets: of(self.delayed_packets, other.delayed_packets),
            delayed_bytes: of(self.delayed_bytes, other.delayed_bytes),
            delay_ns_sum: of(self.delay_ns_sum, other.delay_ns_sum),
            delayed_frames: of(self.delayed_frames, other.delayed_frames),
            reordered_frames: of(self.reordered_frames, other.reordered_frames),
            queue_ns_sum: of(self.queue_ns_sum, other.queue_ns_sum),
            link_bytes: of(self.link_bytes, other.link_bytes),
            link_busy_ns: of(self.link_busy_ns, other.link_busy_ns),
            link_idle_ns: of(self.link_idle_ns, other.link_idle_ns),
            queue_drops: of(self.queue_drops, other.queue_drops),
            lost: of(self.lost, other.lost),
            duplicated: of(self.duplicated, other.duplicated),
            corrupted: of(self.corrupted, other.corrupted),
            reordered: of(self.reordered, other.reordered),
            marked: of(self.marked, other.marked),
            filtered: of(self.filtered, other.filtered),
            passed_unmatched: of(self.passed_unmatched, other.passed_unmatched),
            passed_not_ip: of(self.passed_not_ip, other.passed_not_ip),
            passed_expired: of(self.passed_expired, other.passed_expired),
            passed_unheld: of(self.passed_unheld, other.passed_unheld),
            dropped_unheld: of(self.dropped_unheld, other.dropped_unheld),
        }
    }
}

/// What the programs must know of the link they are attached to, and what `clear` must know to undo.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// [`ABI_VERSION`] of the object that wrote this.
    pub abi_version: u32,
    /// An [`Engine`] discriminant.
    pub engine: u32,
    /// The shaped link.
    pub ifindex: u32,
    /// A [`Direction`] discriminant.
    pub direction: u32,
    /// The TAP of `relay`, or the ifb of an ingress shape; zero: none.
    pub holder_ifindex: u32,
    /// `netem`: handle of the htb qdisc, in which a rule's slot is the minor number of its class.
    pub htb: u32,
    /// `relay`: heartbeats older than this mean that nobody reads the TAP.
    pub stale_after_ns: u64,
    /// [`undo`] bits: what `clear` has to take back.
    pub undo: u32,
    /// The link's `gso_max_segs` before, valid with [`undo::GSO_MAX_SEGS`].
    pub gso_max_segs_before: u32,
    /// The link's `gso_max_segs` as we set it, valid with [`undo::GSO_MAX_SEGS`].
    pub gso_max_segs_set: u32,
    /// The link's MTU before, valid with [`undo::MTU`].
    pub mtu_before: u32,
    /// The link's MTU as we set it, valid with [`undo::MTU`].
    pub mtu_set: u32,
    /// The `gso_max_segs` of the link's peer before, valid with [`undo::PEER_GSO_MAX_SEGS`].
    pub peer_gso_max_segs_before: u32,
    /// The `gso_max_segs` of the link's peer as we set it, valid with [`undo::PEER_GSO_MAX_SEGS`].
    pub peer_gso_max_segs_set: u32,
    /// Rules in force; zero: none yet, and every packet passes.
    pub rules: u32,
    /// 1 when the user asked for this engine, 0 when it was picked.
    pub engine_asked: u32,
    /// [`link_flag`] bits.
    pub flags: u32,
}

/// Bits of [`Link::flags`].
pub mod link_flag {
    /// ARP and neighbour discovery are shaped as any packet, by the rule for all peers.
    pub const SHAPE_NEIGHBOURS: u32 = 1;
    /// Nothing passes, whatever it is: the link looks as if its cable were pulled.
    pub const DOWN: u32 = 1 << 1;
    /// What nobody can hold is dropped, and does not pass unshaped.
    pub const FAIL_CLOSED: u32 = 1 << 2;
}

/// Bits of [`Link::undo`].
pub mod undo {
    /// We added the clsact qdisc.
    pub const CLSACT: u32 = 1;
    /// We changed `gso_max_segs`.
    pub const GSO_MAX_SEGS: u32 = 1 << 1;
    /// We set the root qdisc.
    pub const ROOT_QDISC: u32 = 1 << 2;
    /// We made the device in [`super::Link::holder_ifindex`].
    pub const HOLDER: u32 = 1 << 3;
    /// We switched the loopback's `route_localnet` on.
    pub const ROUTE_LOCALNET: u32 = 1 << 4;
    /// We switched the loopback's `accept_local` on.
    pub const ACCEPT_LOCAL: u32 = 1 << 5;
    /// We changed the MTU.
    pub const MTU: u32 = 1 << 6;
    /// We changed the `gso_max_segs` of the link's peer.
    pub const PEER_GSO_MAX_SEGS: u32 = 1 << 7;
}

/// Who holds a packet until its departure time; discriminants of [`Link::engine`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The `fq` qdisc, by `skb->tstamp`.
    Edt = 1,
    /// A `netem` qdisc under an `htb` class.
    Netem = 2,
    /// A process of ours, through a TAP.
    Relay = 3,
}

/// Which way packets go, seen from the namespace; discriminants of [`Link::direction`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of the namespace.
    Egress = 1,
    /// Into the namespace.
    Ingress = 2,
}

/// What precedes each frame on the TAP: when the relay must send it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldHeader {
    /// `CLOCK_MONOTONIC` departure time.
    pub departure_ns: u64,
    /// Where to flip a bit ([`crate::corrupt`]); zero: nowhere.
    pub corrupt: u32,
    /// Zero; keeps the frame behind it 16-byte aligned.
    pub reserved: u32,
}

/// Buckets of a [`RelayReport::late`] histogram.
pub const LATE_BUCKETS: usize = 40;

/// What the relay says of itself, through a memory mapping: `show` and the classifier read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayReport {
    /// `CLOCK_MONOTONIC` time of the last heartbeat.
    pub beat_ns: u64,
    /// Process id, as the relay's own pid namespace numbers it.
    pub pid: u64,
    /// Frames held now.
    pub held_frames: u64,
    /// Bytes held now.
    pub held_bytes: u64,
    /// Frames it may hold; `apply` writes this one, also while the relay runs.
    pub held_frames_max: u64,
    /// Bytes it may hold; `apply` writes this one, also while the relay runs.
    pub held_bytes_max: u64,
    /// Frames sent on.
    pub sent_frames: u64,
    /// Bytes sent on.
    pub sent_bytes: u64,
    /// Frames dropped because it may hold no more.
    pub full_drops: u64,
    /// Frames the link refused.
    pub send_errors: u64,
    /// Frames by lateness (time sent less departure time): bucket 0 is under 1 ns, bucket `k` is `[2^(k-1), 2^k)` ns.
    pub late: [u64; LATE_BUCKETS],
    /// Sum of all lateness.
    pub late_ns_sum: u64,
}

impl Default for RelayReport {
    fn default() -> Self {
        Self {
            beat_ns: 0,
            pid: 0,
            held_frames: 0,
            held_bytes: 0,
            held_frames_max: 0,
            held_bytes_max: 0,
            sent_frames: 0,
            sent_bytes: 0,
            full_drops: 0,
            send_errors: 0,
            late: [0; LATE_BUCKETS],
            late_ns_sum: 0,
        }
    }
}

const _: () = {
    assert!(size_of::<Rule>() == 184 && align_of::<Rule>() == 8);
    assert!(size_of::<RuleState>() == 24);
    assert!(size_of::<Counters>() == 184);
    assert!(size_of::<Asked>() == 48 + size_of::<Counters>() && align_of::<Asked>() == 8);
    assert!(size_of::<Entry>() == size_of::<Rule>() + size_of::<Asked>());
    assert!(size_of::<Link>() == 72 && align_of::<Link>() == 8);
    assert!(size_of::<HoldHeader>() == 16);
    assert!(size_of::<RelayReport>() == 88 + 8 * LATE_BUCKETS);
};

/// Values that may be read from and written to a map as bytes.
///
/// # Safety
/// The type has no padding, no pointers and no invalid bit patterns.
pub unsafe trait Plain: Copy {}

// SAFETY: `repr(C)`, integers only, and the size assertions above leave no room for padding.
unsafe impl Plain for Rule {}
// SAFETY: as above.
unsafe impl Plain for Entry {}
// SAFETY: as above.
unsafe impl Plain for RuleState {}
// SAFETY: as above.
unsafe impl Plain for Counters {}
// SAFETY: as above.
unsafe impl Plain for Link {}
// SAFETY: as above.
unsafe impl Plain for RelayReport {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for [i16; TABLE_LEN] {}
