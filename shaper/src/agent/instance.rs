//! One instance, and the way to its worker.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::worker::{Job, ORDERS_MAX, Worker};
use super::{Agent, Callback, Done, Error, Order, Registration};
use crate::target::Target;
use crate::target::netns;

/// The longest name of an instance, in bytes: that of a file, which `ip netns` makes of it.
const NAME_MAX: usize = 255;

/// The name of an instance: what `ip netns` takes for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// That of the namespace in which the agent itself runs.
    #[must_use]
    pub fn own() -> Self {
        Self("self".to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let legal = !matches!(text.as_str(), "" | "." | "..") && text.len() <= NAME_MAX;
        if legal && !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} cannot be the name of an instance: write one of 1 to {NAME_MAX} bytes without `/` and spaces, such as `inst-1`"
        ))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An instance that is looked after.
#[derive(Debug)]
pub struct Instance {
    name: Name,
    target: Target,
    id: netns::Id,
    registration: Registration,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Instance {
    /// Begins to look after a namespace; in a runtime.
    pub(super) fn start(
        name: Name,
        target: Target,
        id: netns::Id,
        registration: Registration,
        agent: &Agent,
    ) -> Arc<Self> {
        let (sender, jobs) = mpsc::channel(ORDERS_MAX);
        let worker = Worker {
            name: name.clone(),
            target: target.clone(),
            states: agent.states().clone(),
            room: Arc::clone(&agent.shared.room),
            jobs,
        };
        tracing::info!(instance = %name, namespace = %target, "looking after it");
        Arc::new(Self {
            name,
            target,
            id,
            registration,
            jobs: Mutex::new(Some(sender)),
            worker: Mutex::new(Some(tokio::spawn(worker.work()))),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its namespace.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What was said when it was registered.
    #[must_use]
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Whether the same was registered, of the same namespace.
    pub(super) fn is(&self, registration: &Registration, id: netns::Id) -> bool {
        self.registration == *registration && self.id == id
    }

    /// Whether its namespace is still there, under the name by which it was found.
    pub(super) fn is_there(&self) -> bool {
        self.target.id() == Some(self.id)
    }

    /// Gives an order and waits until it is carried out, behind those that were given before; then signals.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Gone`], and why it could not be carried out.
    pub async fn order(&self, order: Order, callback: Callback) -> Result<Done, Error> {
        let gone = || Error::Gone { name: self.name.to_string() };
        let (told, done) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(gone)?;
        jobs.try_send(Job { order, callback, told }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { name: self.name.to_string() },
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        done.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Takes no more orders; what was taken is carried out.
    pub(super) fn end(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// As [`Self::end`], and waits for it.
    pub(super) async fn finish(&self) {
        self.end();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            // One that panicked has finished, too.
            let _ = worker.await;
        }
    }
}
