//! The compiled kernel programs, embedded in the binary.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya_obj::generated::bpf_insn;
use aya_obj::maps::Map;
use shaper_common::abi;

use super::maps::Maps;
use super::sys::{self, LoadError, MapDef};
use crate::plan::set::Set;

/// As built by `cargo xtask ebpf` and committed, so that a plain `cargo build` needs no eBPF toolchain.
static COMMITTED: &[u8] = include_bytes!("shaper.bpf.o");

/// What went wrong with the programs or their maps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not one that aya-obj can read.
    #[error("cannot read the eBPF object")]
    Parse(#[source] aya_obj::ParseError),
    /// A program refers to a map that is not there.
    #[error("cannot relocate the eBPF object")]
    Relocate(#[source] aya_obj::relocation::EbpfRelocationError),
    /// There is no program of that name.
    #[error("the eBPF object has no program `{0}`")]
    NoProgram(String),
    /// The kernel refused to make a map.
    #[error("cannot create BPF map `{name}`")]
    CreateMap {
        /// Name of the map.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused a program.
    #[error("cannot load BPF program `{name}`{}{log}", if .log.is_empty() { "" } else { ": the verifier says: " })]
    LoadProgram {
        /// Name of the program.
        name: String,
        /// The end of the verifier's log.
        log: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A map could not be read or written.
    #[error("cannot {operation} BPF map `{name}`")]
    Map {
        /// `read`, `write` or `find`.
        operation: &'static str,
        /// Name of the map.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The program's maps are laid out by another version.
    #[error(
        "the programs on this link speak version {found} of the map layout, this binary speaks {expected}"
    )]
    AbiVersion {
        /// What the link's map says.
        found: u32,
        /// [`shaper_common::abi::ABI_VERSION`].
        expected: u32,
    },
}

impl Error {
    /// What a map that cannot be written says.
    pub fn write(name: &str) -> impl FnOnce(io::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::Map { operation: "write", name, source }
    }

    /// The kernel's reason, when it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::CreateMap { source, .. } | Self::LoadProgram { source, .. } | Self::Map { source, .. } => {
                source.raw_os_error()
            }
            Self::Parse(_) | Self::Relocate(_) | Self::NoProgram(_) | Self::AbiVersion { .. } => None,
        }
    }
}

/// A parsed object whose programs can be loaded.
#[derive(Debug)]
pub struct Object {
    object: aya_obj::Object,
}

impl Object {
    /// The object this binary was built with.
    pub fn committed() -> Result<Self, Error> {
        Self::parse(COMMITTED)
    }

    /// Another build of the object, as tests of a fresh build use it.
    pub fn parse(elf: &[u8]) -> Result<Self, Error> {
        Ok(Self { object: aya_obj::Object::parse(elf).map_err(Error::Parse)? })
    }

    /// Makes the maps of the object, with the room that rules need; they live as long as somebody holds them.
    pub fn create_maps(&self, room: &Room) -> Result<Maps, Error> {
        self.create_maps_beside(room, Maps::default())
    }

    /// Makes those maps of the object that are not in `kept`, which may be too small for their place and are then not kept.
    pub fn create_maps_beside(&self, room: &Room, kept: Maps) -> Result<Maps, Error> {
        let mut maps = kept;
        for (name, map) in &self.object.maps {
            let max_entries = room.of(name).unwrap_or(map.max_entries());
            if maps.has_room(name, max_entries) {
                continue;
            }
            let fd = create_map(name, map, max_entries)
                .map_err(|source| Error::CreateMap { name: name.clone(), source })?;
            maps.insert(name, fd);
        }
        Ok(maps)
    }

    /// Binds the programs to `maps`, which must be all the maps that the programs to load refer to.
    pub fn bind(mut self, maps: &Maps) -> Result<Programs, Error> {
        let defs: Vec<(String, i32, Map)> = self
            .object
            .maps
            .iter()
            .filter_map(|(name, map)| Some((name.clone(), maps.fd(name)?.as_raw_fd(), map.clone())))
            .collect();
        let text = self.object.functions.keys().map(|(section, _)| *section).collect::<HashSet<_>>();
        self.object
            .relocate_maps(defs.iter().map(|(name, fd, map)| (name.as_str(), *fd, map)), &text)
            .map_err(Error::Relocate)?;
        self.object.relocate_calls(&text).map_err(Error::Relocate)?;
        Ok(Programs { object: self.object })
    }
}

/// Entries that the maps of one rule set need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Rules.
    pub rules: u32,
    /// Tables of delays that users brought.
    pub tables: u32,
    /// Prefixes and markers.
    pub prefixes: u32,
    /// Rules for ports, as the kernel looks them up.
    pub ports: u32,
    /// Slots, for state and counters.
    pub slots: u32,
}

impl Room {
    /// Room for a set.
    #[must_use]
    pub fn for_set(set: &Set) -> Self {
        let entries = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Self {
            rules: entries(set.rules.len()),
            tables: entries(set.tables().len()),
            prefixes: entries(set.table.prefixes.len()),
            ports: entries(set.table.ports.len()),
            slots: set.slots(),
        }
    }
}

impl Default for Room {
    /// Room for one rule for all peers.
    fn default() -> Self {
        Self { rules: 1, tables: 1, prefixes: 1, ports: 1, slots: 2 }
    }
}

impl Room {
    /// Entries of a map, where they depend on the rules; an empty map is none that the kernel makes.
    fn of(&self, name: &str) -> Option<u32> {
        let entries = match name {
            abi::map::RULES => self.rules,
            abi::map::TABLES => self.tables,
            abi::map::PREFIXES => self.prefixes,
            abi::map::PORTS => self.ports,
            abi::map::STATES | abi::map::COUNTERS => self.slots,
            _ => return None,
        };
        Some(entries.max(1))
    }
}

fn create_map(name: &str, map: &Map, max_entries: u32) -> io::Result<OwnedFd> {
    let def = MapDef {
        map_type: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries,
        flags: map.map_flags(),
    };
    let fd = sys::map_create(name, &def)?;
    // Only read-only data sections come with content.
    if !map.data().is_empty() {
        sys::map_update(fd.as_fd(), &0u32.to_ne_bytes(), map.data())?;
        sys::map_freeze(fd.as_fd())?;
    }
    Ok(fd)
}

/// Programs bound to maps, ready to load.
#[derive(Debug)]
pub struct Programs {
    object: aya_obj::Object,
}

impl Programs {
    /// Loads a program into the kernel, where it lives as long as a filter or a descriptor holds it.
    pub fn load(&self, name: &str) -> Result<OwnedFd, Error> {
        let instructions = self.instructions(name).ok_or_else(|| Error::NoProgram(name.to_owned()))?;
        let license: &CString = &self.object.license;
        sys::prog_load(name, license, instructions).map_err(|LoadError { source, log }| Error::LoadProgram {
            name: name.to_owned(),
            log,
            source,
        })
    }

    fn instructions(&self, name: &str) -> Option<&[bpf_insn]> {
        let program = self.object.programs.get(name)?;
        Some(&self.object.functions.get(&program.function_key())?.instructions)
    }
}
