//! The agent: it looks after many instances, carries out what is wanted of each in the order in which it was said, and signals.
//!
//! An instance is a namespace under a name. Each that is registered or addressed has a worker: a task that carries out one order after
//! the other, on a thread that may block. A failed order is told to whoever gave it and to who waits for its callback state, and the next
//! one is carried out as if it had not been.

mod callback;
mod cleared;
mod containers;
mod error;
mod gate;
mod instance;
mod order;
mod passing;
pub mod privileges;
mod registration;
mod registrations;
mod sidecar;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::docker::Runtime;
use crate::failure;
use crate::journal;
use crate::states::States;
use crate::target::Target;
use crate::target::netns;
use registrations::{Identity, Registrations};
use sidecar::Sidecar;

pub use callback::{Callback, Signalled};
pub use cleared::{Cleared, Row};
pub use error::Error;
pub use gate::Strict;
pub use instance::{Instance, Name};
pub use order::{Done, Order};
pub use registration::Registration;
pub use sidecar::Testground;

/// Instances that an agent looks after, at most.
pub const INSTANCES_MAX: usize = 1 << 14;

/// How often it is looked whether namespaces are still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A handle to the agent; its clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Agent {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    passing: Mutex<passing::Passing>,
    states: States,
    /// Where runs of Testground's signal and publish.
    runs: States,
    /// Orders that are carried out at once: more than there are processors only wait for each other.
    room: Arc<Semaphore>,
    /// Whose containers are meant; those of [`Runtime::of_environment`] when nothing is said.
    docker: OnceLock<Runtime>,
}

/// The instances that are looked after, and where that is written down.
#[derive(Debug, Default)]
struct Known {
    instances: BTreeMap<Name, Arc<Instance>>,
    registrations: Option<Registrations>,
}

impl Known {
    fn add(&mut self, instance: Arc<Instance>) -> Result<(), journal::Error> {
        if let Some(registrations) = &mut self.registrations {
            registrations.add(&instance)?;
        }
        self.instances.insert(instance.name().clone(), instance);
        Ok(())
    }

    fn remove(&mut self, name: &Name) -> Option<Arc<Instance>> {
        let removed = self.instances.remove(name)?;
        if let Some(registrations) = &mut self.registrations {
            let written = match registrations.has_grown() {
                true => registrations.are(self.instances.values().map(Arc::as_ref)),
                false => registrations.remove(name),
            };
            // The next agent finds out by itself that the namespace is gone, or looks after it once more.
            if let Err(error) = written {
                tracing::warn!(instance = %name, %error, "it is not written down that it is forgotten");
            }
        }
        Some(removed)
    }
}

impl Agent {
    /// An agent without instances; it signals `states`, also for runs of Testground's.
    #[must_use]
    pub fn new(states: States) -> Self {
        Self::beside(states.clone(), states)
    }

    /// The same, where runs of Testground's have a sync service elsewhere.
    #[must_use]
    pub fn beside(states: States, runs: States) -> Self {
        let room = available_parallelism().map_or(1, std::num::NonZero::get);
        let (room, docker) = (Arc::new(Semaphore::new(room)), OnceLock::new());
        let (known, passing) = (Mutex::default(), Mutex::default());
        let shared = Shared { known, passing, states, runs, room, docker };
        Self { shared: Arc::new(shared) }
    }

    /// What is signalled and waited for.
    #[must_use]
    pub fn states(&self) -> &States {
        &self.shared.states
    }

    pub(in crate::agent) fn runs(&self) -> &States {
        &self.shared.runs
    }

    /// Says whose containers are meant by those who name one, the first time that it is called.
    pub fn use_containers_of(&self, runtime: Runtime) {
        // Whoever comes second changes nothing.
        let _second = self.shared.docker.set(runtime);
    }

    /// Writes down at `path` who is registered from now on, and looks after those whom the agent before had written down there, as far as
    /// their namespaces are still the same; in a runtime, before anybody is registered.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or another agent has it open.
    pub async fn remember(&self, path: &Path) -> Result<(), journal::Error> {
        let (mut registrations, known) = Registrations::open(path)?;
        for (name, (identity, registration)) in known {
            let target = registration.target(&name, self.shared.docker.get()).await;
            let there = target.and_then(|target| {
                let netns = target.open().map_err(failure::netns)?;
                let is_there = Identity::of(&netns).map_err(failure::netns)? == identity;
                Ok(is_there.then_some(target))
            });
            match there {
                Ok(Some(target)) => {
                    if let Err(error) = self.register_at(name.clone(), registration, target) {
                        tracing::warn!(instance = %name, %error, "looks no more after it");
                    }
                }
                Ok(None) => tracing::info!(instance = %name, "its namespace is another one now"),
                Err(error) => tracing::info!(instance = %name, %error, "its namespace is gone"),
            }
        }
        let mut known = self.known();
        registrations.are(known.instances.values().map(Arc::as_ref))?;
        known.registrations = Some(registrations);
        Ok(())
    }

