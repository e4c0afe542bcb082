//! Rules onto links: what each engine sets up, changes and takes back.
//!
//! An `apply` goes through the same steps with every engine, in an order that leaves a record in the kernel before each
//! effect, so that the next command can finish or undo what a killed one began:
//!
//! 1. the *holder* outside the link, if there is one (an ifb, or the TAP and its relay), known by its name;
//! 2. the *hook*: the clsact qdisc and the filter in one message batch, with the record of what will be changed in its map,
//!    and no rule yet, so that every packet passes;
//! 3. the *queue*: the root qdisc that holds packets (`edt`, `netem`), and the link's settings;
//! 4. the *rules*: their tables are complete before the hook is there, and from the map write that says so on, packets are
//!    shaped.
//!
//! A changed rule only widens the queue's limits and is swapped by one map write; other rules come with a program and tables of
//! their own, which take the place of those before in one step. Packets in the queue stay there.

mod add;
mod address;
mod announce;
mod answer;
mod change;
mod clear;
mod edt;
mod fault;
mod finish;
mod inverse;
mod loopback;
mod netem;
mod peer;
mod policy;
mod relay;
mod session;
mod settings;

use std::collections::BTreeSet;
use std::path::PathBuf;

use shaper_common::abi::{Direction, Engine, Entry, link_flag};

use crate::attachment::{Attachment, Survey};
use crate::measure::clock;
use crate::netlink::link::Link;
use crate::plan::set::{self, Circumstances, Set, Wish};
use crate::plan::{Needs, rule};
use crate::rules::{self, To};
use crate::shape::{EngineChoice, Named as _};
use crate::tc::Handle;
use crate::{bpf, netlink, target};

use inverse::Inverse;

pub use add::draw_seed;
pub use address::{AddressChange, AddressError};
pub use clear::{Clearance, Cleared, clear};
pub use inverse::{done, take_back};
pub use policy::{PolicyChange, PolicyRequest};
pub use relay::PROCESS_NAME as RELAY_PROCESS_NAME;
pub use session::Session;
pub use settings::{mtu_of, note_of};

/// Rules to put on one direction of a link.
#[derive(Clone, Debug)]
pub struct Request {
    /// The link.
    pub link: Link,
    /// The direction.
    pub direction: Direction,
    /// Who holds the packets.
    pub engine: Engine,
    /// Whether the user asked for that engine.
    pub engine_asked: bool,
    /// What is to become of the rules; a shape without a seed keeps the one of the shape before, or one is drawn.
    pub wish: Wish,
    /// [`shaper_common::abi::link_flag`] bits.
    pub flags: u32,
    /// The link's MTU in bytes; `None`: what it was.
    pub mtu: Option<u32>,
    /// `CLOCK_MONOTONIC` time from which the rules' time limits are counted.
    pub now_ns: u64,
    /// The seed of new rules that have none.
    pub seed: u64,
    /// The file whose disappearance says that nobody wants the namespace any more; `None`: the relay stays until `clear`.
    pub tether: Option<PathBuf>,
}

impl Request {
    fn circumstances(&self) -> Circumstances {
        Circumstances { direction: self.direction, now_ns: self.now_ns, seed: self.seed }
    }

    /// The rules that come of it, where those of `old` are.
    ///
    /// # Errors
    ///
    /// When they cannot be a set.
    pub fn set(&self, old: &[(u32, Entry)]) -> Result<Set, set::Error> {
        Set::of(&self.wish, old, &self.circumstances())
    }

    /// Whether no rule is left, and nothing else is asked of the link.
    #[must_use]
    pub fn is_for_nothing(&self, found: Option<&Attachment>) -> bool {
        let old = || found.map(rules_of).unwrap_or_default();
        let is_empty = match &self.wish {
            Wish::Whole(rules) => rules.is_empty(),
            Wish::Put(put) => put.is_empty() && old().is_empty(),
            Wish::Remove(to) => {
                let key = rule::key(&rule::asked_of(*to));
                old().iter().all(|(_, entry)| rule::key(&entry.asked) == key)
            }
            Wish::Keep => old().is_empty(),
        };
        is_empty && self.flags & link_flag::DOWN == 0 && self.mtu.is_none()
    }

