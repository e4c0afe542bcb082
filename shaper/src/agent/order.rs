//! What an instance's worker carries out.

use serde::Serialize;

use crate::engine::{self, Clearance, Session};
use crate::failure::{self, Failure};
use crate::policy;
use crate::shape::{Direction, EngineChoice, Named as _};
use crate::target::Target;
use crate::wanted::{self, Made, Wanted};

use super::Signalled;

/// What is to be done to an instance.
#[derive(Clone, Debug)]
pub enum Order {
    /// This is wanted of it.
    Make(Box<Wanted>),
    /// All of ours is to be taken away.
    Clear,
}

/// What became of an order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    /// `added`, `changed`, `restarted`, `cleared` or `unchanged`.
    pub outcome: &'static str,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// The engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<&'static str>,
    /// Why that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What has to be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// The policy that is now in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<policy::Report>,
    /// What was signalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<Signalled>,
}

impl Order {
    /// Carries it out; blocks.
    pub(super) fn carry_out(&self, target: &Target) -> Result<Done, Failure> {
        match self {
            Self::Make(wanted) => make(target, wanted),
            Self::Clear => clear(target),
        }
    }
}

fn make(target: &Target, wanted: &Wanted) -> Result<Done, Failure> {
    let mut session = wanted::open(target, wanted).map_err(failure::wanted)?;
    let Made { shaped, policy, .. } = wanted::make(&mut session, target, wanted).map_err(failure::wanted)?;
    let mut done = Done { policy: policy.as_ref().map(engine::PolicyChange::report), ..Done::default() };
    done.outcome = policy.map_or("unchanged", |policy| policy.word());
    if let Some(shaped) = shaped {
        done.outcome = engine::Outcome::of_all(&shaped.outcomes).word();
        done.link = Some(shaped.link);
        done.direction = Some(wanted.direction().name());
        done.engine = Some(EngineChoice::from(shaped.picked.engine).name());
        done.why = Some(shaped.picked.why);
        done.note = shaped.note;
    }
    Ok(done)
}

fn clear(target: &Target) -> Result<Done, Failure> {
    let mut session = Session::open(target.open().map_err(failure::netns)?).map_err(failure::engine)?;
    let Clearance { shapes, policy } = engine::clear(&mut session).map_err(failure::engine)?;
    let outcome = if shapes.is_empty() && !policy { "unchanged" } else { "cleared" };
    let direction = match shapes.as_slice() {
        [] => None,
        [one] => Some(Direction::from(one.direction).name()),
        _ => Some(Direction::Both.name()),
    };
    Ok(Done { outcome, direction, ..Done::default() })
}
