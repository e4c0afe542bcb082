//! Settings of a link that rules need otherwise than they are.
//!
//! What a setting was, and what we made of it, is in the record of the attachment before it is changed. It is given back only if
//! it still is what we set: a later change is somebody else's. Where the rules of both directions need the same setting, each has
//! it in its record, and the last one gives it back; but the MTU, which nobody needs and somebody asked for, is in one record.

use shaper_common::abi::{Direction, Link as Record, undo};

use crate::attachment::{Attachment, Survey};
use crate::bpf::Maps;
use crate::netlink::link::{self, Link, Settings};
use crate::netlink::{self, Message};
use crate::plan::{Needs, gso};

use super::clear::gone;
use super::inverse::Inverse;
use super::peer::Peer;
use super::{Error, Request, Session, add};

/// Of a link whose senders are elsewhere and hand GSO frames to it, on ingress.
const ONE_FATE: &str = "GSO frames that come in have one fate for all their segments";

/// Which link has a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The link of the rules.
    Link,
    /// The other end of it, when it is a veth; whether that can be changed or not, the rules go on.
    Peer,
}

/// One setting of a link.
struct Setting {
    /// Its name, as `ip link` spells it.
    name: &'static str,
    whose: Whose,
    /// Whether one record of a link has it, whichever direction asks for it.
    is_in_one_record: bool,
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

const ALL: [Setting; 3] = [
    Setting {
        name: "gso_max_segs of the link",
        whose: Whose::Link,
        is_in_one_record: false,
        bit: undo::GSO_MAX_SEGS,
        // What comes into the loopback is what it sent.
        wanted: |request, needs| {
            let sends = request.direction == Direction::Egress || request.link.is_loopback();
            gso::max_segs(needs).filter(|_| sends)
        },
        noted: |record| [&mut record.gso_max_segs_before, &mut record.gso_max_segs_set],
        now: |link| link.gso_max_segs,
        to: |segs| Settings { gso_max_segs: Some(segs), ..Settings::default() },
    },
    Setting {
        name: "gso_max_segs of the link's peer",
        whose: Whose::Peer,
        is_in_one_record: false,
        bit: undo::PEER_GSO_MAX_SEGS,
        // A link cuts what is longer than it may be into packets before it sends it (net/core/dev.c, gso_features_check).
        wanted: |request, needs| {
            let has_peer = request.direction == Direction::Ingress && !request.link.is_loopback();
            gso::max_segs(needs).filter(|_| has_peer)
        },
        noted: |record| [&mut record.peer_gso_max_segs_before, &mut record.peer_gso_max_segs_set],
        now: |link| link.gso_max_segs,
        to: |segs| Settings { gso_max_segs: Some(segs), ..Settings::default() },
    },
    Setting {
        name: "mtu of the link",
        whose: Whose::Link,
        is_in_one_record: true,
        bit: undo::MTU,
        wanted: |request, _| request.mtu,
        noted: |record| [&mut record.mtu_before, &mut record.mtu_set],
        now: |link| Some(link.mtu),
        to: |bytes| Settings { mtu: Some(bytes), ..Settings::default() },
    },
];

/// The MTU that somebody asked for, in bytes, by the record of an attachment.
#[must_use]
pub fn mtu_of(record: &Record) -> Option<u32> {
    (record.undo & undo::MTU != 0).then_some(record.mtu_set)
}

/// What has to be said of an attachment whose rules need single packets and may meet more than one at a time.
#[must_use]
pub fn note_of(direction: Direction, link: &Link, record: &Record, needs: &Needs) -> Option<&'static str> {
    let may_meet =
        direction == Direction::Ingress && !link.is_loopback() && record.undo & undo::PEER_GSO_MAX_SEGS == 0;
    gso::max_segs(needs).filter(|_| may_meet).map(|_| ONE_FATE)
}

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

/// A link that has a setting.
enum Place {
    Link(Link),
    Peer(Peer),
}

impl Place {
    fn link(&self) -> &Link {
        match self {
            Self::Link(link) => link,
            Self::Peer(peer) => &peer.link,
        }
    }

    fn inverse(&self, message: Message<'static>) -> Inverse {
        match self {
            Self::Link(_) => Inverse::Send(message),
            Self::Peer(peer) => Inverse::Peer { of: Box::new(peer.of.clone()), message },
        }
    }

    fn send(&mut self, session: &mut Session, message: Message<'static>) -> Result<(), netlink::Error> {
        match self {
            // In a dry run what the other direction sets was only noted.
            Self::Link(_) if session.noted().iter().any(|noted| noted == message.command()) => Ok(()),
            Self::Link(_) => session.send(vec![message]),
            Self::Peer(peer) => peer.send(session, message),
        }
    }
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

    /// What the record of an attachment says.
    fn held_by(&self, found: &Attachment) -> Option<Held> {
        self.held(*found.record.as_ref().ok()?)
    }

    /// Where it is and what it is there; `None` where nobody can tell.
    fn place(&self, session: &mut Session, link: &Link) -> Option<(Place, u32)> {
        let place = match self.whose {
            Whose::Link => Place::Link(link.clone()),
            Whose::Peer => Place::Peer(Peer::find(session, link)?),
        };
        let now = (self.now)(place.link())?;
        Some((place, now))
    }

