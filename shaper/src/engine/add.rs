//! Rules for a direction of a link that has none.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::fd::{AsFd as _, OwnedFd};

use shaper_common::abi::{self, Direction, Engine, Entry, Link as Record, program, undo};

use crate::attachment::{self, FILTER_HANDLE, PREF, ROOT, Survey};
use crate::bpf::object::{Programs, Room};
use crate::bpf::{self, Maps, Object};
use crate::netlink::link::{self, AddrGenMode, Device, Settings};
use crate::plan::set::Set;
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::filter::{Mirred, Side};
use crate::tc::qdisc::Qdisc;
use crate::tc::{Handle, Verb};

use super::inverse::Inverse;
use super::{Error, Request, Session, answer, clear, edt, finish, loopback, netem, relay, settings};

/// Older heartbeats mean that nobody reads the TAP: four beats of the relay.
const STALE_AFTER_NS: u64 = 200_000_000;

/// Puts the rules on, in the order that the module's parent describes; `old` are those that were there with another engine.
pub(super) fn add(session: &mut Session, request: &Request, old: &[(u32, Entry)]) -> Result<(), Error> {
    let survey = session.survey()?;
    let Request { link, direction, engine, .. } = request;
    let mut set = request.set(old)?;
    set.begin_at_zero();
    let needs = request.needs(&set);
    refuse_foreign_root(&survey, request)?;
    let mut record = record(session, &survey, request)?;
    let had_clsact = record.undo & undo::CLSACT == 0;
    session.on_failure(Inverse::Added { ifindex: link.ifindex, direction: *direction, had_clsact });
    clear::leftovers_of(session, &survey, link.ifindex, *direction)?;

    let object = Object::committed()?;
    let maps = make_maps(session, &object, &Room::for_set(&set), Maps::default())?;
    let programs = object.bind(&maps)?;
    write_record(session, &maps, &record)?;
    fill(session, &maps, &set)?;

    let (queue_dev, hook) = match engine {
        Engine::Relay => {
            let tap = relay::start(session, request, &needs, &maps, &programs)?;
            record.holder_ifindex = tap.ifindex;
            (None, filter(&link.device(), *direction, program::STEER, Action::Direct))
        }
        Engine::Edt | Engine::Netem => {
            let name = decider(*engine);
            match direction {
                Direction::Egress => {
                    (Some(link.device()), filter(&link.device(), *direction, name, Action::Direct))
                }
                Direction::Ingress => {
                    let program = load(session, &programs, name)?;
                    let ifb = add_ifb(session, request, name, &program)?;
                    record.holder_ifindex = ifb.ifindex;
                    let action = Action::Redirect(Mirred { side: Side::Egress, dev: ifb.clone() });
                    (Some(ifb), filter(&link.device(), *direction, program::DIVERT, action))
                }
            }
        }
    };
    write_record(session, &maps, &record)?;
    attach(session, &survey, &hook, &programs)?;
    if set.answers() {
        let ifb = queue_dev.as_ref().filter(|_| *direction == Direction::Ingress);
        answer::attach(session, &link.device(), *direction, ifb, &maps)?;
    }

    if let Some(dev) = queue_dev {
        if *engine == Engine::Edt && needs.any(|shape| shape.corrupt().is_some()) {
            finish::attach(session, &dev)?;
        }
        match engine {
            Engine::Edt => session.send(edt::queue(&dev, &needs))?,
            Engine::Netem => netem::queue(session, &dev, &set)?,
            Engine::Relay => {}
        }
    }
    loopback::switch(session, link, record.undo, true)?;
    settings::set(session, &survey, request, &needs, &maps, &mut record)?;
    if session.effect(|| describe(request, &set)) {
        record.rules = count(&set);
        write_record(session, &maps, &record)?;
    }
    Ok(())
}

/// Makes the maps of a rule set beside those that are kept.
pub(super) fn make_maps(
    session: &mut Session,
    object: &Object,
    room: &Room,
    kept: Maps,
) -> Result<Maps, Error> {
    let refused = |source| bpf::object::Error::CreateMap { name: abi::map::RULES.to_owned(), source };
    Ok(session.begin(refused)?.done(object.create_maps_beside(room, kept))?)
}

/// Loads a program.
pub(super) fn load(session: &mut Session, programs: &Programs, name: &str) -> Result<OwnedFd, Error> {
    let refused =
        |source| bpf::object::Error::LoadProgram { name: name.to_owned(), log: String::new(), source };
    Ok(session.begin(refused)?.done(programs.load(name))?)
}

/// Fills maps that no packet is looked up in yet.
pub(super) fn fill(session: &mut Session, maps: &Maps, set: &Set) -> Result<(), Error> {
    let step = session.begin(bpf::object::Error::write(abi::map::RULES))?;
    Ok(step.done(maps.fill(set))?)
}

/// Writes the record of a link.
pub(super) fn write_record(session: &mut Session, maps: &Maps, record: &Record) -> Result<(), Error> {
    let step = session.begin(bpf::object::Error::write(abi::map::LINK))?;
    Ok(step.done(maps.set_link(record))?)
}

/// The program that decides, of an engine with a qdisc.
pub(super) fn decider(engine: Engine) -> &'static str {
    match engine {
        Engine::Edt => program::EDT,
        Engine::Netem => program::NETEM,
        Engine::Relay => program::STEER,
    }
}

