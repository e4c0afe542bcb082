//! Changes of [`Memory`] as records, from which one who is killed is made anew.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::memory::{Kept, Memory};

/// One change; or what all changes of one state came to, when the journal was rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record<'a> {
    Signal {
        state: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<Cow<'a, str>>,
    },
    Refuse {
        state: Cow<'a, str>,
        why: Cow<'a, str>,
    },
    Publish {
        topic: Cow<'a, str>,
        payload: Cow<'a, str>,
    },
    Forget {
        prefix: Cow<'a, str>,
    },
    State {
        state: Cow<'a, str>,
        #[serde(flatten)]
        kept: Kept,
    },
}

impl<'a> Record<'a> {
    pub(super) fn signal(state: &'a str, once: Option<&'a str>) -> Self {
        Self::Signal { state: state.into(), once: once.map(Cow::from) }
    }

    pub(super) fn refuse(state: &'a str, why: &'a str) -> Self {
        Self::Refuse { state: state.into(), why: why.into() }
    }

    pub(super) fn publish(topic: &'a str, payload: &'a str) -> Self {
        Self::Publish { topic: topic.into(), payload: payload.into() }
    }

    pub(super) fn forget(prefix: &'a str) -> Self {
        Self::Forget { prefix: prefix.into() }
    }

    /// Makes the change where nobody waits yet.
    pub(super) fn replay<W>(self, memory: &mut Memory<W>) -> Result<(), Error> {
        match self {
            Self::Signal { state, once } => memory.signal(&state, once.as_deref()).map(drop),
            Self::Refuse { state, why } => memory.refuse(&state, &why).map(drop),
            Self::Publish { topic, payload } => memory.publish(&topic, Arc::from(payload)).map(drop),
            Self::Forget { prefix } => {
                memory.forget(&prefix);
                Ok(())
            }
            Self::State { state, kept } => memory.restore(&state, kept),
        }
    }
}

/// The fewest records that make it anew.
pub(super) fn of<W>(memory: &Memory<W>) -> impl Iterator<Item = Record<'_>> {
    let states = memory.kept().map(|(state, kept)| Record::State { state: state.into(), kept });
    let items = memory.items().map(|(topic, payload)| Record::publish(topic, payload));
    states.chain(items)
}
