//! What is cleared: in one namespace, or in all that can be found.

use serde::{Deserialize, Serialize};

use super::Done;
use crate::failure::{self, Failure};
use crate::shape::Direction;
use crate::target::{Target, netns};

/// What was cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// Shapes.
    pub cleared: Vec<Row>,
    /// Namespaces whose routing policy was taken away.
    pub policies: Vec<String>,
}

/// One direction of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where.
    pub namespace: String,
    /// The link.
    pub link: String,
    /// The direction.
    pub direction: Direction,
}

impl Cleared {
    /// The namespaces to clear, each with what it is called: `target`, or all that can be found.
    ///
    /// # Errors
    ///
    /// When the one that is named cannot be opened.
    pub fn whose(target: Option<Target>) -> Result<Vec<(String, Target)>, Failure> {
        let Some(target) = target else {
            return Ok(netns::list().iter().map(|found| (found.name.to_string(), found.target())).collect());
        };
        target.open().map_err(failure::netns)?;
        Ok(vec![(target.to_string(), target)])
    }

    /// Adds what was done to one of them.
    ///
    /// # Errors
    ///
    /// Why it could not be cleared; one that is gone is clear.
    pub fn add(&mut self, name: &str, target: &Target, done: Result<Done, Failure>) -> Result<(), Failure> {
        let clearance = match done {
            Ok(done) => done.clearance,
            Err(_) if target.id().is_none() => return Ok(()),
            Err(failure) => return Err(failure.context(format!("cannot clear `{name}`"))),
        };
        self.cleared.extend(clearance.shapes.into_iter().map(|shape| Row {
            namespace: name.to_owned(),
            link: shape.link,
            direction: shape.direction.into(),
        }));
        self.policies.extend(clearance.policy.then(|| name.to_owned()));
        Ok(())
    }
}
