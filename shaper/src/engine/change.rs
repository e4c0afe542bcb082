//! Rules for a direction of a link that has some: no packet is lost, none passes unshaped.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use shaper_common::abi::{self, Direction, Engine, Rule, program};
use shaper_common::memory;

use crate::attachment::{Attachment, ROOT, Survey};
use crate::bpf::object::Room;
use crate::bpf::{self, Maps, Object};
use crate::netlink::link::Link;
use crate::plan::set::{Set, Slotted};
use crate::plan::{Needs, gso, rule};
use crate::tc::filter::bpf::Action;
use crate::tc::filter::{Mirred, Side};
use crate::tc::{self, Verb};

use super::inverse::Inverse;
use super::{
    Error, Outcome, Request, Session, add, answer, edt, engine_of, finish, netem, queue_device, relay,
    settings,
};

/// Whether what is there can go on with other rules: the same engine, our own layout, and its queue in place.
pub(super) fn is_possible(survey: &Survey, found: &Attachment, engine: Engine) -> bool {
    // Before its first rules are in force, an `apply` was killed, and nobody knows how far it had come.
    let is_whole = found.record.as_ref().is_ok_and(|record| record.rules != 0);
    if found.maps.is_err() || engine_of(found) != Some(engine) || !is_whole {
        return false;
    }
    let root_is = |kind: &str| {
        queue_device(survey, found)
            .and_then(|dev| survey.root(dev.ifindex))
            .is_some_and(|root| root.handle == ROOT && root.kind == kind)
    };
    match engine {
        Engine::Edt => root_is("fq"),
        Engine::Netem => root_is("htb"),
        // A relay that is gone is started again, with the maps and the filter that are there.
        Engine::Relay => true,
    }
}

/// Takes what the new rules need more of, swaps the rules, and gives back what they do not need any more.
pub(super) fn change(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    request: &Request,
) -> Result<Outcome, Error> {
    let (Ok(maps), Ok(record)) = (&found.maps, &found.record) else {
        return Ok(Outcome::Unchanged);
    };
    let mut record = *record;
    let old = maps.rules()?;
    let mut set = request.set(&old)?;
    let needs = request.needs(&set);

    let restarted = request.engine == Engine::Relay && !relay::is_alive(found);
    if restarted {
        relay::restart(session, request, &needs, found, maps, &mut record)?;
    }
    let shapes = old.iter().filter_map(|(_, entry)| rule::shape_of(entry)).collect();
    let had_needs = Needs { shapes, ..Needs::default() };
    // What the old rules still need is given back when they are gone.
    let either = needs.clone().and(had_needs.clone());
    let is_set_otherwise = settings::set(session, survey, request, &either, maps, &mut record)?;
    let leaves = leaves(survey, found);
    let is_held_so = request.engine != Engine::Netem || netem::are_so(&set, &leaves);
    let is_same = set.is_unchanged() && record.flags == request.flags && is_held_so;
    if is_same && !is_set_otherwise {
        return Ok(if restarted { Outcome::Restarted } else { Outcome::Unchanged });
    }
    if set.answers() {
        let ifb = found.holder.as_ref().filter(|_| request.engine != Engine::Relay).map(|ifb| ifb.device());
        answer::attach(session, &found.link.device(), found.direction, ifb.as_ref(), maps)?;
    }
    widen(session, survey, found, &needs, maps)?;
    let queue = queue_device(survey, found).filter(|_| request.engine == Engine::Netem).map(Link::device);
    if let Some(dev) = &queue {
        netem::change(session, dev, &set, &leaves)?;
    }
    let had = record;
    record.engine_asked |= u32::from(request.engine_asked);
    record.flags = request.flags;
    record.rules = add::count(&set);
    if session.effect(|| add::describe(request, &set)) {
        begin_anew(maps, &mut set)?;
        match set.only_change() {
            Some(rule) if set.removed.is_empty() => set_rule(session, maps, rule)?,
            None if set.is_unchanged() => {}
            _ => swap(session, found, request, maps, &set)?,
        }
        if record != had {
            session.on_failure(Inverse::record(maps, &had)?);
            add::write_record(session, maps, &record)?;
        }
    }
    if gso::max_segs(&had_needs).is_some() && gso::max_segs(&needs).is_none() {
        let now = session.survey()?;
        settings::set(session, &now, request, &needs, maps, &mut record)?;
    }
    if let Some(dev) = &queue {
        netem::sweep(session, dev, &set, &leaves, &old)?;
    }
    Ok(Outcome::Changed)
}

fn set_rule(session: &mut Session, maps: &Maps, rule: &Slotted) -> Result<(), Error> {
    if let Some(before) = maps.rule(rule.slot)? {
        let maps = maps.try_clone().map_err(Error::Maps)?;
        session.on_failure(Inverse::Rule { maps, slot: rule.slot, entry: Box::new(before) });
    }
    let step = session.begin(bpf::object::Error::write(abi::map::RULES))?;
    Ok(step.done(maps.set_rule(rule.slot, &rule.entry))?)
}

