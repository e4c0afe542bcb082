//! One container: it is looked at whenever something happened to it, and made as its labels say.

use std::sync::Arc;

use tokio::sync::Notify;

use super::super::{Agent, Callback, Error, Instance, Name, Order, Registration};
use super::links::Links;
use super::testground;
use crate::docker::labels::{self, Asked};
use crate::docker::{self, Container, Network, Running, Runtime, Which, link_of};
use crate::failure;
use crate::target::Target;

/// What a container wants.
enum Wish {
    /// Nothing of us.
    Nothing,
    /// What its labels say.
    Labels(Result<Asked, labels::Error>),
    /// To be an instance of a run of Testground's.
    Testground,
}

/// What is to be done next.
enum Next {
    /// To look again when something happens.
    Wait,
    /// Nothing: the container is gone, or not for us.
    End,
}

/// Who looks after one container.
pub(super) struct Keeper {
    agent: Agent,
    runtime: Runtime,
    id: String,
    kept: Option<Kept>,
}

/// What is looked after.
struct Kept {
    instance: Arc<Instance>,
    /// A process in the container.
    pid: u32,
    /// The number of the link that was made as the labels say, zero for no certain one: what somebody wants of it later stays.
    made: Option<u32>,
}

impl Keeper {
    pub(super) fn new(agent: Agent, runtime: Runtime, id: String) -> Self {
        Self { agent, runtime, id, kept: None }
    }

    /// Looks whenever it is told to, until the container is gone; then returns its id.
    pub(super) async fn run(mut self, look: Arc<Notify>) -> String {
        loop {
            look.notified().await;
            match self.look().await {
                Ok(Next::Wait) => {}
                Ok(Next::End) => return self.id,
                // The runtime ends, and whoever follows it has this looked at again when it is back.
                Err(error @ docker::Error::Http(_)) => {
                    tracing::debug!(container = self.id, %error, "not looked at")
                }
                Err(error) => tracing::warn!(container = self.id, %error, "cannot be looked after"),
            }
        }
    }

    async fn look(&mut self) -> Result<Next, docker::Error> {
        let container = match self.runtime.container(&self.id).await {
            Ok(container) => container,
            Err(docker::Error::NotFound { .. }) => {
                self.forget();
                return Ok(Next::End);
            }
            Err(error) => return Err(error),
        };
        let wish = match wish(&container) {
            Wish::Nothing => return Ok(Next::End),
            wish => wish,
        };
        let running = match self.runtime.running_of(container).await {
            Ok(running) => running,
            Err(docker::Error::NotRunning { .. }) => {
                self.forget();
                return Ok(Next::Wait);
            }
            Err(error) => return Err(error),
        };
        // Started again, it is another one; and one that was renamed has another name.
        let is_kept =
            |kept: &Kept| kept.pid == running.pid && kept.instance.name().to_string() == name_of(&running);
        if !self.kept.as_ref().is_some_and(is_kept) {
            self.forget();
        }
        if let Some(owner) =
            running.owner.as_ref().filter(|owner| !matches!(self::wish(owner), Wish::Nothing))
        {
            let container = &running.container.name;
            tracing::warn!(%container, "its labels do not count: it has the network of `{}`, whose own do", owner.name);
            return Ok(Next::Wait);
        }
        if let Err(error) = self.carry_out(&running, wish).await {
            tracing::warn!(container = running.container.name, %error, "cannot be looked after");
        }
        Ok(Next::Wait)
    }

    /// What was kept is gone, and who waits for it is told.
    fn forget(&mut self) {
        if let Some(Kept { instance, .. }) = self.kept.take() {
            tracing::info!(instance = %instance.name(), "the container is gone");
            self.agent.forget_this(&instance);
        }
    }