    /// Looks after a namespace from now on, under a name; whether it is new. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// When the name is that of another registration, there is no such namespace, or there are too many.
    pub async fn register(
        &self,
        name: Name,
        registration: Registration,
    ) -> Result<(Arc<Instance>, bool), Error> {
        let target = registration.target(&name, self.shared.docker.get()).await?;
        self.register_at(name, registration, target)
    }

    fn register_at(
        &self,
        name: Name,
        registration: Registration,
        target: Target,
    ) -> Result<(Arc<Instance>, bool), Error> {
        let netns = target.open().map_err(failure::netns)?;
        let identity = Identity::of(&netns).map_err(failure::netns)?;
        let mut known = self.known();
        // A container that was started again has another namespace, and nothing else of it is new.
        let gone = known.instances.get(&name).filter(|there| !there.is_there()).cloned();
        gone.inspect(|gone| gone.end()).and_then(|gone| known.remove(gone.name()));
        if let Some(there) = known.instances.get(&name) {
            return if there.is(&registration, &identity) {
                Ok((Arc::clone(there), false))
            } else {
                Err(Error::Taken { name: name.to_string() })
            };
        }
        if known.instances.len() >= INSTANCES_MAX {
            return Err(Error::Full);
        }
        let sidecar = registration.testground.as_ref().map(Sidecar::new).transpose()?;
        tracing::info!(instance = %name, namespace = %target, "looking after it");
        let instance = Instance::start(name, target, identity, registration, self);
        known.add(Arc::clone(&instance))?;
        if let Some(sidecar) = sidecar {
            instance.accompany(sidecar.run(self.clone(), Arc::clone(&instance)));
        }
        Ok((instance, true))
    }

    /// The instance of that name: a registered one, or else the namespace to which `ip netns` gave the name, which is looked after from
    /// now on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], with the names that there are.
    pub fn instance(&self, name: &Name) -> Result<Arc<Instance>, Error> {
        if let Some(instance) = self.known().instances.get(name) {
            return Ok(Arc::clone(instance));
        }
        let target = Target::Name(name.to_string());
        match target.open() {
            Ok(_) => {
                self.register_at(name.clone(), Registration::default(), target).map(|(instance, _)| instance)
            }
            Err(_) => Err(Error::NotFound { name: name.to_string(), known: self.names() }),
        }
    }

    /// Looks no more after an instance, and leaves in its namespace what is there; whether there was one.
    pub fn forget(&self, name: &Name) -> bool {
        let forgotten = self.known().remove(name);
        forgotten.inspect(|instance| instance.end()).is_some()
    }

    /// Takes away from an instance's namespace what is of ours, and forgets it.
    ///
    /// # Errors
    ///
    /// As [`Self::instance`] and [`Instance::order`]; it is looked after as before then.
    pub async fn remove(&self, name: &Name) -> Result<Done, Error> {
        let instance = self.instance(name)?;
        // What it has ordered is carried out before; it would shape again what is cleared.
        instance.part().await;
        match instance.order(Order::Clear, Callback::default()).await {
            Ok(done) => {
                self.forget(name);
                Ok(done)
            }
            Err(error) => {
                if let Some(testground) = &instance.registration().testground {
                    instance.accompany(Sidecar::new(testground)?.run(self.clone(), Arc::clone(&instance)));
                }
                Err(error)
            }
        }
    }

    /// All instances: the registered ones, and the namespaces that `ip netns` knows.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known().instances.keys().map(ToString::to_string).collect();
        let found = netns::list().into_iter().filter_map(|found| match found.name {
            netns::Name::Name(name) => Some(name),
            netns::Name::Pid(_) => None,
        });
        names.extend(found);
        names.sort();
        names.dedup();
        names
    }

    /// Those that are looked after.
    #[must_use]
    pub fn registered(&self) -> Vec<Arc<Instance>> {
        self.known().instances.values().cloned().collect()
    }

    /// Forgets instances whose namespaces are gone, for as long as it runs. Orders that still wait for one fail, and whoever waits is told.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let instances = self.registered();
            let gone = instances.iter().filter(|instance| !instance.is_there());
            for instance in gone {
                tracing::info!(instance = %instance.name(), "the namespace is gone");
                self.forget_this(instance);
            }
        }
    }

    /// As [`Self::forget`], unless another has taken the name meanwhile.
    fn forget_this(&self, instance: &Arc<Instance>) {
        let mut known = self.known();
        if known.instances.get(instance.name()).is_some_and(|now| Arc::ptr_eq(now, instance)) {
            known.remove(instance.name());
        }
        instance.end();
    }

    /// Takes no more orders, and waits until those that were taken are carried out.
    pub async fn finish(&self) {
        // Still written down: the next agent looks after them.
        let instances = std::mem::take(&mut self.known().instances);
        for instance in instances.into_values().chain(self.passers_by()) {
            instance.finish().await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