fn leaves<'a>(survey: &'a Survey, found: &Attachment) -> BTreeMap<u32, &'a tc::Observed> {
    queue_device(survey, found).map(|dev| survey.leaves(dev.ifindex).collect()).unwrap_or_default()
}

/// Notes in the rules that are changed where their counts and their packets' numbers begin: packet 0 of a new shape is the next
/// one, so that a seed means the same with every shape.
fn begin_anew(maps: &Maps, set: &mut Set) -> Result<(), Error> {
    /// From so many rules on all are read together, many to a system call.
    const MANY: usize = 64;
    let changed = |rule: &&mut Slotted| rule.before.is_some() && !rule.is_unchanged();
    let is_many = set.rules.iter_mut().filter(changed).count() >= MANY;
    let all = if is_many { Some((maps.all_states()?, maps.all_counters()?)) } else { None };
    for Slotted { slot, entry, .. } in set.rules.iter_mut().filter(changed) {
        let (state, counters) = match &all {
            Some((states, counters)) => {
                let index = *slot as usize;
                (states.get(index).copied(), counters.get(index).copied().unwrap_or_default())
            }
            None => (maps.state(*slot)?, maps.counters(*slot)?),
        };
        let sequence = state.map_or(0, |state| state.sequence);
        entry.rule = Rule { first_index: memory::index(sequence), ..entry.rule };
        entry.asked.before = counters;
    }
    Ok(())
}

/// Puts a program with tables of its own in the place of the one that is there: each packet meets the old rules or the new
/// ones, and none of both.
fn swap(
    session: &mut Session,
    found: &Attachment,
    request: &Request,
    maps: &Maps,
    set: &Set,
) -> Result<(), Error> {
    let object = Object::committed()?;
    let room = Room::for_set(set);
    let kept = maps.shared().map_err(Error::Maps)?;
    let grows = !kept.has_slots(room.slots);
    let new = add::make_maps(session, &object, &room, kept)?;
    let step = session.begin(bpf::object::Error::write(abi::map::COUNTERS))?;
    step.done(hand_over(maps, &new, set, grows))?;
    add::fill(session, &new, set)?;
    let programs = object.bind(&new)?;
    let name = add::decider(request.engine);
    let ifb = found.holder.as_ref().filter(|_| request.engine != Engine::Relay);
    let on_link =
        |name, action| (add::filter(&found.link.device(), found.direction, name, action), found.hook_program);
    let mut hooks = Vec::new();
    match (found.direction, ifb) {
        (Direction::Ingress, Some(ifb)) => {
            hooks.push((add::filter(&ifb.device(), Direction::Egress, name, Action::Direct), found.program));
            if grows {
                let action = Action::Redirect(Mirred { side: Side::Egress, dev: ifb.device() });
                hooks.push(on_link(program::DIVERT, action));
            }
        }
        _ => hooks.push(on_link(name, Action::Direct)),
    }
    let mut loaded = Vec::new();
    for (hook, before) in &hooks {
        let program = bpf::sys::prog_fd_by_id(*before).map_err(Error::Maps)?;
        session.on_failure(Inverse::Program { hook: hook.clone(), program });
        loaded.push(add::load(session, &programs, &hook.name)?);
    }
    let messages = hooks.iter().zip(&loaded);
    let messages = messages.map(|((hook, _), program)| hook.attach(Verb::Replace, program.as_fd()));
    session.send(messages.collect())?;
    Ok(())
}

/// Gives maps of other rules what rules that stay have counted and remember, and nothing to new ones.
fn hand_over(maps: &Maps, new: &Maps, set: &Set, grows: bool) -> Result<(), bpf::object::Error> {
    for rule in &set.rules {
        match rule.before {
            None => new.wipe(rule)?,
            Some(_) if grows => new.take_over(maps, rule.slot)?,
            Some(_) => {}
        }
    }
    if grows { new.take_over(maps, 0) } else { Ok(()) }
}

fn widen(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    needs: &Needs,
    maps: &Maps,
) -> Result<(), Error> {
    let dev = queue_device(survey, found);
    match (engine_of(found), dev) {
        (Some(Engine::Edt), Some(dev)) => {
            if needs.any(|shape| shape.corrupt().is_some()) {
                if !survey.finishers.contains(&dev.ifindex) {
                    session.on_failure(Inverse::Send(finish::filter(&dev.device()).delete()));
                }
                finish::attach(session, &dev.device())?;
            }
            let root = survey.root(dev.ifindex);
            if let Some((wide, before)) = root.and_then(|root| edt::widen(&dev.device(), needs, root)) {
                session.on_failure(Inverse::Send(before));
                session.send(vec![wide])?;
            }
        }
        (Some(Engine::Relay), _) => {
            if session.effect(|| "relay: room for what the rules may keep waiting".to_owned()) {
                // A bound and no queue: what it may keep more than before takes no room until packets come.
                let step = session.begin(bpf::object::Error::write(abi::map::RELAY))?;
                step.done(relay::widen(maps, needs))?;
            }
        }
        (Some(Engine::Edt | Engine::Netem) | None, _) => {}
    }
    Ok(())
}
