//! From what is wanted to what is there.

use std::net::IpAddr;
use std::path::PathBuf;

use shaper_common::abi::{self, Engine};

use super::pick::pick;
use super::{Address, Error, Routing, Wanted};
use crate::attachment::Survey;
use crate::engine::{self, AddressChange, Outcome, PolicyChange, PolicyRequest, Request, Session};
use crate::measure::clock;
use crate::netlink;
use crate::netlink::link::{self, Link};
use crate::plan::capable;
use crate::plan::set::Wish;
use crate::probe::{self, Cap, Picked};
use crate::report;
use crate::shape::EngineChoice;
use crate::target::Target;
use crate::target::link::choose;

/// What became of what was wanted.
#[derive(Debug)]
pub struct Made {
    /// Of the rules; `None` where none were wanted.
    pub shaped: Option<Shaped>,
    /// Of the addresses that were wanted.
    pub addresses: Vec<AddressChange>,
    /// Of the routing policy; `None` where none was wanted.
    pub policy: Option<PolicyChange>,
}

/// What became of the rules.
#[derive(Debug)]
pub struct Shaped {
    /// The link.
    pub link: String,
    /// The engine, and why that one.
    pub picked: Picked,
    /// What was done, of each direction.
    pub outcomes: Vec<Outcome>,
    /// What has to be said of it.
    pub note: Option<&'static str>,
}

/// Opens `target` for what is wanted of it, once it is known that an engine can do it and that this process may.
///
/// # Errors
///
/// What no engine asked for can do, a capability that is missing, and those of [`Session::open`].
pub fn open(target: &Target, wanted: &Wanted) -> Result<Session, Error> {
    if let Some(engine) = wanted.engine.engine() {
        capable::check(engine, &wanted.needs()).map_err(probe::Error::from)?;
    }
    let is_policy_alone = wanted.wishes.is_empty();
    probe::require(if is_policy_alone { &[Cap::NetAdmin, Cap::SysAdmin] } else { &Cap::ALL })?;
    Session::open(target.open()?).map_err(|error| Error::Open(Box::new(error)))
}

/// Makes it so in `target`, which `session` holds, as a whole or not at all.
///
/// # Errors
///
/// The first thing that cannot be, after what was done is undone.
pub fn make(session: &mut Session, target: &Target, wanted: &Wanted) -> Result<Made, Error> {
    let made = if wanted.wishes.is_empty() {
        without_rules(session, target, wanted)
    } else {
        with_rules(session, target, wanted)
    };
    match made {
        Ok(made) => {
            engine::done(session);
            made.addresses.iter().for_each(|change| change.announce(session));
            Ok(made)
        }
        // What the engine was to do, it has taken back, and with that all that came before.
        Err(error) => match engine::take_back(session) {
            Ok(()) => Err(error),
            Err(undo) => Err(Error::Undo { error: Box::new(error), undo: Box::new(undo) }),
        },
    }
}

fn with_rules(session: &mut Session, target: &Target, wanted: &Wanted) -> Result<Made, Error> {
    let survey = session.survey()?;
    let link = chosen(&survey.links, target, wanted)?.clone();
    let addresses = plan_addresses(session, target, wanted, &link)?;
    let mut requests = requests(wanted, &survey, &link, target.tether());
    let picked = pick(wanted, &survey, &mut requests)?;
    let policy = readdress(session, target, wanted, Some(&link), &addresses)?;
    let last = |session: &mut Session| policy.as_ref().map_or(Ok(()), |policy| policy.make(session));
    let outcomes = engine::apply_and(session, &requests, last).map_err(|source| match source {
        source @ engine::Error::Policy(_) => of_policy(target)(source),
        source => Error::Shape {
            direction: wanted.direction(),
            link: link.name.clone(),
            namespace: target.to_string(),
            source: Box::new(source),
        },
    })?;
    let note = note(session, &requests)?;
    Ok(Made { shaped: Some(Shaped { link: link.name, picked, outcomes, note }), addresses, policy })
}

fn without_rules(session: &mut Session, target: &Target, wanted: &Wanted) -> Result<Made, Error> {
    let is_of_a_link = !wanted.addresses.is_empty() || matches!(wanted.policy, Some(Routing::DenyAll { .. }));
    let link = if is_of_a_link {
        let links = link::dump(session.socket())?;
        Some(chosen(&links, target, wanted)?.clone())
    } else {
        None
    };
    let addresses = match &link {
        Some(link) => plan_addresses(session, target, wanted, link)?,
        None => Vec::new(),
    };
    let policy = readdress(session, target, wanted, link.as_ref(), &addresses)?;
    if let Some(change) = &policy {
        change.make(session).map_err(of_policy(target))?;
    }
    Ok(Made { shaped: None, addresses, policy })
}