    /// What the rules will ask for, beside those of `found` that stay; no more than that, where the wish is that others come.
    #[must_use]
    pub fn needs_beside(&self, found: Option<&Attachment>) -> Needs {
        let shape_neighbours = self.flags & link_flag::SHAPE_NEIGHBOURS != 0;
        let replaced: BTreeSet<_> = match &self.wish {
            Wish::Whole(rules) => {
                let shapes = rules.iter().filter_map(rules::Rule::shape).collect();
                return Needs { shapes, rules: rules.len(), shape_neighbours };
            }
            Wish::Put(rules) => rules.iter().map(|rule| rule::key(&rule::asked_of(rule.to()))).collect(),
            Wish::Remove(to) => [rule::key(&rule::asked_of(*to))].into(),
            Wish::Keep => BTreeSet::new(),
        };
        let old = found.map(rules_of).unwrap_or_default();
        let stay = old.iter().filter(|(_, entry)| !replaced.contains(&rule::key(&entry.asked)));
        let mut rules = stay.clone().count();
        let mut shapes: Vec<_> = stay.filter_map(|(_, entry)| rule::shape_of(entry)).collect();
        if let Wish::Put(put) = &self.wish {
            shapes.extend(put.iter().filter_map(rules::Rule::shape));
            rules += put.len();
        }
        Needs { shapes, rules, shape_neighbours }
    }

    fn needs(&self, set: &Set) -> Needs {
        set.needs(self.flags & link_flag::SHAPE_NEIGHBOURS != 0)
    }
}

/// What [`apply`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The direction had no shape before.
    Added,
    /// It had another one.
    Changed,
    /// It had this one.
    Unchanged,
    /// It had this one, but its relay was gone.
    Restarted,
    /// It has none any more.
    Cleared,
}

impl Outcome {
    /// What was done as a whole: the first of these that any direction has.
    #[must_use]
    pub fn of_all(outcomes: &[Self]) -> Self {
        let order = [Self::Added, Self::Changed, Self::Restarted, Self::Cleared];
        order.into_iter().find(|outcome| outcomes.contains(outcome)).unwrap_or(Self::Unchanged)
    }

