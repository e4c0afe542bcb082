//! Each packet's fate as it happens: the reading end of what the kernel programs tell (`shaper_common::trace`).

pub mod pcapng;

mod fate;
mod head;
mod lease;
mod packet;
mod time;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use shaper_common::abi::{self, Direction};
use shaper_common::trace::{Event, RING_BYTES};

pub use fate::Fate;
pub use lease::{Held, LEASE_NS, Renewed};
pub use packet::{Copied, Packet};
pub use time::Wall;

use crate::attachment::{Attachment, Survey};
use crate::bpf::ring::{Ring, Taken};
use crate::bpf::sys;
use crate::bpf::{self, Maps};
use crate::engine;
use crate::measure::clock;
use crate::plan::rule;
use crate::rules::To;
use crate::shape::{self, Named as _};
use lease::Lease;

/// Why packets cannot be traced, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one reader for each direction of a link.
    #[error("{direction} of `{link}` is being traced by {held}")]
    Held {
        /// The link.
        link: String,
        /// The direction.
        direction: &'static str,
        /// Who traces it.
        held: Held,
    },
    /// We were stopped for so long that another reader took our place.
    #[error("another process traces {direction} of `{link}` since this one did not run for a while")]
    Displaced {
        /// The link.
        link: String,
        /// The direction.
        direction: &'static str,
    },
    /// The maps cannot be had.
    #[error(transparent)]
    Bpf(#[from] bpf::object::Error),
}

/// The reader of one attachment's events; nobody else can be, until it is dropped or does not renew.
#[derive(Debug)]
pub struct Tracer {
    link: String,
    ifindex: u32,
    direction: Direction,
    program: u32,
    rules: BTreeMap<u32, To>,
    map: OwnedFd,
    ring: Ring,
    lease: Lease,
    since_ns: u64,
}

impl Tracer {
    /// Begins to trace an attachment.
    ///
    /// # Errors
    /// When another process does, and when its maps are not there or of another version.
    pub fn start(found: Attachment) -> Result<Self, Error> {
        let rules = rules_of(&found);
        let maps = found.maps?;
        found.record?;
        let (link, ifindex, direction) = (found.link.name, found.link.ifindex, found.direction);
        let map = existing(&maps, abi::map::TRACE)?
            .try_clone_to_owned()
            .map_err(|source| cannot_map(abi::map::TRACE, source))?;
        let ring = Ring::map(map.as_fd(), RING_BYTES as usize)
            .map_err(|errno| cannot_map(abi::map::TRACE, errno.into()))?;
        let now_ns = clock::now_ns();
        let lease = Lease::take(existing(&maps, abi::map::LEASE)?, now_ns)
            .map_err(|errno| cannot_map(abi::map::LEASE, errno.into()))?
            .map_err(|held| Error::Held { link: link.clone(), direction: name_of(direction), held })?;
        Ok(Self {
            link,
            ifindex,
            direction,
            program: found.program,
            rules,
            map,
            ring,
            lease,
            since_ns: now_ns,
        })
    }

    /// The link.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Which of its packets.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// `egress` or `ingress`.
    #[must_use]
    pub fn direction_name(&self) -> &'static str {
        name_of(self.direction)
    }

    /// What becomes readable when there is an event.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// When another process reads them.
    pub fn take(&self) -> Result<Option<Event>, Error> {
        loop {
            match self.ring.take::<Event>() {
                // What a reader before us left.
                Taken::Record(event) if event.arrival_ns < self.since_ns => {}
                Taken::Record(event) => return Ok(Some(event)),
                Taken::Nothing => return Ok(None),
                Taken::ByAnother => return Err(self.displaced()),
            }
        }
    }

    /// Says that events are still wanted; to be called several times within [`LEASE_NS`].
    ///
    /// # Errors
    /// When another process took our place.
    pub fn renew(&mut self, now_ns: u64) -> Result<Renewed, Error> {
        self.lease.renew(now_ns).ok_or_else(|| self.displaced())
    }

    /// Events that found the ring full since this was asked last.
    pub fn missed(&mut self) -> u64 {
        self.lease.missed()
    }

    /// The peers for whom the rule in a slot is; `None` for all, and for slot 0.
    #[must_use]
    pub fn rule(&self, slot: u32) -> Option<To> {
        self.rules.get(&slot).copied()
    }

    /// Whether another program tells the same reader: one that came with other rules. It is followed from here on.
    pub fn follow(&mut self, survey: &Survey) -> bool {
        let Some(found) = survey.attachment_of(self.ifindex, self.direction) else {
            return false;
        };
        let id = |map: BorrowedFd<'_>| sys::map_info(map).ok().map(|info| info.id);
        let ring = found.maps.as_ref().ok().and_then(|maps| maps.fd(abi::map::TRACE)).and_then(id);
        if ring.is_none() || ring != id(self.map.as_fd()) {
            return false;
        }
        self.program = found.program;
        self.rules = rules_of(found);
        true
    }

    /// Whether the program still runs; it does not when the shape was cleared, given to another engine, or other rules came.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        !sys::prog_fd_by_id(self.program).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn displaced(&self) -> Error {
        Error::Displaced { link: self.link.clone(), direction: self.direction_name() }
    }
}

fn rules_of(found: &Attachment) -> BTreeMap<u32, To> {
    let rules = engine::rules_of(found).into_iter();
    rules.filter_map(|(slot, entry)| Some((slot, rule::to_of(&entry.asked)?))).collect()
}

fn existing<'a>(maps: &'a Maps, name: &str) -> Result<BorrowedFd<'a>, bpf::object::Error> {
    maps.fd(name).ok_or_else(|| cannot_map(name, io::ErrorKind::NotFound.into()))
}

fn cannot_map(name: &str, source: io::Error) -> bpf::object::Error {
    bpf::object::Error::Map { operation: "map", name: name.to_owned(), source }
}

fn name_of(direction: Direction) -> &'static str {
    shape::Direction::from(direction).name()
}
