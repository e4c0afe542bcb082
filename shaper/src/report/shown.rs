//! What `show` says: of one namespace, or of all that can be found.

use serde::Serialize;

use super::{Attached, Error, Namespace, of_namespace, text};
use crate::policy;
use crate::target::Target;
use crate::target::netns::{self, Netns};

/// What is shaped, and which policies there are.
#[derive(Debug, Default, Serialize)]
pub struct Shown {
    pub(super) attachments: Vec<Row>,
    /// Of the namespaces that have one of ours.
    pub(super) policies: Vec<PolicyRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyRow {
    pub(super) namespace: String,
    #[serde(flatten)]
    pub(super) report: policy::Report,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) namespace: String,
    #[serde(flatten)]
    pub(super) attached: Attached,
}

impl Shown {
    /// Looks at `target`, or at every namespace that can be found.
    ///
    /// # Errors
    ///
    /// Those of [`of_namespace`].
    pub fn of(target: Option<&Target>) -> Result<Self, Error> {
        let mut shown = Self::default();
        let Some(target) = target else {
            for found in netns::list() {
                // One that vanished since it was listed has nothing to show.
                let Ok(netns) = found.open() else { continue };
                shown.look(&found.name.to_string(), &netns)?;
            }
            return Ok(shown);
        };
        shown.look(&target.to_string(), &target.open()?)?;
        Ok(shown)
    }

    fn look(&mut self, name: &str, netns: &Netns) -> Result<(), Error> {
        let Namespace { attachments, policy } = of_namespace(netns)?;
        let row = |attached| Row { namespace: name.to_owned(), attached };
        self.attachments.extend(attachments.into_iter().map(row));
        let row = |report| PolicyRow { namespace: name.to_owned(), report };
        self.policies.extend(policy.map(row));
        Ok(())
    }

    /// As `shaper show` prints it.
    #[must_use]
    pub fn text(&self) -> String {
        text::text(self)
    }
}
