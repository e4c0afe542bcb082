//! Answers to rejected packets: a second filter behind ours, which gets what ours marked and lets pass; and, on the hook that
//! the answers come by, another one, which takes their mark off where no filter of ours does.
//!
//! ```text
//! egress:   eth0 clsact egress: pref 90: shaper_* ─▶ pref 91 handle 1: shaper_answer ─▶ eth0 clsact ingress: handle 2: shaper_forget
//! ingress:  eth0 clsact ingress, or egress of its ifb: the same ─▶ eth0 clsact egress: pref 91 handle 2: shaper_forget
//! ```

use std::os::fd::AsFd as _;

use shaper_common::abi::{Direction, program};

use crate::attachment::{ANSWER_PREF, FILTER_HANDLE, Survey, WAY_BACK_HANDLE, hook, is_answer};
use crate::bpf::object::Room;
use crate::bpf::{self, Maps, Object};
use crate::netlink::Message;
use crate::netlink::link::{Device, Link};
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::{Handle, Verb, filter as tc_filter};

use super::inverse::Inverse;
use super::{Error, Session, add};

/// The loopback is the first link of each namespace.
const LOOPBACK_IFINDEX: u32 = 1;

/// Puts both filters on, whose clsacts are there; `holder` is the ifb of an ingress shape, `maps` are the attachment's.
///
/// # Errors
///
/// When the kernel refuses a program or a filter, as it does when somebody else's filter has the place.
pub(super) fn attach(
    session: &mut Session,
    link: &Device,
    direction: Direction,
    holder: Option<&Device>,
    maps: &Maps,
) -> Result<(), Error> {
    let object = Object::committed()?;
    // The attachment has the maps of its own programs; the others of the object have to be bound to some too.
    let held = maps.try_clone().map_err(Error::Maps)?;
    let maps = add::make_maps(session, &object, &Room::default(), held)?;
    let programs = object.bind(&maps)?;
    let answer = add::load(session, &programs, program::ANSWER)?;
    let forget = add::load(session, &programs, program::FORGET)?;
    let mut messages = Vec::new();
    for filter in filters(link, direction, holder) {
        let before = there(session, &filter)?;
        let verb = if before.is_some() { Verb::Replace } else { Verb::Add };
        let program = if filter.handle == WAY_BACK_HANDLE { &forget } else { &answer };
        messages.push(filter.attach(verb, program.as_fd()));
        session.on_failure(match before {
            Some(id) => {
                let program = bpf::sys::prog_fd_by_id(id).map_err(Error::Maps)?;
                Inverse::Program { hook: filter, program }
            }
            None => Inverse::Send(filter.delete()),
        });
    }
    session.send(messages)?;
    Ok(())
}

/// Takes those away that are on the link; what is on an ifb goes with it.
pub(super) fn delete(survey: &Survey, link: &Device, direction: Direction) -> Vec<Message<'static>> {
    let is_there = |filter: &Filter| survey.answers.contains(&(link.ifindex, filter.parent, filter.handle));
    filters(link, direction, None).iter().filter(|filter| is_there(filter)).map(Filter::delete).collect()
}

/// Takes those away that no attachment has.
pub(super) fn strays(survey: &Survey) -> Vec<Message<'static>> {
    let is_wanted = |ifindex: u32, parent: Handle, handle: u32| {
        let of_link = survey.attachments.iter().filter(|found| found.link.ifindex == ifindex);
        let mut wanted = of_link.flat_map(|found| filters(&found.link.device(), found.direction, None));
        wanted.any(|filter| filter.parent == parent && filter.handle == handle)
    };
    let strays =
        survey.answers.iter().filter(|(ifindex, parent, handle)| !is_wanted(*ifindex, *parent, *handle));
    let dev = |ifindex: u32| survey.links.iter().find(|link| link.ifindex == ifindex).map(Link::device);
    strays
        .filter_map(|(ifindex, parent, handle)| Some(filter(&dev(*ifindex)?, *parent, *handle).delete()))
        .collect()
}

/// Id of the program that is there.
fn there(session: &mut Session, filter: &Filter) -> Result<Option<u32>, Error> {
    // In a dry run neither hook nor ifb need be there to be looked at.
    if session.is_dry() {
        return Ok(None);
    }
    let found = tc_filter::dump(session.socket(), &filter.dev, filter.parent)?;
    let found = found.into_iter().find(|found| is_answer(found) && found.handle == filter.handle);
    Ok(found.and_then(|found| found.bpf?.id))
}

/// The filter that answers, and the one on the way back.
fn filters(link: &Device, direction: Direction, holder: Option<&Device>) -> Vec<Filter> {
    let (dev, parent) = holder.map_or((link, hook(direction)), |holder| (holder, Handle::EGRESS));
    let mut filters = vec![filter(dev, parent, FILTER_HANDLE)];
    let back = match direction {
        Direction::Egress => Some(Direction::Ingress),
        // What comes in on the loopback is answered further in, and the mark of what leaves is still needed there.
        Direction::Ingress if link.ifindex == LOOPBACK_IFINDEX => None,
        Direction::Ingress => Some(Direction::Egress),
    };
    filters.extend(back.map(|back| filter(link, hook(back), WAY_BACK_HANDLE)));
    filters
}

fn filter(dev: &Device, parent: Handle, handle: u32) -> Filter {
    Filter {
        dev: dev.clone(),
        parent,
        pref: ANSWER_PREF,
        handle,
        name: if handle == WAY_BACK_HANDLE { program::FORGET } else { program::ANSWER }.to_owned(),
        action: Action::Direct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ifindex: u32, direction: Direction, holder: Option<&Device>) -> Vec<(u32, Handle, u16, u32)> {
        let link = Device { ifindex, name: "link".into() };
        let place = |filter: &Filter| (filter.dev.ifindex, filter.parent, filter.pref, filter.handle);
        filters(&link, direction, holder).iter().map(place).collect()
    }

    #[test]
    fn answers_go_back_over_the_other_hook_of_the_link() {
        use Direction::{Egress, Ingress};
        let (out, into) = (Handle::EGRESS, Handle::INGRESS);
        let ifb = Device { ifindex: 9, name: "ifb".into() };
        assert_eq!(places(2, Egress, None), [(2, out, 91, 1), (2, into, 91, 2)]);
        assert_eq!(places(2, Ingress, None), [(2, into, 91, 1), (2, out, 91, 2)]);
        assert_eq!(places(2, Ingress, Some(&ifb)), [(9, out, 91, 1), (2, out, 91, 2)]);
    }

    #[test]
    fn on_the_loopback_both_ends_are_inside() {
        let (out, into) = (Handle::EGRESS, Handle::INGRESS);
        assert_eq!(places(1, Direction::Egress, None), [(1, out, 91, 1), (1, into, 91, 2)]);
        assert_eq!(places(1, Direction::Ingress, None), [(1, into, 91, 1)]);
    }
}
