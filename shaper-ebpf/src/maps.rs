//! The maps, each behind a function that says what it means.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use shaper_common::abi::{ABI_VERSION, Counters, Entry, Link, RelayReport, Rule, RuleState};
use shaper_common::decide::{Shared, State};
use shaper_common::jitter::{self, TABLE_LEN};
use shaper_common::lookup::{Candidates, Match, PortKey, PrefixKey, Search, Tables};
use shaper_common::trace::{Event, Lease, RING_BYTES};

#[map]
static SHAPER_LINK: Array<Link> = Array::with_max_entries(1, 0);
// User space makes those that depend on the number of rules as large as it needs them.
#[map]
static SHAPER_SEARCH: Array<Search> = Array::with_max_entries(1, 0);
#[map]
static SHAPER_PREFIXES: HashMap<PrefixKey, Match> = HashMap::with_max_entries(1, 0);
#[map]
static SHAPER_PORTS: HashMap<PortKey, Candidates> = HashMap::with_max_entries(1, 0);
#[map]
static SHAPER_RULES: HashMap<u32, Entry> = HashMap::with_max_entries(1, 0);
#[map]
static SHAPER_TABLES: Array<[i16; TABLE_LEN]> = Array::with_max_entries(1, 0);
#[map]
static SHAPER_STATES: Array<RuleState> = Array::with_max_entries(1, 0);
#[map]
static SHAPER_COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);
#[map]
static SHAPER_RELAY: Array<RelayReport> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SHAPER_LEASE: Array<Lease> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SHAPER_TRACE: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// The link this program is attached for. Every program that is attached to a link reads this, so that the map can be
/// found through the program.
#[inline(always)]
pub(crate) fn link() -> Option<&'static Link> {
    SHAPER_LINK.get(0).filter(|link| link.abi_version == ABI_VERSION)
}

/// Where searches for a peer begin.
#[inline(always)]
pub(crate) fn search() -> Option<&'static Search> {
    SHAPER_SEARCH.get(0)
}

/// The tables that are searched.
pub(crate) struct Hashes;

impl Tables for Hashes {
    #[inline(always)]
    fn prefix(&self, key: &PrefixKey) -> Option<Match> {
        // SAFETY: values are never changed while programs look at them: another rule set comes with maps of its own.
        unsafe { SHAPER_PREFIXES.get(key) }.copied()
    }

    #[inline(always)]
    fn port(&self, key: &PortKey) -> Option<Candidates> {
        // SAFETY: as above.
        unsafe { SHAPER_PORTS.get(key) }.copied()
    }
}

/// The rule in a slot.
#[inline(always)]
pub(crate) fn rule(slot: u32) -> Option<&'static Rule> {
    // SAFETY: the value is replaced as a whole and freed after an RCU grace period; programs run inside one.
    unsafe { SHAPER_RULES.get(&slot) }.map(|entry| &entry.rule)
}

/// The tables of delays that users brought.
pub(crate) struct DelayTables;

impl jitter::Tables for DelayTables {
    #[inline(always)]
    fn value(&self, table: u32, index: usize) -> i16 {
        SHAPER_TABLES.get(table).map_or(0, |values| values[index & (TABLE_LEN - 1)])
    }
}

/// Looks a rule's table up for nothing: a map belongs to a program that refers to it, and in this one user space reads what it told
/// a netem.
#[inline(always)]
pub(crate) fn refer_to_tables(rule: &Rule) {
    if rule.distribution == jitter::Distribution::Table as u32 {
        let _ = black_box(SHAPER_TABLES.get_ptr(rule.table));
    }
}

/// What the rule in a slot remembers.
#[inline(always)]
pub(crate) fn state(slot: u32) -> Option<State<'static, Atomic>> {
    let state = SHAPER_STATES.get_ptr_mut(slot)?;
    // SAFETY: array elements live as long as the program; the fields are only changed by atomic operations.
    let free_at_ns = unsafe { Atomic::from_ptr(&raw mut (*state).free_at_ns) };
    // SAFETY: as above.
    let sequence = unsafe { Atomic::from_ptr(&raw mut (*state).sequence) };
    // SAFETY: as above.
    let last_at_ns = unsafe { Atomic::from_ptr(&raw mut (*state).last_at_ns) };
    Some(State { free_at_ns, sequence, last_at_ns })
}

/// This CPU's counters of the rule in a slot; slot 0 is that of packets that met no rule.
#[inline(always)]
pub(crate) fn counters(slot: u32) -> Option<&'static mut Counters> {
    let counters = SHAPER_COUNTERS.get_ptr_mut(slot)?;
    // SAFETY: the element is this CPU's own, and a program is not preempted by another of ours on one CPU.
    Some(unsafe { &mut *counters })
}

/// When the relay last said that it is alive, `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn relay_beat_ns() -> Option<u64> {
    let report = SHAPER_RELAY.get_ptr(0)?;
    // SAFETY: aligned element of a live map; volatile, because the relay writes it through its mapping.
    Some(unsafe { (&raw const (*report).beat_ns).read_volatile() })
}

/// Until when somebody wants to be told of packets, `CLOCK_MONOTONIC`; zero: nobody does.
#[inline(always)]
pub(crate) fn told_until_ns() -> u64 {
    let Some(lease) = SHAPER_LEASE.get_ptr(0) else {
        return 0;
    };
    // SAFETY: aligned element of a live map; volatile, because the reader writes it through its mapping.
    unsafe { (&raw const (*lease).until_ns).read_volatile() }
}

/// Tells of a packet what `fill` writes, in place, or counts it where there is no room.
#[inline(always)]
pub(crate) fn tell(fill: impl FnOnce(&mut Event)) {
    if let Some(mut entry) = SHAPER_TRACE.reserve::<Event>(0) {
        // SAFETY: an `Event` is integers only, for which the ring's memory is a value whatever it holds.
        fill(unsafe { entry.assume_init_mut() });
        entry.submit(0);
    } else if let Some(lease) = SHAPER_LEASE.get_ptr_mut(0) {
        // SAFETY: array elements live as long as the program; the programs only add to this field.
        unsafe { Atomic::from_ptr(&raw mut (*lease).missed) }.fetch_add(1);
    }
}

/// A map value that several CPUs change at once.
#[repr(transparent)]
pub(crate) struct Atomic(UnsafeCell<u64>);

impl Atomic {
    /// # Safety
    /// `value` is aligned, lives as long as the program, and is only changed by atomic operations.
    #[inline(always)]
    unsafe fn from_ptr(value: *mut u64) -> &'static Self {
        // SAFETY: `repr(transparent)` over a `u64`; the rest is the caller's word.
        unsafe { &*value.cast::<Self>() }
    }
}

impl Shared for Atomic {
    #[inline(always)]
    fn read(&self) -> u64 {
        // SAFETY: valid for reads; volatile, because BPF has no 64-bit atomic load below cpu v4.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    fn compare_exchange(&self, seen: u64, new: u64) -> u64 {
        const ORDER: AtomicOrdering = AtomicOrdering::SeqCst;
        // SAFETY: valid and aligned, as `from_ptr` was promised.
        let (found, _) = unsafe { atomic_cxchg::<u64, ORDER, ORDER>(self.0.get(), seen, new) };
        found
    }

    #[inline(always)]
    fn fetch_add(&self, n: u64) -> u64 {
        // SAFETY: valid and aligned, as `from_ptr` was promised.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(self.0.get(), n) }
    }
}
