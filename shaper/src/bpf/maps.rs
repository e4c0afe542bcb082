//! Typed access to the maps of one attachment.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use shaper_common::abi::{self, Counters, Entry, Link, Plain, RelayReport, RuleState};
use shaper_common::jitter::TABLE_LEN;
use shaper_common::lookup::Search;

use super::object::Error;
use super::sys;
use crate::plan::rule;
use crate::plan::set::{Set, Slotted};
use crate::shape::Table;

/// Entries that are read or written by one system call.
const BATCH: usize = 4_096;
/// The kernel's own number for what a map cannot do (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// The maps of one attachment, by name.
#[derive(Debug, Default)]
pub struct Maps {
    by_name: BTreeMap<String, OwnedFd>,
}

impl Maps {
    /// The maps that a loaded program uses.
    pub fn of_program(id: u32) -> Result<Self, Error> {
        Self::find(id).map_err(|source| Error::Map {
            operation: "find",
            name: format!("program {id}"),
            source,
        })
    }

    fn find(id: u32) -> io::Result<Self> {
        let program = sys::prog_fd_by_id(id)?;
        let mut maps = Self::default();
        for id in sys::prog_map_ids(program.as_fd())? {
            let map = sys::map_fd_by_id(id)?;
            let name = sys::map_info(map.as_fd())?.name;
            maps.insert(&name, map);
        }
        Ok(maps)
    }

    pub(super) fn insert(&mut self, name: &str, fd: OwnedFd) {
        self.by_name.insert(name.to_owned(), fd);
    }

    /// The descriptor of a map, by its name in the object.
    #[must_use]
    pub fn fd(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.by_name.get(name).map(|fd| fd.as_fd())
    }

    fn existing(&self, name: &str, operation: &'static str) -> Result<BorrowedFd<'_>, Error> {
        self.fd(name).ok_or_else(|| Error::Map {
            operation,
            name: name.to_owned(),
            source: io::Error::from_raw_os_error(libc::ENOENT),
        })
    }

    /// Whether there is a map of that name with room for so many entries.
    pub(super) fn has_room(&self, name: &str, max_entries: u32) -> bool {
        self.fd(name).is_some_and(|map| sys::map_info(map).is_ok_and(|info| info.max_entries >= max_entries))
    }

    /// Whether there is room for so many slots.
    #[must_use]
    pub fn has_slots(&self, slots: u32) -> bool {
        self.has_room(abi::map::COUNTERS, slots)
    }

    /// The maps that go on to live when other rules come: all but those that hold the rules.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub fn shared(&self) -> io::Result<Self> {
        const OF_RULES: [&str; 5] =
            [abi::map::RULES, abi::map::TABLES, abi::map::SEARCH, abi::map::PREFIXES, abi::map::PORTS];
        self.held(|name| !OF_RULES.contains(&name))
    }

