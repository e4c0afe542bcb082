//! One instance, and the way to its worker.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::registrations::Identity;
use super::worker::{Job, ORDERS_MAX, Worker};
use super::{Agent, Callback, Done, Error, Order, Registration};
use crate::target::{NAMESPACE_NAME_MAX, Target, is_namespace_name, netns};

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

    /// What one is called for which there are orders, and which is not registered.
    pub(super) fn passing(id: netns::Id) -> Self {
        Self(format!("net:[{}]", id.ino))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_namespace_name(&text) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} cannot be the name of an instance: write one of 1 to {NAMESPACE_NAME_MAX} bytes without `/` and spaces, such as `inst-1`"
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
    identity: Identity,
    registration: Registration,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    companion: Mutex<Option<JoinHandle<()>>>,
    failed: Failed,
}

/// Why what was wanted last is not so.
pub(super) type Failed = Arc<Mutex<Option<String>>>;

impl Instance {
    /// Begins to look after a namespace; in a runtime.
    pub(super) fn start(
        name: Name,
        target: Target,
        identity: Identity,
        registration: Registration,
        agent: &Agent,
    ) -> Arc<Self> {
        let (sender, jobs) = mpsc::channel(ORDERS_MAX);
        let failed = Failed::default();
        let worker = Worker {
            name: name.clone(),
            target: target.clone(),
            states: agent.states().clone(),
            room: Arc::clone(&agent.shared.room),
            jobs,
            failed: Arc::clone(&failed),
        };
        Arc::new(Self {
            name,
            target,
            identity,
            registration,
            jobs: Mutex::new(Some(sender)),
            worker: Mutex::new(Some(tokio::spawn(worker.work()))),
            companion: Mutex::default(),
            failed,
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

    /// Its namespace, told from all others.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Why what was wanted of it last is not so; `None` when it is.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells that what is wanted cannot even be ordered; whether that is new.
    pub(super) fn fail(&self, why: String) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.replace(why.clone()) != Some(why)
    }

    /// What tells a signal of this instance's from those of all others that say `once`, too, on this machine and on others: names of
    /// instances may be the same there.
    pub(crate) fn once(&self, once: &str) -> String {
        format!("{}:{once}", self.identity)
    }

    /// Whether the same was registered, of the same namespace.
    pub(super) fn is(&self, registration: &Registration, identity: &Identity) -> bool {
        self.registration == *registration && self.identity == *identity
    }

    /// Whether its namespace is still there, under the name by which it was found.
    pub(super) fn is_there(&self) -> bool {
        self.target.id() == Some(self.identity.id())
    }

    /// Runs what gives orders by itself, as long as the instance is looked after.
    pub(super) fn accompany(&self, companion: impl Future<Output = ()> + Send + 'static) {
        let companion = tokio::spawn(companion);
        *self.companion.lock().unwrap_or_else(PoisonError::into_inner) = Some(companion);
    }

    /// Gives an order and waits until it is carried out, behind those that were given before, and signalled.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Gone`], and why it could not be carried out.
    pub async fn order(&self, order: Order, callback: Callback) -> Result<Done, Error> {
        let (told, done) = oneshot::channel();
        self.jobs()?.try_send(Job { order, callback, told }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { name: self.name.to_string() },
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })?;
        done.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// As [`Self::order`], for who can wait until there is room for the order.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`], and why it could not be carried out.
    pub(super) async fn order_in_turn(&self, order: Order, callback: Callback) -> Result<Done, Error> {
        let (told, done) = oneshot::channel();
        let sent = self.jobs()?.send(Job { order, callback, told }).await;
        sent.map_err(|_closed| self.gone())?;
        done.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn jobs(&self) -> Result<mpsc::Sender<Job>, Error> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.clone().ok_or_else(|| self.gone())
    }

    fn gone(&self) -> Error {
        Error::Gone { name: self.name.to_string() }
    }

    /// Ends what gives orders by itself: when this returns, it has given its last.
    pub(super) async fn part(&self) {
        let companion = self.companion.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(companion) = companion {
            companion.abort();
            // One that was aborted, or panicked, has ended, too.
            let _ = companion.await;
        }
    }

    /// Takes no more orders; what was taken is carried out.
    pub(super) fn end(&self) {
        let companion = self.companion.lock().unwrap_or_else(PoisonError::into_inner).take();
        companion.iter().for_each(JoinHandle::abort);
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
