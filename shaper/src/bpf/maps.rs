//! Typed access to the maps of one attachment.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use shaper_common::abi::{self, Counters, Link, Plain, RelayReport, Rule, RuleState};

use super::object::Error;
use super::sys;

/// The only rule there is: the one for all peers.
const RULE: u32 = 0;

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
            let (name, _) = sys::map_info(map.as_fd())?;
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

    fn read<T: Plain>(&self, name: &str) -> Result<Option<T>, Error> {
        let map = self.existing(name, "read")?;
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: as many bytes as `T` has, all zero before.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
        let read = sys::map_lookup(map, &0u32.to_ne_bytes(), bytes).map_err(|source| Error::Map {
            operation: "read",
            name: name.to_owned(),
            source,
        })?;
        // SAFETY: every bit pattern is a valid `Plain` value.
        Ok(read.map(|()| unsafe { value.assume_init() }))
    }

    fn write<T: Plain>(&self, name: &str, value: &T) -> Result<(), Error> {
        let map = self.existing(name, "write")?;
        // SAFETY: a `Plain` value has no padding, so all its bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        sys::map_update(map, &RULE.to_ne_bytes(), bytes).map_err(|source| Error::Map {
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
        let (_, value_size) = sys::map_info(map).map_err(|source| Error::Map {
            operation: "read",
            name: abi::map::LINK.to_owned(),
            source,
        })?;
        let mut value = vec![0; value_size as usize];
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

    /// The rule, when there is one.
    pub fn rule(&self) -> Result<Option<Rule>, Error> {
        self.read(abi::map::RULES)
    }

    /// Swaps the rule as a whole: no packet sees half of it.
    pub fn set_rule(&self, rule: &Rule) -> Result<(), Error> {
        self.write(abi::map::RULES, rule)
    }

    /// What the rule remembers; only with an engine that decides with our core.
    pub fn state(&self) -> Result<Option<RuleState>, Error> {
        self.read(abi::map::STATES)
    }

    /// What the relay says of itself.
    pub fn relay_report(&self) -> Result<Option<RelayReport>, Error> {
        self.read(abi::map::RELAY)
    }

    /// Lays out the relay's report, before there is a relay.
    pub fn set_relay_report(&self, report: &RelayReport) -> Result<(), Error> {
        self.write(abi::map::RELAY, report)
    }

    /// What happened to the packets, summed over the CPUs.
    pub fn counters(&self) -> Result<Counters, Error> {
        let name = abi::map::COUNTERS;
        let error = |source| Error::Map { operation: "read", name: name.to_owned(), source };
        let map = self.existing(name, "read")?;
        let cpus = possible_cpus().map_err(error)?;
        let mut values = vec![Counters::default(); cpus];
        let len = size_of_val(values.as_slice());
        // SAFETY: as many bytes as the vector has; `Counters` is `Plain` and a multiple of the 8 bytes to which the
        // kernel rounds a per-CPU value.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), len) };
        sys::map_lookup(map, &RULE.to_ne_bytes(), bytes).map_err(error)?;
        Ok(values.iter().fold(Counters::default(), |sum, one| sum.plus(one)))
    }
}

/// CPUs that a per-CPU value has room for: one more than the last of /sys/devices/system/cpu/possible.
fn possible_cpus() -> io::Result<usize> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = list.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<usize>().ok());
    last.map(|last| last + 1)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("CPU list `{}`", list.trim())))
}
