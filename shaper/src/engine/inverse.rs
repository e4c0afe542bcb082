//! What takes an effect back when a later one fails: written down before the effect, run in reverse.
//!
//! This is for a command that fails. One that is killed leaves its record in the kernel, and the next command goes by that.

use std::os::fd::{AsFd as _, OwnedFd};

use shaper_common::abi::{Direction, Entry, Link as Record};

use crate::bpf::Maps;
use crate::bpf::object;
use crate::netlink::Message;
use crate::netlink::link::{self, Device, Link};
use crate::tc::filter::bpf::Filter;
use crate::tc::qdisc::Qdisc;
use crate::tc::{Handle, Verb};

use super::peer::Peer;
use super::{AddressChange, Error, Request, Session, add, clear, netem};

/// The inverse of one effect, or of one that was not done any more.
#[derive(Debug)]
pub(super) enum Inverse {
    /// A message; what it takes away may be gone.
    Send(Message<'static>),
    /// A message to the other end of a veth, where it can be found.
    Peer {
        /// The end that is here.
        of: Box<Link>,
        /// The message.
        message: Message<'static>,
    },
    /// Another program in a filter's place.
    Program {
        /// The filter.
        hook: Filter,
        /// The program that was there.
        program: OwnedFd,
    },
    /// Another rule in a slot.
    Rule {
        /// The maps of the rules.
        maps: Maps,
        /// The slot.
        slot: u32,
        /// The rule that was there.
        entry: Box<Entry>,
    },
    /// Another class and leaf of `netem`, or none.
    Leaf {
        /// The link that has them.
        dev: Device,
        /// The slot of the rule.
        slot: u32,
        /// The rule that they were for.
        before: Box<Entry>,
        /// The leaf's limit.
        limit_packets: u32,
    },
    /// Another record.
    Record {
        /// The maps of the link.
        maps: Maps,
        /// What it said.
        record: Box<Record>,
    },
    /// A holder for a link that has the rest.
    Holder {
        /// The number of the link.
        ifindex: u32,
        /// The direction.
        direction: Direction,
    },
    /// The addresses that a link had.
    Address(Box<AddressChange>),
    /// Something where there was nothing.
    Added {
        /// The number of the link.
        ifindex: u32,
        /// The direction.
        direction: Direction,
        /// Whether the link had a clsact qdisc.
        had_clsact: bool,
    },
    /// Nothing where there was something.
    Cleared {
        /// What asks for what there was, if its rules are there.
        had: Box<Request>,
        /// The rules, in their slots.
        rules: Vec<(u32, Entry)>,
    },
}

/// Takes back what led to an error, in reverse, past failures; a command that is done needs none of it any more.
pub(super) fn on_failure<T>(session: &mut Session, result: Result<T, Error>) -> Result<T, Error> {
    let Err(error) = result else {
        session.take_inverses();
        return result;
    };
    match take_back(session) {
        Ok(()) => Err(error),
        Err(undo) => Err(Error::Undo { apply: Box::new(error), undo: Box::new(undo) }),
    }
}

/// Forgets how to take back what was done: it is to stay.
pub fn done(session: &mut Session) {
    session.take_inverses();
}

/// Takes back all that was done since the last command of the session that was done or taken back.
///
/// # Errors
///
/// The first thing that could not be taken back, after the rest was.
pub fn take_back(session: &mut Session) -> Result<(), Error> {
    let inverses = session.take_inverses();
    let failures = inverses.into_iter().rev().filter_map(|inverse| inverse.run(session).err());
    // All of them are run, and the first is told.
    failures.collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
}

impl Inverse {
    /// Of writing another record than this.
    pub(super) fn record(maps: &Maps, record: &Record) -> Result<Self, Error> {
        let maps = maps.try_clone().map_err(Error::Maps)?;
        Ok(Self::Record { maps, record: Box::new(*record) })
    }

    fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::Send(message) => clear::gone(session.send(vec![message])),
            Self::Peer { of, message } => match Peer::find(session, &of) {
                Some(mut peer) => clear::gone(peer.send(session, message)),
                None => Ok(()),
            },
            Self::Program { hook, program } => {
                Ok(session.send(vec![hook.attach(Verb::Replace, program.as_fd())])?)
            }
            Self::Rule { maps, slot, entry } => {
                let step = session.begin(object::Error::write(shaper_common::abi::map::RULES))?;
                Ok(step.done(maps.set_rule(slot, &entry))?)
            }
            Self::Leaf { dev, slot, before, limit_packets } => {
                Ok(netem::put_back(session, &dev, slot, &before, limit_packets)?)
            }
            Self::Record { maps, record } => add::write_record(session, &maps, &record),
            Self::Holder { ifindex, direction } => {
                let survey = session.survey()?;
                let holder = survey.attachment_of(ifindex, direction).and_then(|found| found.holder.as_ref());
                let delete = holder.map(|holder| link::delete(&holder.device()));
                clear::gone(session.send(delete.into_iter().collect()))
            }
            Self::Address(change) => change.take_back(session),
            Self::Added { ifindex, direction, had_clsact } => {
                take_off(session, ifindex, direction, had_clsact)
            }
            Self::Cleared { had, rules } => put_back(session, &had, &rules),
        }
    }
}

fn take_off(
    session: &mut Session,
    ifindex: u32,
    direction: Direction,
    had_clsact: bool,
) -> Result<(), Error> {
    let survey = session.survey()?;
    if let Some(found) = survey.attachment_of(ifindex, direction) {
        clear::attachment(session, &survey, found)?;
    }
    clear::leftovers_of(session, &survey, ifindex, direction)?;
    let survey = session.survey()?;
    // The filter that was refused would have been the record of it.
    let is_empty = survey.attachments.iter().all(|found| found.link.ifindex != ifindex)
        && !survey.foreign_filters.contains(&ifindex);
    match survey.links.iter().find(|link| link.ifindex == ifindex) {
        Some(link) if !had_clsact && is_empty && survey.clsact(link).is_some() => {
            clear::gone(session.send(vec![Qdisc::clsact(link.device()).message(Verb::Del)]))
        }
        _ => Ok(()),
    }
}

fn put_back(session: &mut Session, had: &Request, rules: &[(u32, Entry)]) -> Result<(), Error> {
    let (ifindex, direction) = (had.link.ifindex, had.direction);
    // What was not cleared any more, when it was the clearing that failed.
    take_off(session, ifindex, direction, true)?;
    let survey = session.survey()?;
    let had_clsact =
        survey.qdiscs.iter().any(|qdisc| qdisc.ifindex == ifindex && qdisc.parent == Handle::CLSACT);
    let added = add::add(session, had, rules);
    session.take_inverses();
    if added.is_err() {
        take_off(session, ifindex, direction, had_clsact)?;
    }
    added
}