    fn message(&self, place: &Place, value: u32) -> Message<'static> {
        link::set(&place.link().device(), &(self.to)(value))
    }

    fn note(
        &self,
        session: &mut Session,
        maps: &Maps,
        record: &mut Record,
        held: Option<Held>,
    ) -> Result<(), Error> {
        session.on_failure(Inverse::record(maps, record)?);
        self.hold(record, held);
        if session.effect(|| format!("record of the {}", self.name)) {
            add::write_record(session, maps, record)?;
        }
        Ok(())
    }

    /// Goes the steps; when the link refuses the value, it is as before, and so is the record.
    fn go(
        &self,
        session: &mut Session,
        (place, now): (&mut Place, u32),
        steps: &Steps,
        maps: &Maps,
        record: &mut Record,
    ) -> Result<bool, Error> {
        let was = self.held(*record);
        if steps.held == was && steps.back.is_none() && steps.set.is_none() {
            return Ok(false);
        }
        if let Some(value) = steps.back {
            session.on_failure(place.inverse(self.message(place, now)));
            gone(place.send(session, self.message(place, value)))?;
        }
        self.note(session, maps, record, steps.held)?;
        let Some(value) = steps.set else { return Ok(true) };
        session.on_failure(place.inverse(self.message(place, now)));
        let Err(error) = place.send(session, self.message(place, value)) else { return Ok(true) };
        self.note(session, maps, record, was)?;
        if let (Some(_), Some(was)) = (steps.back, was) {
            place.send(session, self.message(place, was.set))?;
        }
        if self.whose == Whose::Peer { Ok(false) } else { Err(error.into()) }
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
    // As it is now: another engine's shape that was just cleared gave back what it had set.
    let Some(link) = survey.links.iter().find(|now| now.ifindex == request.link.ifindex) else {
        return Ok(false);
    };
    let other = other_direction(survey, link.ifindex, request.direction);
    let mut is_changed = false;
    for setting in &ALL {
        let (wanted, held) = ((setting.wanted)(request, needs), setting.held(*record));
        if wanted.is_none() && held.is_none() {
            continue;
        }
        let Some((mut place, now)) = setting.place(session, link) else {
            match wanted {
                Some(_) if setting.whose == Whose::Peer => drop(session.effect(|| ONE_FATE.to_owned())),
                Some(_) => {}
                None => setting.note(session, maps, record, None)?,
            }
            continue;
        };
        let other_held =
            other.and_then(|other| setting.held_by(other)).filter(|_| setting.whose == Whose::Link);
        if let (true, Some(_), Some((maps, record))) =
            (setting.is_in_one_record && wanted.is_some(), other_held, other.and_then(parts))
        {
            let steps = steps(wanted, now, other_held, None);
            is_changed |= setting.go(session, (&mut place, now), &steps, maps, &mut record.clone())?;
            continue;
        }
        let steps = steps(wanted, now, held, other_held);
        is_changed |= setting.go(session, (&mut place, now), &steps, maps, record)?;
    }
    Ok(is_changed)
}

fn parts(found: &Attachment) -> Option<(&Maps, &Record)> {
    Some((found.maps.as_ref().ok()?, found.record.as_ref().ok()?))
}

fn other_direction(survey: &Survey, ifindex: u32, direction: Direction) -> Option<&Attachment> {
    let mut others = survey.attachments.iter().filter(|other| other.link.ifindex == ifindex);
    others.find(|other| other.direction != direction)
}

/// Gives back what the rules of an attachment that goes had set; `is_last`: no other direction of the link has rules any more.
pub(super) fn give_back(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    is_last: bool,
) -> Result<(), Error> {
    let other = other_direction(survey, found.link.ifindex, found.direction).filter(|_| !is_last);
    for setting in &ALL {
        let Some(held) = setting.held_by(found) else { continue };
        // A peer that is gone, or that cannot be found any more, is as good as given back.
        let Some((mut place, now)) = setting.place(session, &found.link) else { continue };
        let other = other.and_then(|other| setting.held_by(other)).filter(|_| setting.whose == Whose::Link);
        if let Some(value) = steps(None, now, Some(held), other).back {
            gone(place.send(session, setting.message(&place, value)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::shape_of;

    fn held(before: u32, set: u32) -> Option<Held> {
        Some(Held { before, set })
    }

    #[test]
    fn what_comes_in_whole_is_said() {
        let veth = Link { flags: 0, ..link() };
        let lo = Link { flags: libc::IFF_LOOPBACK.cast_unsigned(), ..link() };
        let found = Record { undo: undo::PEER_GSO_MAX_SEGS, ..Record::default() };
        let none = Record::default();
        let [loss, latency] = ["loss=1%", "latency=1ms"].map(|text| Needs::from(shape_of(text)));
        for (direction, link, record, needs, is_said) in [
            (Direction::Ingress, &veth, &none, &loss, true),
            (Direction::Ingress, &veth, &found, &loss, false),
            (Direction::Ingress, &veth, &none, &latency, false),
            (Direction::Ingress, &lo, &none, &loss, false),
            (Direction::Egress, &veth, &none, &loss, false),
        ] {
            assert_eq!(
                note_of(direction, link, record, needs).is_some(),
                is_said,
                "{direction:?} {link:?} {record:?}"
            );
        }
    }

    fn link() -> Link {
        Link { ifindex: 2, name: "eth0".to_owned(), mtu: 1500, ..Link::default() }
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
