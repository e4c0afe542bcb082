//! Settings of a link that rules need otherwise than they are.
//!
//! What a setting was, and what we made of it, is in the record of the attachment before it is changed. It is given back only if
//! it still is what we set: a later change is somebody else's. Where the rules of both directions need the same setting, each has
//! it in its record, and the last one gives it back.

use shaper_common::abi::{Direction, Link as Record, undo};

use crate::attachment::{Attachment, Survey};
use crate::bpf::Maps;
use crate::netlink::Message;
use crate::netlink::link::{self, Link, Settings};
use crate::plan::{Needs, gso};

use super::clear::gone;
use super::{Error, Request, Session};

/// One setting of a link.
struct Setting {
    /// Its name, as `ip link` spells it.
    name: &'static str,
    /// Its bit in the record, an [`undo`] bit.
    bit: u32,
    /// What it is to be for these rules; `None`: what it was.
    wanted: fn(&Request, &Needs) -> Option<u32>,
    /// What the record says that it was, and that it was set to.
    noted: fn(&mut Record) -> [&mut u32; 2],
    /// What it is; `None` on kernels that do not tell.
    now: fn(&Link) -> Option<u32>,
    /// What changes it to a value.
    to: fn(u32) -> Settings<'static>,
}

const ALL: [Setting; 1] = [Setting {
    name: "gso_max_segs",
    bit: undo::GSO_MAX_SEGS,
    // What comes into the loopback is what it sent.
    wanted: |request, needs| {
        let sends = request.direction == Direction::Egress || request.link.is_loopback();
        gso::max_segs(needs).filter(|_| sends)
    },
    noted: |record| [&mut record.gso_max_segs_before, &mut record.gso_max_segs_set],
    now: |link| link.gso_max_segs,
    to: |segs| Settings { gso_max_segs: Some(segs), ..Settings::default() },
}];

/// What a setting was and what we set it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    before: u32,
    set: u32,
}

/// The steps from what a setting is to what it is to be, in their order: killed between any two, what is recorded is either what we
/// set, or not what the link has, so that nothing of somebody else's is ever "given back".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    /// A value to give back.
    back: Option<u32>,
    /// What goes into the record.
    held: Option<Held>,
    /// A value to set.
    set: Option<u32>,
}

/// `held` is what our record says, `other` what that of the link's other direction does.
fn steps(wanted: Option<u32>, now: u32, held: Option<Held>, other: Option<Held>) -> Steps {
    let ours = held.filter(|held| held.set == now);
    let back = ours.filter(|ours| other.is_none() && ours.before != now).map(|ours| ours.before);
    let Some(set) = wanted else {
        return Steps { back, held: None, set: None };
    };
    if ours.is_some_and(|ours| ours.set == set) {
        return Steps { back: None, held: ours, set: None };
    }
    let now = back.unwrap_or(now);
    let before = other.filter(|other| other.set == now).map_or(now, |other| other.before);
    Steps { back, held: Some(Held { before, set }), set: Some(set).filter(|set| *set != now) }
}

impl Setting {
    fn held(&self, mut record: Record) -> Option<Held> {
        let is_held = record.undo & self.bit != 0;
        let [before, set] = (self.noted)(&mut record);
        is_held.then_some(Held { before: *before, set: *set })
    }

    fn hold(&self, record: &mut Record, held: Option<Held>) {
        record.undo = if held.is_some() { record.undo | self.bit } else { record.undo & !self.bit };
        let [before, set] = (self.noted)(record);
        [*before, *set] = held.map_or([0, 0], |held| [held.before, held.set]);
    }

    /// What the record of the link's other direction says.
    fn held_by_other(&self, survey: &Survey, link: &Link, direction: Direction) -> Option<Held> {
        let mut others = survey.attachments.iter().filter(|other| other.link.ifindex == link.ifindex);
        let other = others.find(|other| other.direction != direction)?;
        self.held(*other.record.as_ref().ok()?)
    }

    fn message(&self, link: &Link, value: u32) -> Message<'static> {
        link::set(&link.device(), &(self.to)(value))
    }
}

