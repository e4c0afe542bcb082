//! What an instance's worker carries out, or a command that asks no agent.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::engine::{self, Clearance, Session};
use crate::failure::{self, Failure};
use crate::policy;
use crate::rules::To;
use crate::shape::{Direction, EngineChoice};
use crate::target::Target;
use crate::wanted::{self, Made, Wanted};

use super::Signalled;

/// What is to be done to an instance.
#[derive(Clone, Debug)]
pub enum Order {
    /// This is wanted of it.
    Make(Box<Wanted>),
    /// What would be done for this is wanted, as commands, and nothing else.
    Try(Box<Wanted>),
    /// All of ours is to be taken away.
    Clear,
    /// The rule for these peers is to be taken away wherever it is.
    Remove(To),
    /// The same, in a namespace that who gives the order calls so.
    At(Target, Box<Order>),
}

/// What became of an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// `added`, `changed`, `restarted`, `cleared`, `unchanged` or `dry-run`, or what became of the policy where there is nothing else.
    pub outcome: Cow<'static, str>,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// Why that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What has to be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Cow<'static, str>>,
    /// The policy that is now in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<policy::Applied>,
    /// What would be done, where nothing was to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What was taken away, one by one.
    #[serde(skip)]
    pub clearance: Clearance,
    /// What was signalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<Signalled>,
}

impl Order {
    /// What it is, for the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Make(_) => "make",
            Self::Try(_) => "try",
            Self::Clear => "clear",
            Self::Remove(_) => "remove",
            Self::At(_, order) => order.word(),
        }
    }

    /// Whether anything is to become so.
    pub(super) fn is_wanted(&self) -> bool {
        match self {
            Self::Try(_) => false,
            Self::At(_, order) => order.is_wanted(),
            Self::Make(_) | Self::Clear | Self::Remove(_) => true,
        }
    }

    /// Carries it out in `target`, and waits for who else is at work there; blocks.
    ///
    /// # Errors
    ///
    /// Why not; all is then as it was, but for what `Clear` could take away.
    pub fn carry_out(&self, target: &Target) -> Result<Done, Failure> {
        match self {
            Self::Make(wanted) => make(target, wanted, false),
            Self::Try(wanted) => make(target, wanted, true),
            Self::Clear => clear(target, engine::clear),
            Self::Remove(to) => clear(target, |session| {
                // Of rules alone: a policy is of no peer.
                Ok(Clearance { shapes: engine::remove(session, *to)?, policy: false })
            }),
            Self::At(target, order) => order.carry_out(target),
        }
    }
}

fn make(target: &Target, wanted: &Wanted, is_dry: bool) -> Result<Done, Failure> {
    let session = wanted::open(target, wanted).map_err(failure::wanted)?;
    let mut session = if is_dry { session.dry() } else { session };
    let Made { shaped, policy, .. } = wanted::make(&mut session, target, wanted).map_err(failure::wanted)?;
    let told = |word: &'static str| Cow::Borrowed(if is_dry { "dry-run" } else { word });
    let mut done = Done { outcome: told("unchanged"), commands: session.noted().to_vec(), ..Done::default() };
    if let Some(policy) = policy {
        done.outcome = told(policy.word());
        done.policy = Some(policy::Applied { report: policy.report(), outcome: done.outcome.clone() });
    }
    if let Some(shaped) = shaped {
        done.outcome = told(engine::Outcome::of_all(&shaped.outcomes).word());
        done.link = Some(shaped.link);
        done.direction = Some(wanted.direction());
        done.engine = Some(EngineChoice::from(shaped.picked.engine));
        done.why = Some(shaped.picked.why);
        done.note = shaped.note.map(Cow::Borrowed);
    }
    Ok(done)
}

fn clear(
    target: &Target,
    take: impl FnOnce(&mut Session) -> Result<Clearance, engine::Error>,
) -> Result<Done, Failure> {
    let mut session = Session::open(target.open().map_err(failure::netns)?).map_err(failure::engine)?;
    let clearance = take(&mut session).map_err(failure::engine)?;
    let is_nothing = clearance.shapes.is_empty() && !clearance.policy;
    let direction = match clearance.shapes.as_slice() {
        [] => None,
        [one] => Some(Direction::from(one.direction)),
        _ => Some(Direction::Both),
    };
    let outcome = if is_nothing { "unchanged" } else { "cleared" };
    Ok(Done { outcome: outcome.into(), direction, clearance, ..Done::default() })
}
