//! Orders for a namespace that is named as nobody registered it: in the order of the instance that has it, whatever its name.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use tokio::task::spawn_blocking;

use super::instance::Instance;
use super::registration::of_container;
use super::registrations::Identity;
use super::{Agent, Callback, Done, Error, Name, Order, Registration};
use crate::failure::{self, Code, Failure};
use crate::target::{Target, netns};

/// Instances that end with the last order for them, by their namespaces.
pub(super) type Passing = std::collections::BTreeMap<netns::Id, Weak<Instance>>;

impl Agent {
    /// Carries an order out in `target`, behind those that were given before for the same namespace, however named.
    ///
    /// A name of `ip netns` for which something is made is looked after from then on; a path or a process is not.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] when the agent ends, and why it could not be carried out.
    pub async fn carry_out(&self, target: Target, order: Order) -> Result<Done, Error> {
        let Some(id) = target.id() else {
            // There is nobody whose order to keep: it fails in its own words.
            let failing = spawn_blocking(move || order.carry_out(&target)).await;
            return Ok(failing.map_err(|panic| Failure::new(Code::Failed, panic))??);
        };
        let instance = self.of(id, &target, &order)?;
        tracing::info!(instance = %instance.name(), namespace = %target, order = order.word(), "an order");
        let order = Order::At(target, Box::new(order));
        // Who gave it may go away, and the instance must not go with them before the order is carried out.
        let carried = tokio::spawn(async move { instance.order_in_turn(order, Callback::default()).await });
        carried.await.unwrap_or_else(|panic| Err(Failure::new(Code::Failed, panic).into()))
    }

    fn of(&self, id: netns::Id, target: &Target, order: &Order) -> Result<Arc<Instance>, Error> {
        if let Some(instance) = self.registered().into_iter().find(|instance| instance.identity().id() == id)
        {
            return Ok(instance);
        }
        let name = target.name().and_then(|name| Name::try_from(name.to_owned()).ok());
        if let (Order::Make(_), Some(name)) = (order, name) {
            // What stands against it, such as another instance of that name, does not stand against the order.
            let named = Target::Name(name.to_string());
            if let Ok((instance, _)) = self.register_at(name, Registration::default(), named)
                && instance.identity().id() == id
            {
                return Ok(instance);
            }
        }
        let identity = target.open().and_then(|netns| Identity::of(&netns)).map_err(failure::netns)?;
        let mut passing = self.passing();
        if let Some(instance) = passing.get(&id).and_then(Weak::upgrade) {
            return Ok(instance);
        }
        passing.retain(|_, instance| instance.strong_count() > 0);
        let instance =
            Instance::start(Name::passing(id), target.clone(), identity, Registration::default(), self);
        passing.insert(id, Arc::downgrade(&instance));
        Ok(instance)
    }

    /// The namespace of a container, as the runtime says whose containers are meant.
    ///
    /// # Errors
    ///
    /// When there is no such container, it has no namespace of its own, or no runtime answers.
    pub async fn container(&self, name: &str) -> Result<Target, Error> {
        let target = of_container(name, self.shared.docker.get()).await;
        Ok(target.map_err(failure::docker)?)
    }

    /// Those that are at work now.
    pub(super) fn passers_by(&self) -> Vec<Arc<Instance>> {
        self.passing().values().filter_map(Weak::upgrade).collect()
    }

    fn passing(&self) -> MutexGuard<'_, Passing> {
        self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