/// Finds out what each address changes.
fn plan_addresses(
    session: &mut Session,
    target: &Target,
    wanted: &Wanted,
    link: &Link,
) -> Result<Vec<AddressChange>, Error> {
    let plan = |Address { address, prefix_len }: &Address| {
        AddressChange::plan(session, link, *address, *prefix_len)
            .map_err(of_address(target, &link.name, *address))
    };
    wanted.addresses.iter().map(plan).collect()
}

/// Gives the link its addresses, and finds out what the policy then changes: routes are copied with the address they are by.
fn readdress(
    session: &mut Session,
    target: &Target,
    wanted: &Wanted,
    link: Option<&Link>,
    addresses: &[AddressChange],
) -> Result<Option<PolicyChange>, Error> {
    for change in addresses {
        let name = link.map_or("", |link| &link.name);
        change.make(session).map_err(of_address(target, name, change.local()))?;
    }
    let policy = plan_policy(session, target, wanted, link)?;
    let of_before = addresses.iter().filter(|_| session.is_dry());
    Ok(policy.map(|policy| of_before.fold(policy, PolicyChange::behind)))
}

fn of_address(target: &Target, link: &str, address: IpAddr) -> impl Fn(engine::Error) -> Error {
    move |source| Error::Address {
        address,
        link: link.to_owned(),
        namespace: target.to_string(),
        source: Box::new(source),
    }
}

/// Finds out what a policy changes; nothing without one.
fn plan_policy(
    session: &mut Session,
    target: &Target,
    wanted: &Wanted,
    link: Option<&Link>,
) -> Result<Option<PolicyChange>, Error> {
    let request = match (&wanted.policy, link) {
        (Some(Routing::DenyAll { keep }), Some(link)) => {
            PolicyRequest::DenyAll { link: link.clone(), keep: keep.clone() }
        }
        (Some(Routing::AllowAll), _) => PolicyRequest::AllowAll,
        (None, _) | (Some(Routing::DenyAll { .. }), None) => return Ok(None),
    };
    PolicyChange::plan(session, &request).map(Some).map_err(of_policy(target))
}

fn of_policy(target: &Target) -> impl Fn(engine::Error) -> Error {
    |source| Error::Policy { namespace: target.to_string(), source: Box::new(source) }
}

fn chosen<'l>(links: &'l [Link], target: &Target, wanted: &Wanted) -> Result<&'l Link, Error> {
    choose(links, wanted.dev.as_deref())
        .map_err(|source| Error::Link { namespace: target.to_string(), source })
}

/// What is asked of the engine, for each direction; who it is comes later.
fn requests(wanted: &Wanted, survey: &Survey, link: &Link, tether: Option<PathBuf>) -> Vec<Request> {
    let now_ns = clock::now_ns();
    let seed = wanted.seed.unwrap_or_else(engine::draw_seed);
    let request = |(direction, wish): &(abi::Direction, Wish)| Request {
        link: link.clone(),
        direction: *direction,
        engine: Engine::Relay,
        engine_asked: wanted.engine != EngineChoice::Auto,
        wish: wish.clone(),
        flags: wanted.flags(survey.attachment_of(link.ifindex, *direction)),
        mtu: wanted.mtu(survey.attachment_of(link.ifindex, *direction)),
        now_ns,
        seed,
        tether: tether.clone(),
    };
    wanted.wishes.iter().map(request).collect()
}

/// What has to be said of what was made.
fn note(session: &mut Session, requests: &[Request]) -> Result<Option<&'static str>, netlink::Error> {
    let comes_in = |request: &Request| request.direction == abi::Direction::Ingress;
    // A dry run has it among its commands.
    let Some(request) = requests.iter().find(|request| comes_in(request)).filter(|_| !session.is_dry())
    else {
        return Ok(None);
    };
    let survey = session.survey()?;
    let found = survey.attachment_of(request.link.ifindex, request.direction);
    Ok(found.and_then(|found| report::of_attachment(&survey, found, request.now_ns).note))
}
