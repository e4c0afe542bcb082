//! Registrations that outlive the agent: the next one looks after the same namespaces.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Instance, Name, Registration};
use crate::journal::{Error, Journal};
use crate::target::netns::{self, Netns};

/// The number of this start of the machine, `random(4)`: namespaces are numbered anew after each.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A namespace, told from all that there were and will be; before Linux 5.14 from those that are there at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    boot: String,
}

impl Identity {
    pub(super) fn of(netns: &Netns) -> Result<Self, netns::Error> {
        let netns::Id { dev, ino } = netns.id();
        // Without it, namespaces of two starts of a machine may be taken for one.
        let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim_end().to_owned();
        Ok(Self { dev, ino, cookie: netns.cookie()?, boot })
    }

    pub(super) fn id(&self) -> netns::Id {
        netns::Id { dev: self.dev, ino: self.ino }
    }
}

/// In a word that no other namespace of any machine has, as far as the kernel has cookies.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cookie {
            Some(cookie) => write!(f, "{}/{cookie}", self.boot),
            None => write!(f, "{}/{}:{}", self.boot, self.dev, self.ino),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record<'a> {
    Register(Box<Entry<'a>>),
    Forget { name: Cow<'a, Name> },
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    name: Cow<'a, Name>,
    netns: Cow<'a, Identity>,
    registration: Cow<'a, Registration>,
}

impl<'a> Record<'a> {
    fn of(instance: &'a Instance) -> Self {
        Self::Register(Box::new(Entry {
            name: Cow::Borrowed(instance.name()),
            netns: Cow::Borrowed(instance.identity()),
            registration: Cow::Borrowed(instance.registration()),
        }))
    }
}

/// The journal of registrations.
#[derive(Debug)]
pub(super) struct Registrations {
    journal: Journal,
}

/// What the agent before knew.
pub(super) type Known = BTreeMap<Name, (Identity, Registration)>;

impl Registrations {
    pub(super) fn open(path: &Path) -> Result<(Self, Known), Error> {
        let mut known = Known::new();
        let journal = Journal::open(path, |record| {
            match record {
                Record::Register(entry) => {
                    let Entry { name, netns, registration } = *entry;
                    known.insert(name.into_owned(), (netns.into_owned(), registration.into_owned()));
                }
                Record::Forget { name } => {
                    known.remove(&*name);
                }
            }
            Ok(())
        })?;
        Ok((Self { journal }, known))
    }

    /// These are all that there are.
    pub(super) fn are<'a>(&mut self, instances: impl Iterator<Item = &'a Instance>) -> Result<(), Error> {
        self.journal.rewrite(instances.map(Record::of))
    }

    pub(super) fn add(&mut self, instance: &Instance) -> Result<(), Error> {
        self.journal.append(&Record::of(instance))
    }

    pub(super) fn remove(&mut self, name: &Name) -> Result<(), Error> {
        self.journal.append(&Record::Forget { name: Cow::Borrowed(name) })
    }

    /// Whether it is time for [`Self::are`].
    pub(super) fn has_grown(&self) -> bool {
        self.journal.has_grown()
    }
}
