//! Routing policies onto namespaces.

use crate::netlink;
use crate::netlink::link::{self, Link};
use crate::policy::{self, Keep, Report, Standing};

use super::clear::gone;
use super::{AddressChange, Error, Session};

/// A policy to put on a namespace.
#[derive(Clone, Debug)]
pub enum PolicyRequest {
    /// Nothing of ours stands in the way of any route.
    AllowAll,
    /// Only the network of the link and what is kept can be reached.
    DenyAll {
        /// The link.
        link: Link,
        /// What is kept besides.
        keep: Vec<Keep>,
    },
}

/// What has to change for a policy.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    before: Standing,
    wanted: Standing,
    links: Vec<Link>,
}

impl PolicyChange {
    /// Finds out what has to change, and whether it can be; changes nothing.
    ///
    /// # Errors
    ///
    /// When the kernel has no rules, or no route leads to what is to be kept.
    pub fn plan(session: &mut Session, request: &PolicyRequest) -> Result<Self, Error> {
        let socket = session.socket();
        let links = link::dump(socket)?;
        let before = Standing::take(socket)?;
        let wanted = match request {
            PolicyRequest::AllowAll => Standing::default(),
            PolicyRequest::DenyAll { link, keep } => policy::deny(socket, link, keep)?,
        };
        Ok(Self { before, wanted, links })
    }

    /// The same when `change` is made first, where the kernel could not be asked after it: in a dry run.
    #[must_use]
    pub fn behind(mut self, change: &AddressChange) -> Self {
        for standing in [&mut self.before, &mut self.wanted] {
            for route in &mut standing.routes {
                *route = change.readdressed(route);
            }
        }
        self
    }

    /// What the policy will be.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new(&self.wanted, &self.links)
    }

    /// What it does, as `apply` says it: `added`, `changed`, `removed` or `unchanged`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let name = |ifindex| policy::name_of(&self.links, ifindex);
        match (self.before.is_nothing(), self.wanted.is_nothing()) {
            _ if policy::steps(&self.before, &self.wanted, &name).iter().all(Vec::is_empty) => "unchanged",
            (true, false) => "added",
            (false, false) => "changed",
            (_, true) => "removed",
        }
    }

    /// Makes it so.
    ///
    /// # Errors
    ///
    /// The kernel's, after what was done is undone.
    pub fn make(&self, session: &mut Session) -> Result<(), Error> {
        let Err(error) = go(session, &self.before, &self.wanted, &self.links) else {
            return Ok(());
        };
        let error = Error::Policy(error.into());
        match Standing::take(session.socket())
            .map_err(Error::from)
            .and_then(|now| go(session, &now, &self.before, &self.links).map_err(Error::from))
        {
            Ok(()) => Err(error),
            Err(undo) => Err(Error::Undo { apply: Box::new(error), undo: Box::new(undo) }),
        }
    }
}

/// Takes a policy away; whether there was one.
pub(super) fn clear(session: &mut Session) -> Result<bool, Error> {
    let now = Standing::take(session.socket())?;
    if now.is_nothing() {
        return Ok(false);
    }
    let links = link::dump(session.socket())?;
    let name = |ifindex| policy::name_of(&links, ifindex);
    for messages in policy::steps(&now, &Standing::default(), &name) {
        // The kernel goes on past what is gone already.
        gone(session.send(messages))?;
    }
    Ok(true)
}

fn go(
    session: &mut Session,
    now: &Standing,
    wanted: &Standing,
    links: &[Link],
) -> Result<(), netlink::Error> {
    let name = |ifindex| policy::name_of(links, ifindex);
    for messages in policy::steps(now, wanted, &name) {
        session.send(messages)?;
    }
    Ok(())
}