    /// The same maps, held once more.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.held(|_| true)
    }

    fn held(&self, wanted: impl Fn(&str) -> bool) -> io::Result<Self> {
        let mut held = Self::default();
        for (name, fd) in self.by_name.iter().filter(|(name, _)| wanted(name)) {
            held.insert(name, fd.try_clone()?);
        }
        Ok(held)
    }

    fn read<T: Plain>(&self, name: &str) -> Result<Option<T>, Error> {
        self.read_at(name, 0)
    }

    fn read_at<T: Plain>(&self, name: &str, key: u32) -> Result<Option<T>, Error> {
        let map = self.existing(name, "read")?;
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: as many bytes as `T` has, all zero before.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
        let read = sys::map_lookup(map, &key.to_ne_bytes(), bytes).map_err(|source| Error::Map {
            operation: "read",
            name: name.to_owned(),
            source,
        })?;
        // SAFETY: every bit pattern is a valid `Plain` value.
        Ok(read.map(|()| unsafe { value.assume_init() }))
    }

    fn write<T: Plain>(&self, name: &str, value: &T) -> Result<(), Error> {
        self.write_at(name, 0, value)
    }

    fn write_at<T: Plain>(&self, name: &str, key: u32, value: &T) -> Result<(), Error> {
        let map = self.existing(name, "write")?;
        // SAFETY: a `Plain` value has no padding, so all its bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        sys::map_update(map, &key.to_ne_bytes(), bytes).map_err(|source| Error::Map {
            operation: "write",
            name: name.to_owned(),
            source,
        })
    }

    /// What the programs know of the link.
    ///
    /// # Errors
    /// Also when another version laid the map out.
    pub fn link(&self) -> Result<Link, Error> {
        let map = self.existing(abi::map::LINK, "read")?;
        let info = sys::map_info(map).map_err(|source| Error::Map {
            operation: "read",
            name: abi::map::LINK.to_owned(),
            source,
        })?;
        let mut value = vec![0; info.value_size as usize];
        sys::map_lookup(map, &0u32.to_ne_bytes(), &mut value).map_err(|source| Error::Map {
            operation: "read",
            name: abi::map::LINK.to_owned(),
            source,
        })?;
        let found = value.first_chunk().map_or(0, |version| u32::from_ne_bytes(*version));
        if found != abi::ABI_VERSION || value.len() != size_of::<Link>() {
            return Err(Error::AbiVersion { found, expected: abi::ABI_VERSION });
        }
        Ok(self.read(abi::map::LINK)?.unwrap_or_default())
    }

    /// Tells the programs of the link.
    pub fn set_link(&self, link: &Link) -> Result<(), Error> {
        self.write(abi::map::LINK, link)
    }

    /// The rules with their slots, by slot; their tables have the numbers that they have in this process.
    pub fn rules(&self) -> Result<Vec<(u32, Entry)>, Error> {
        let mut rules = Vec::new();
        self.each::<Entry>(abi::map::RULES, 1, |slot, entry| rules.push((slot, entry[0])))?;
        rules.sort_by_key(|(slot, _)| *slot);
        self.number_tables(&mut rules)?;
        Ok(rules)
    }

    /// Reads all of a map whose keys are slots, and whose values are `per_key` of `T` each, many to a system call.
    fn each<T: Plain + Default>(
        &self,
        name: &str,
        per_key: usize,
        mut each: impl FnMut(u32, &[T]),
    ) -> Result<(), Error> {
        let error = |source| Error::Map { operation: "read", name: name.to_owned(), source };
        let map = self.existing(name, "read")?;
        let capacity = sys::map_info(map).map_err(error)?.max_entries as usize;
        let mut slots = vec![0u32; capacity.min(BATCH)];
        let mut values = vec![T::default(); slots.len() * per_key];
        let (mut cursor, mut more) = (None, true);
        while more {
            let len = size_of_val(values.as_slice());
            // SAFETY: as many bytes as the vector has; every bit pattern is a valid `Plain` value.
            let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), len) };
            let before = cursor;
            let count;
            (count, more) = match sys::map_lookup_batch(map, &mut cursor, &mut slots, bytes) {
                // One bucket of a hash has more entries than there is room for.
                Err(errno) if errno.raw_os_error() == Some(libc::ENOSPC) => {
                    slots.resize(slots.len() * 2, 0);
                    values.resize(slots.len() * per_key, T::default());
                    (cursor, more) = (before, true);
                    continue;
                }
                read => read.map_err(error)?,
            };
            slots
                .iter()
                .zip(values.chunks(per_key))
                .take(count)
                .for_each(|(slot, values)| each(*slot, values));
        }
        Ok(())
    }

    /// From places in the map of tables to the numbers of this process.
    fn number_tables(&self, rules: &mut [(u32, Entry)]) -> Result<(), Error> {
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, Entry { rule, .. }) in rules {
            let Some(place) = rule::table_of(rule) else { continue };
            rule.table = match numbers.get(&place) {
                Some(number) => *number,
                None => {
                    let values = self.read_at::<[i16; TABLE_LEN]>(abi::map::TABLES, place)?;
                    let number = values.map_or(u32::MAX, |values| Table::of(&values).number());
                    *numbers.entry(place).or_insert(number)
                }
            };
        }
        Ok(())
    }

    /// The rule in a slot as it is there, the place of its table included.
    pub fn rule(&self, slot: u32) -> Result<Option<Entry>, Error> {
        self.read_at(abi::map::RULES, slot)
    }

    /// Swaps the rule in a slot as a whole: no packet sees half of it. One with a table of delays comes by [`Self::fill`] only.
    pub fn set_rule(&self, slot: u32, entry: &Entry) -> Result<(), Error> {
        self.write_at(abi::map::RULES, slot, entry)
    }

    /// Fills the maps that hold the rules; to be done before a program reads them.
    pub fn fill(&self, set: &Set) -> Result<(), Error> {
        let mut entries: Vec<(u32, Entry)> = set.rules.iter().map(|rule| (rule.slot, rule.entry)).collect();
        let tables: Vec<(u32, [i16; TABLE_LEN])> =
            (0..).zip(set.tables()).map(|(place, table)| (place, *table.values())).collect();
        let places: BTreeMap<u32, u32> = set.tables().iter().map(|table| table.number()).zip(0..).collect();
        for (_, Entry { rule, .. }) in &mut entries {
            if let Some(number) = rule::table_of(rule) {
                rule.table = places.get(&number).copied().unwrap_or(u32::MAX);
            }
        }
        self.write_all(abi::map::TABLES, &tables)?;
        self.write_all(abi::map::RULES, &entries)?;
        self.write_all(abi::map::PREFIXES, &set.table.prefixes)?;
        self.write_all(abi::map::PORTS, &set.table.ports)?;
        self.write::<Search>(abi::map::SEARCH, &set.table.search)
    }

    fn write_all<K: Plain, V: Plain>(&self, name: &str, pairs: &[(K, V)]) -> Result<(), Error> {
        let map = self.existing(name, "write")?;
        for pairs in pairs.chunks(BATCH) {
            let keys: Vec<K> = pairs.iter().map(|(key, _)| *key).collect();
            let values: Vec<V> = pairs.iter().map(|(_, value)| *value).collect();
            sys::map_update_batch(map, bytes_of(&keys), bytes_of(&values), pairs.len() as u32)
                .map_err(|source| Error::Map { operation: "write", name: name.to_owned(), source })?;
        }
        Ok(())
    }

    /// Forgets what the rule that had a slot before has left there.
    pub fn wipe(&self, rule: &Slotted) -> Result<(), Error> {
        if self.fd(abi::map::STATES).is_some() {
            self.write_at(abi::map::STATES, rule.slot, &RuleState::default())?;
        }
        let cpus = vec![Counters::default(); possible_cpus().map_err(of_counters("write"))?];
        let map = self.existing(abi::map::COUNTERS, "write")?;
        sys::map_update(map, &rule.slot.to_ne_bytes(), bytes_of(&cpus)).map_err(of_counters("write"))
    }

    /// Takes a rule's state and counters over from maps that had less room.
    pub fn take_over(&self, from: &Self, slot: u32) -> Result<(), Error> {
        if let (Some(_), Some(state)) = (self.fd(abi::map::STATES), from.state(slot)?) {
            self.write_at(abi::map::STATES, slot, &state)?;
        }
        let map = self.existing(abi::map::COUNTERS, "write")?;
        let cpus = from.counters_of_cpus(slot)?;
        sys::map_update(map, &slot.to_ne_bytes(), bytes_of(&cpus)).map_err(of_counters("write"))
    }

    /// What a rule remembers; `None` with an engine that does not decide with our core.
    pub fn state(&self, slot: u32) -> Result<Option<RuleState>, Error> {
        match self.fd(abi::map::STATES) {
            Some(_) => self.read_at(abi::map::STATES, slot),
            None => Ok(None),
        }
    }

    /// What the relay says of itself.
    pub fn relay_report(&self) -> Result<Option<RelayReport>, Error> {
        self.read(abi::map::RELAY)
    }

    /// Lays out the relay's report, before there is a relay.
    pub fn set_relay_report(&self, report: &RelayReport) -> Result<(), Error> {
        self.write(abi::map::RELAY, report)
    }

    /// What happened to the packets that met the rule in a slot, or none for slot 0, summed over the CPUs.
    pub fn counters(&self, slot: u32) -> Result<Counters, Error> {
        let cpus = self.counters_of_cpus(slot)?;
        Ok(cpus.iter().fold(Counters::default(), |sum, one| sum.plus(one)))
    }

    /// The same of all slots.
    pub fn all_counters(&self) -> Result<Vec<Counters>, Error> {
        let name = abi::map::COUNTERS;
        let cpus = possible_cpus().map_err(of_counters("read"))?;
        let mut all = Vec::new();
        let sum = |cpus: &[Counters]| cpus.iter().fold(Counters::default(), |sum, one| sum.plus(one));
        match self.each::<Counters>(name, cpus, |_, cpus| all.push(sum(cpus))) {
            // Before Linux 5.13 per-CPU arrays are read one by one.
            Err(Error::Map { source, .. }) if source.raw_os_error() == Some(ENOTSUPP) => {
                let map = self.existing(name, "read")?;
                let slots = sys::map_info(map).map_err(of_counters("read"))?.max_entries;
                (0..slots).map(|slot| self.counters(slot)).collect()
            }
            read => read.map(|()| all),
        }
    }

    /// What all rules remember; none with an engine that does not decide with our core.
    pub fn all_states(&self) -> Result<Vec<RuleState>, Error> {
        let mut all = Vec::new();
        if self.fd(abi::map::STATES).is_some() {
            self.each::<RuleState>(abi::map::STATES, 1, |_, state| all.push(state[0]))?;
        }
        Ok(all)
    }

    fn counters_of_cpus(&self, slot: u32) -> Result<Vec<Counters>, Error> {
        let map = self.existing(abi::map::COUNTERS, "read")?;
        let cpus = possible_cpus().map_err(of_counters("read"))?;
        let mut values = vec![Counters::default(); cpus];
        let len = size_of_val(values.as_slice());
        // SAFETY: as many bytes as the vector has; `Counters` is `Plain` and a multiple of the 8 bytes to which the
        // kernel rounds a per-CPU value.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), len) };
        sys::map_lookup(map, &slot.to_ne_bytes(), bytes).map_err(of_counters("read"))?;
        Ok(values)
    }
}

fn of_counters(operation: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Map { operation, name: abi::map::COUNTERS.to_owned(), source }
}

fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` values have no padding, so all their bytes are initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

/// CPUs that a per-CPU value has room for: one more than the last of /sys/devices/system/cpu/possible.
fn possible_cpus() -> io::Result<usize> {
    static CPUS: OnceLock<usize> = OnceLock::new();
    if let Some(cpus) = CPUS.get() {
        return Ok(*cpus);
    }
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = list.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<usize>().ok());
    last.map(|last| *CPUS.get_or_init(|| last + 1))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("CPU list `{}`", list.trim())))
}
