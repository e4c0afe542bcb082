//! A shape for a direction of a link that has one: no packet is lost, none passes unshaped.

use shaper_common::abi::{Direction, Engine, Link as Record, Rule, undo};
use shaper_common::memory;

use crate::attachment::{Attachment, ROOT, Survey};
use crate::bpf::Maps;
use crate::plan::{gso, limits, rule};

use super::{Error, Outcome, Request, Session, add, edt, engine_of, finish, netem, queue_device, relay};

/// Whether what is there can go on with another rule: the same engine, our own layout, and its queue in place.
pub(super) fn is_possible(survey: &Survey, found: &Attachment, engine: Engine) -> bool {
    if found.maps.is_err() || engine_of(found) != Some(engine) {
        return false;
    }
    let root_is = |kind: &str| {
        queue_device(survey, found)
            .and_then(|dev| survey.root(dev.ifindex))
            .is_some_and(|root| root.handle == ROOT && root.kind == kind)
    };
    match engine {
        Engine::Edt => root_is("fq"),
        Engine::Netem => {
            root_is("htb")
                && queue_device(survey, found).is_some_and(|dev| survey.leaf(dev.ifindex).is_some())
        }
        // A relay that is gone is started again, with the maps and the filter that are there.
        Engine::Relay => true,
    }
}

/// Widens the queue where the new shape needs room, then swaps the rule.
pub(super) fn change(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    request: &Request,
) -> Result<Outcome, Error> {
    let (Ok(maps), Ok(record)) = (&found.maps, &found.record) else {
        return Ok(Outcome::Unchanged);
    };
    let had = maps.rule()?;
    let seed = request.shape.seed().or(had.map(|rule| rule.seed));
    let seed = seed.unwrap_or_else(add::draw_seed);
    let first_index = had.map_or(0, |rule| rule.first_index);
    let wanted = rule::of_shape(&request.shape, request.direction, seed, request.expires_ns);
    let wanted = Rule { first_index, ..wanted };
    let mut record = *record;

    let restarted = request.engine == Engine::Relay && !relay::is_alive(found);
    if restarted {
        relay::restart(session, request, found, maps, &mut record)?;
    }
    let gso_changed = set_gso(session, found, request, &mut record)?;
    let same = had == Some(wanted)
        && record.queue_bytes == rule::queue_bytes(&request.shape)
        && record.burst_bytes == rule::burst_bytes(&request.shape)
        && is_held_so(survey, found, request, seed);
    if same && !gso_changed {
        return Ok(if restarted { Outcome::Restarted } else { Outcome::Unchanged });
    }
    widen(session, survey, found, request, maps, seed)?;
    record.queue_bytes = rule::queue_bytes(&request.shape);
    record.burst_bytes = rule::burst_bytes(&request.shape);
    record.before = maps.counters()?;
    record.engine_asked |= u32::from(request.engine_asked);
    // Packet 0 of the new shape is the next one, so that a seed means the same with every shape.
    let first_index = match request.engine {
        // Netem numbers no packets, and its program has no such map.
        Engine::Netem => 0,
        Engine::Edt | Engine::Relay => maps.state()?.map_or(0, |state| memory::index(state.sequence)),
    };
    swap(session, request, maps, &record, &Rule { first_index, ..wanted })?;
    Ok(if had.is_none() { Outcome::Added } else { Outcome::Changed })
}

/// Whether the queue has this very shape; only netem's knows of shapes, and a command killed before the rule was written
/// leaves it with another one than the rule says.
fn is_held_so(survey: &Survey, found: &Attachment, request: &Request, seed: u64) -> bool {
    let leaf = queue_device(survey, found).and_then(|dev| survey.leaf(dev.ifindex));
    match (request.engine, leaf) {
        (Engine::Netem, Some(leaf)) => netem::is_so(leaf, &request.shape, seed),
        _ => true,
    }
}

fn swap(
    session: &mut Session,
    request: &Request,
    maps: &Maps,
    record: &Record,
    wanted: &Rule,
) -> Result<(), Error> {
    if session.effect(|| format!("rule: {}", add::describe(request))) {
        maps.set_link(record)?;
        maps.set_rule(wanted)?;
    }
    Ok(())
}

fn widen(
    session: &mut Session,
    survey: &Survey,
    found: &Attachment,
    request: &Request,
    maps: &Maps,
    seed: u64,
) -> Result<(), Error> {
    let shape = &request.shape;
    let dev = queue_device(survey, found);
    let messages = match (request.engine, dev) {
        (Engine::Edt, Some(dev)) => {
            if shape.corrupt().is_some() {
                finish::attach(session, &dev.device())?;
            }
            survey.root(dev.ifindex).map(|root| edt::widen(&dev.device(), shape, root)).unwrap_or_default()
        }
        (Engine::Netem, Some(dev)) => survey
            .leaf(dev.ifindex)
            .map(|leaf| netem::change(&dev.device(), shape, seed, leaf))
            .unwrap_or_default(),
        (Engine::Edt | Engine::Netem, None) => Vec::new(),
        (Engine::Relay, _) => {
            if session.effect(|| format!("relay: room for {} packets", limits::packets(shape))) {
                relay::widen(maps, shape)?;
            }
            Vec::new()
        }
    };
    session.send(messages)?;
    Ok(())
}

/// Sets the link's `gso_max_segs` as the new shape needs it, with the record of it first; whether anything was to do.
fn set_gso(
    session: &mut Session,
    found: &Attachment,
    request: &Request,
    record: &mut Record,
) -> Result<bool, Error> {
    if found.direction != Direction::Egress {
        return Ok(false);
    }
    let (now, ours) = (found.link.gso_max_segs, record.undo & undo::GSO_MAX_SEGS != 0);
    let Ok(maps) = &found.maps else {
        return Ok(false);
    };
    match (gso::max_segs(&request.shape), ours) {
        (Some(_), false) => {
            add::want_gso_max_segs(record, request, now);
            if record.undo & undo::GSO_MAX_SEGS == 0 {
                return Ok(false);
            }
            if session.effect(|| "record of the link's gso_max_segs".to_owned()) {
                maps.set_link(record)?;
            }
            session.send(vec![add::set_gso_max_segs(&found.link.device(), record.gso_max_segs_set)])?;
            Ok(true)
        }
        (Some(segs), true) if now != Some(segs) => {
            session.send(vec![add::set_gso_max_segs(&found.link.device(), segs)])?;
            Ok(true)
        }
        (None, true) => {
            if now == Some(record.gso_max_segs_set) {
                session
                    .send(vec![add::set_gso_max_segs(&found.link.device(), record.gso_max_segs_before)])?;
            }
            record.undo &= !undo::GSO_MAX_SEGS;
            Ok(true)
        }
        (Some(_), true) | (None, false) => Ok(false),
    }
}