/// The number of rules as the record has it: never zero, which says that they are not there yet.
pub(super) fn count(set: &Set) -> u32 {
    u32::try_from(set.rules.len()).unwrap_or(u32::MAX).max(1)
}

/// What [`Session`] notes for the write that puts rules in force: what becomes of the rules, one on each line.
pub(super) fn describe(request: &Request, set: &Set) -> String {
    let place = format!(
        "{} of `{}`",
        crate::shape::Named::name(crate::shape::Direction::from(request.direction)),
        request.link.name
    );
    let changes = set.changes(request.now_ns);
    let mut told = format!("rules: {place}: {} in force, {} changed", set.rules.len(), changes.len());
    changes.iter().for_each(|change| told.push_str(&format!("\n# {change}")));
    told
}

/// Sees that the place of the root qdisc is free, where the engine needs it.
pub(super) fn refuse_foreign_root(survey: &Survey, request: &Request) -> Result<(), Error> {
    let is_needed = request.direction == Direction::Egress && request.engine != Engine::Relay;
    match survey.root(request.link.ifindex).filter(|_| is_needed) {
        // The kernel's own default has no handle; one of ours is there when a killed command left it.
        Some(root) if root.handle.major() != 0 && root.handle != ROOT => Err(Error::ForeignRoot {
            link: request.link.name.clone(),
            kind: root.kind.clone(),
            handle: root.handle,
            engine: request.engine,
        }),
        _ => Ok(()),
    }
}

fn record(session: &Session, survey: &Survey, request: &Request) -> Result<Record, Error> {
    let Request { link, direction, engine, .. } = request;
    let mut record = Record {
        abi_version: abi::ABI_VERSION,
        engine: *engine as u32,
        ifindex: link.ifindex,
        direction: *direction as u32,
        htb: ROOT.to_u32(),
        stale_after_ns: STALE_AFTER_NS,
        engine_asked: u32::from(request.engine_asked),
        flags: request.flags,
        ..Record::default()
    };
    record.undo |= match survey.clsact(link) {
        None => undo::CLSACT,
        Some(_) => clear::undo_of_others(survey, link.ifindex, undo::CLSACT),
    };
    if *direction == Direction::Egress && *engine != Engine::Relay {
        record.undo |= undo::ROOT_QDISC;
    }
    if *engine == Engine::Relay || *direction == Direction::Ingress {
        record.undo |= undo::HOLDER;
    }
    if *engine == Engine::Relay && link.is_loopback() {
        record.undo |= loopback::wanted(session, link)?;
    }
    // Whoever is cleared last puts them back, and the one for whom they were changed may not be.
    record.undo |= clear::undo_of_others(survey, link.ifindex, loopback::UNDO);
    Ok(record)
}

pub(super) fn filter(dev: &Device, direction: Direction, name: &str, action: Action) -> Filter {
    Filter {
        dev: dev.clone(),
        parent: attachment::hook(direction),
        pref: PREF,
        handle: FILTER_HANDLE,
        name: name.to_owned(),
        action,
    }
}

/// The hook on the link: with the clsact qdisc, where there is none, in one batch, so that a killed command cannot leave
/// a clsact of which nobody knows whose it is.
fn attach(session: &mut Session, survey: &Survey, hook: &Filter, programs: &Programs) -> Result<(), Error> {
    let program = load(session, programs, &hook.name)?;
    let mut messages = Vec::new();
    let has_clsact =
        survey.qdiscs.iter().any(|qdisc| qdisc.ifindex == hook.dev.ifindex && qdisc.parent == Handle::CLSACT);
    let clsact = Qdisc::clsact(hook.dev.clone()).message(Verb::Add);
    // In a dry run the other direction's clsact was only noted.
    if !has_clsact && !session.noted().iter().any(|noted| noted == clsact.command()) {
        messages.push(clsact);
    }
    // Never a replacement: what is in our place and was not found to be ours is somebody else's.
    messages.push(hook.attach(Verb::Add, program.as_fd()));
    session.send(messages)?;
    Ok(())
}

/// The ifb of an ingress shape, with the engine's program on its egress.
fn add_ifb(session: &mut Session, request: &Request, name: &str, program: &OwnedFd) -> Result<Device, Error> {
    let ifb = attachment::ifb_name(request.link.ifindex);
    let settings = Settings {
        ifalias: Some(format!("shaper: ingress of {}", request.link.name)),
        addr_gen_mode: Some(AddrGenMode::None),
        ..Settings::default()
    };
    session.send(vec![
        link::add("ifb", &Settings { name: Some(ifb.clone()), ..Settings::default() }),
        link::set_by_name(&ifb, &settings),
        link::set_by_name(&ifb, &Settings { up: Some(true), ..Settings::default() }),
    ])?;
    let dev = if session.is_dry() {
        Device { ifindex: 0, name: ifb }
    } else {
        link::by_name(session.socket(), &ifb)?.device()
    };
    let hook = filter(&dev, Direction::Egress, name, Action::Direct);
    session.send(vec![
        Qdisc::clsact(dev.clone()).message(Verb::Add),
        hook.attach(Verb::Replace, program.as_fd()),
    ])?;
    Ok(dev)
}

/// A seed for a shape that came without one; 52 bits, so that it is the same number in every JSON reader.
#[must_use]
pub fn draw_seed() -> u64 {
    // The standard library seeds each of these from the system's source of randomness.
    RandomState::new().build_hasher().finish() >> 12
}