/// Sets what the rules need otherwise than it is, and gives back what they no longer do; whether anything was to do.
///
/// `record` is that of the attachment of the request, as `maps` have it.
pub(super) fn set(
    session: &mut Session,
    survey: &Survey,
    request: &Request,
    needs: &Needs,
    maps: &Maps,
    record: &mut Record,
) -> Result<bool, Error> {
    let mut is_changed = false;
    for setting in &ALL {
        let (wanted, held) = ((setting.wanted)(request, needs), setting.held(*record));
        if wanted.is_none() && held.is_none() {
            continue;
        }
        // As it is now: another engine's shape that was just cleared gave back what it had set.
        let link = survey.links.iter().find(|now| now.ifindex == request.link.ifindex);
        let Some((link, now)) = link.and_then(|link| Some((link, (setting.now)(link)?))) else { continue };
        let steps = steps(wanted, now, held, setting.held_by_other(survey, link, request.direction));
        is_changed |= setting.go(session, link, &steps, maps, record)?;
    }
    Ok(is_changed)
}

impl Setting {
    /// Goes the steps; when the link refuses the value, it is as before, and so is the record.
    fn go(
        &self,
        session: &mut Session,
        link: &Link,
        steps: &Steps,
        maps: &Maps,
        record: &mut Record,
    ) -> Result<bool, Error> {
        let was = self.held(*record);
        if steps.held == was && steps.back.is_none() && steps.set.is_none() {
            return Ok(false);
        }
        if let Some(value) = steps.back {
            session.send(vec![self.message(link, value)])?;
        }
        self.note(session, maps, record, steps.held)?;
        let Some(value) = steps.set else { return Ok(true) };
        let Err(error) = session.send(vec![self.message(link, value)]) else { return Ok(true) };
        self.note(session, maps, record, was)?;
        if let (Some(_), Some(was)) = (steps.back, was) {
            session.send(vec![self.message(link, was.set)])?;
        }
        Err(error.into())
    }

    fn note(
        &self,
        session: &mut Session,
        maps: &Maps,
        record: &mut Record,
        held: Option<Held>,
    ) -> Result<(), Error> {
        self.hold(record, held);
        if session.effect(|| format!("record of the link's {}", self.name)) {
            maps.set_link(record)?;
        }
        Ok(())
    }
}

/// Gives back what the rules of an attachment that goes had set; `is_last`: no other direction of the link has rules any more.
pub(super) fn give_back(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    is_last: bool,
) -> Result<(), Error> {
    let Ok(record) = found.record else { return Ok(()) };
    for setting in ALL.iter().filter(|setting| setting.held(record).is_some()) {
        let other = setting.held_by_other(survey, &found.link, found.direction).filter(|_| !is_last);
        let Some(now) = (setting.now)(&found.link) else { continue };
        if let Some(value) = steps(None, now, setting.held(record), other).back {
            gone(session.send(vec![setting.message(&found.link, value)]))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(before: u32, set: u32) -> Option<Held> {
        Some(Held { before, set })
    }

    #[test]
    fn a_setting_is_recorded_set_and_given_back_only_if_it_is_ours() {
        for (wanted, now, had, other, expected) in [
            // Set for the first time.
            (Some(1), 64, None, None, (None, held(64, 1), Some(1))),
            // It happens to be so: noted, because somebody asked for it.
            (Some(64), 64, None, None, (None, held(64, 64), None)),
            // The same again.
            (Some(1), 1, held(64, 1), None, (None, held(64, 1), None)),
            // Another value: what was first, so that a record never names a value that was never before.
            (Some(2), 1, held(64, 1), None, (Some(64), held(64, 2), Some(2))),
            (Some(64), 1, held(64, 1), None, (Some(64), held(64, 64), None)),
            // Somebody changed it since: that is what there was before.
            (Some(1), 9, held(64, 1), None, (None, held(9, 1), Some(1))),
            // A command was killed between record and effect.
            (Some(1), 64, held(64, 1), None, (None, held(64, 1), Some(1))),
            // Not needed any more.
            (None, 1, held(64, 1), None, (Some(64), None, None)),
            (None, 64, held(64, 64), None, (None, None, None)),
            (None, 9, held(64, 1), None, (None, None, None)),
            // The other direction set it, and still needs it.
            (Some(1), 1, None, held(64, 1), (None, held(64, 1), None)),
            (None, 1, held(64, 1), held(64, 1), (None, None, None)),
        ] {
            let (back, held, set) = expected;
            assert_eq!(
                steps(wanted, now, had, other),
                Steps { back, held, set },
                "{wanted:?} {now} {had:?} {other:?}"
            );
        }
    }
}