    /// As `apply` says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Restarted => "restarted",
            Self::Cleared => "cleared",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What could not be done to a link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The programs or their maps.
    #[error(transparent)]
    Bpf(#[from] bpf::object::Error),
    /// The namespace.
    #[error(transparent)]
    Netns(#[from] target::netns::Error),
    /// An address that cannot be.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A routing policy that cannot be.
    #[error(transparent)]
    Policy(#[from] crate::policy::Error),
    /// The rules.
    #[error(transparent)]
    Rules(#[from] set::Error),
    /// The maps of the rules that are there.
    #[error("cannot hold on to the maps that are there")]
    Maps(#[source] std::io::Error),
    /// The link has a root qdisc that we did not make.
    #[error(
        "link `{link}` has a root qdisc that is not shaper's (`{kind} {handle}`), and engine `{}` would have to replace it",
        EngineChoice::from(*.engine).name()
    )]
    ForeignRoot {
        /// The link.
        link: String,
        /// Its qdisc.
        kind: String,
        /// The qdisc's handle.
        handle: Handle,
        /// The engine that needs the place.
        engine: Engine,
    },
    /// The link's packets have no Ethernet header, which classifiers and relay count on.
    #[error(
        "link `{link}` is not an Ethernet link: it carries bare IP packets, and shaper shapes Ethernet links only"
    )]
    NotEthernet {
        /// The link.
        link: String,
    },
    /// The TAP could not be opened.
    #[error("cannot make TAP `{name}`")]
    Tap {
        /// Its name.
        name: String,
        /// Why.
        source: crate::relay::tap::Error,
    },
    /// The packet socket could not be opened.
    #[error("cannot open the relay's packet socket")]
    Packet(#[source] crate::relay::packet::Error),
    /// A setting of the loopback could not be changed.
    #[error("cannot set {name} to {value}")]
    Sysctl {
        /// The setting.
        name: String,
        /// The value.
        value: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The relay process did not start.
    #[error("cannot start the relay: {reason}")]
    StartRelay {
        /// Why.
        reason: String,
    },
    /// Undoing a failed `apply` failed too.
    #[error("{apply}; undoing it failed too: {undo}")]
    Undo {
        /// Why `apply` failed.
        apply: Box<Error>,
        /// Why the undoing failed.
        undo: Box<Error>,
    },
}

/// Gives the directions of a link their shapes, all or none.
///
/// # Errors
///
/// The first failure, after the directions before it were given back what they had.
pub fn apply(session: &mut Session, requests: &[Request]) -> Result<Vec<Outcome>, Error> {
    apply_and(session, requests, |_| Ok(()))
}

/// As [`apply`], and then does what `last` does, which undoes itself when it fails: all or none.
///
/// # Errors
///
/// As [`apply`], or that of `last`.
pub fn apply_and(
    session: &mut Session,
    requests: &[Request],
    last: impl FnOnce(&mut Session) -> Result<(), Error>,
) -> Result<Vec<Outcome>, Error> {
    let outcomes = requests.iter().map(|request| apply_one(session, request)).collect();
    let outcomes = match outcomes {
        Ok(outcomes) => last(session).map(|()| outcomes),
        Err(error) => Err(error),
    };
    inverse::on_failure(session, outcomes)
}

/// What gives back what `found` has, if its record can be read; for the same link and direction as `request`.
fn what_was_asked(found: &Attachment, request: &Request) -> Option<Inverse> {
    let (maps, record) = (found.maps.as_ref().ok()?, found.record.as_ref().ok()?);
    if record.rules == 0 {
        return None;
    }
    let had = Request {
        wish: Wish::Keep,
        flags: record.flags,
        mtu: mtu_of(record),
        engine: engine_of(found)?,
        engine_asked: record.engine_asked != 0,
        ..request.clone()
    };
    Some(Inverse::Cleared { had: Box::new(had), rules: maps.rules().ok()? })
}

/// Takes the rule for some peers away wherever it is; says where that was.
///
/// # Errors
///
/// The first failure, after all was given back what it had.
pub fn remove(session: &mut Session, to: To) -> Result<Vec<Cleared>, Error> {
    let removed = remove_everywhere(session, to);
    inverse::on_failure(session, removed)
}

fn remove_everywhere(session: &mut Session, to: To) -> Result<Vec<Cleared>, Error> {
    let survey = session.survey()?;
    let key = rule::key(&rule::asked_of(Some(to)));
    let mut removed = Vec::new();
    for found in &survey.attachments {
        let has_it = rules_of(found).iter().any(|(_, entry)| rule::key(&entry.asked) == key);
        let (Ok(record), Some(engine), true) = (&found.record, engine_of(found), has_it) else {
            continue;
        };
        let request = Request {
            link: found.link.clone(),
            direction: found.direction,
            engine,
            engine_asked: record.engine_asked != 0,
            wish: Wish::Remove(Some(to)),
            flags: record.flags,
            mtu: mtu_of(record),
            now_ns: clock::now_ns(),
            seed: 0,
            tether: None,
        };
        apply_one(session, &request)?;
        removed.push(Cleared { link: found.link.name.clone(), direction: found.direction });
    }
    Ok(removed)
}

/// The rules in force on one direction of a link, with their slots; none where nothing is, or cannot be read.
#[must_use]
pub fn rules_of(found: &Attachment) -> Vec<(u32, Entry)> {
    match (&found.maps, &found.record) {
        (Ok(maps), Ok(record)) if record.rules != 0 => maps.rules().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Gives one direction of a link its rules, whatever it has now, and writes down what takes that back.
fn apply_one(session: &mut Session, request: &Request) -> Result<Outcome, Error> {
    if request.link.mac.is_none() {
        return Err(Error::NotEthernet { link: request.link.name.clone() });
    }
    let survey = session.survey()?;
    match survey.attachment_of(request.link.ifindex, request.direction) {
        found if request.is_for_nothing(found) => match found {
            Some(found) => clear_one(session, &survey, found, request).map(|()| Outcome::Cleared),
            None => Ok(Outcome::Unchanged),
        },
        Some(found) if change::is_possible(&survey, found, request.engine) => {
            change::change(session, &survey, found, request)
        }
        Some(found) => {
            // Another engine, another version's programs, an `apply` that was killed before its rules were there, or a qdisc that
            // somebody took away: begin anew.
            let old = rules_of(found);
            add::refuse_foreign_root(&survey, request)?;
            clear_one(session, &survey, found, request)?;
            add::add(session, request, &old)?;
            let was_begun = found.record.as_ref().is_ok_and(|record| record.rules == 0);
            Ok(if was_begun { Outcome::Added } else { Outcome::Changed })
        }
        None => {
            add::add(session, request, &[])?;
            Ok(Outcome::Added)
        }
    }
}

fn clear_one(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    request: &Request,
) -> Result<(), Error> {
    what_was_asked(found, request).into_iter().for_each(|had| session.on_failure(had));
    clear::attachment(session, survey, found)
}

/// The engine that a direction of a link has now, if its record can be read.
#[must_use]
pub fn engine_of(attachment: &Attachment) -> Option<Engine> {
    let record = attachment.record.as_ref().ok()?;
    [Engine::Edt, Engine::Netem, Engine::Relay].into_iter().find(|engine| *engine as u32 == record.engine)
}

/// Whether the relay of an attachment reads its TAP: the device is there and the heartbeat is fresh.
#[must_use]
pub fn is_relay_alive(found: &Attachment) -> bool {
    relay::is_alive(found)
}

/// The link whose root qdisc holds the packets: the shaped link on egress, the ifb on ingress.
fn queue_device<'a>(survey: &'a Survey, found: &'a Attachment) -> Option<&'a Link> {
    let ifindex = match found.direction {
        Direction::Egress => found.link.ifindex,
        Direction::Ingress => found.holder.as_ref()?.ifindex,
    };
    survey.links.iter().find(|link| link.ifindex == ifindex)
}