    fn is_in_a_run(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.instance.registration().testground.is_some())
    }

    async fn carry_out(&mut self, running: &Running, wish: Wish) -> Result<(), Error> {
        let target = Target::Container { name: name_of(running), pid: running.pid };
        let links = Links::of(&target).await?;
        let networks = self.networks(running).await.map_err(failure::docker)?;
        let mut registration = Registration { container: Some(name_of(running)), ..Registration::default() };
        let wanted = match wish {
            Wish::Nothing => return Ok(()),
            // Once it is registered, its own configurations say all the rest.
            Wish::Testground if self.is_in_a_run() => return Ok(()),
            Wish::Testground => {
                let said = testground::of(running, &networks, &links).map(Some);
                said.map(|said| registration.testground = said).map(|()| None)
            }
            Wish::Labels(asked) => asked.map_err(|error| error.to_string()).and_then(|asked| {
                let dev = dev(&asked, running, &networks, &links)?;
                asked.wanted(dev).map(Some).map_err(|error| error.to_string())
            }),
        };
        // Whose data network was not there yet.
        if registration.testground.is_some() {
            self.kept.take().inspect(|kept| self.agent.forget_this(&kept.instance));
        }
        let instance = self.register(registration, target)?;
        let made = self.kept.take().and_then(|kept| kept.made);
        let kept = self.kept.insert(Kept { instance, pid: running.pid, made });
        let instance = &kept.instance;
        match wanted {
            Ok(None) => {}
            Ok(Some(wanted)) => {
                let link = Some(links.number_of(wanted.dev.as_deref()));
                if kept.made == link {
                    return Ok(());
                }
                let order = Order::Make(Box::new(wanted));
                // What fails is told by the worker, and kept there.
                let done = instance.order_in_turn(order, Callback::default()).await;
                kept.made = link.filter(|_| done.is_ok());
                if let Ok(done) = done {
                    tracing::info!(instance = %instance.name(), outcome = %done.outcome, link = done.link, "is as its labels say");
                }
            }
            Err(why) => {
                kept.made = None;
                if instance.fail(why.clone()) {
                    tracing::warn!(instance = %instance.name(), %why, "its labels ask for what cannot be had: nothing is changed");
                }
            }
        }
        Ok(())
    }

    fn register(&self, registration: Registration, target: Target) -> Result<Arc<Instance>, Error> {
        let Target::Container { name, .. } = &target else { return Err(Error::Usage("no container".into())) };
        let name = Name::try_from(name.clone()).map_err(Error::Usage)?;
        match self.agent.register_at(name.clone(), registration, target.clone()) {
            Ok((instance, _)) => Ok(instance),
            // Somebody registered the same by other words.
            Err(Error::Taken { name: taken }) => {
                let there = self.agent.instance(&name)?;
                let is_same = there.target().id().is_some_and(|id| target.id() == Some(id));
                if is_same { Ok(there) } else { Err(Error::Taken { name: taken }) }
            }
            Err(error) => Err(error),
        }
    }

    /// What the runtime says of each network that the container is attached to.
    async fn networks(&self, running: &Running) -> Result<Vec<Option<Network>>, docker::Error> {
        let mut networks = Vec::new();
        for attached in running.networks() {
            networks.push(self.runtime.network(&attached.id).await?);
        }
        Ok(networks)
    }
}

fn wish(container: &Container) -> Wish {
    if testground::is_instance(container) {
        return Wish::Testground;
    }
    match Asked::read(&container.labels) {
        Ok(None) => Wish::Nothing,
        Ok(Some(asked)) => Wish::Labels(Ok(asked)),
        Err(error) => Wish::Labels(Err(error)),
    }
}

/// Containers with one network are one instance, by the name of that whose network it is.
fn name_of(running: &Running) -> String {
    running.owner.as_ref().unwrap_or(&running.container).name.clone()
}

/// The name of the link that labels mean.
fn dev(
    asked: &Asked,
    running: &Running,
    networks: &[Option<Network>],
    links: &Links,
) -> Result<Option<String>, String> {
    // Giving everything back is of no link.
    if asked.which == Which::Only
        && asked.file.is_none()
        && asked.policy == Some(crate::wanted::Routing::AllowAll)
    {
        return Ok(None);
    }
    let short =
        |network: &'_ Option<Network>| network.as_ref().and_then(Network::short_name).map(str::to_owned);
    let short: Vec<Option<String>> = networks.iter().map(short).collect();
    let both: Vec<_> = running.networks().iter().zip(short.iter().map(Option::as_deref)).collect();
    link_of(&asked.which, &both, &links.links).map_err(|error| error.to_string())
}
