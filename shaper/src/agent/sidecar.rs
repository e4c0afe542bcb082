//! Testground's sidecar, for one instance: it carries out what the instance publishes about its network.
//!
//! A configuration that cannot be read or had leaves the network as it is; who waits for its callback state is told why, and the
//! next one is carried out. What was done is counted beside the run's states: where these outlive the agent, the next one goes on there,
//! and signals nothing twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Agent, Callback, Error, Instance, Order};
use crate::policy::Keep;
use crate::states::{self, Subscription};
use crate::target::link::is_link_name;
use crate::testground::config::{self, Config};
use crate::testground::keys::Run;
use crate::testground::link::Link;

/// How the topic begins to which an instance publishes about its network; its host name follows.
pub(super) const NETWORK: &str = "network:";
/// The state that says that an instance's network is there.
const INITIALIZED: &str = "network-initialized";

/// What an instance is in a run of Testground's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testground {
    /// What the instance takes for its host name.
    pub hostname: String,
    /// TEST_RUN.
    pub run: String,
    /// TEST_PLAN.
    pub plan: String,
    /// TEST_CASE.
    pub case: String,
    /// The data link.
    pub dev: String,
    /// Hosts and networks that stay reachable under `deny_all`: the sync service, and what else is not of the data network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

impl Testground {
    /// Whether it is an instance of that run.
    pub(super) fn is_in(&self, run: &Run) -> bool {
        Run::new(&self.run, &self.plan, &self.case).is_ok_and(|own| own == *run)
    }
}

/// The sidecar of one instance.
#[derive(Debug)]
pub(super) struct Sidecar {
    run: Run,
    hostname: String,
    dev: String,
    keep: Vec<Keep>,
    link: Link,
}

impl Sidecar {
    /// What the registration says.
    pub(super) fn new(said: &Testground) -> Result<Self, Error> {
        let usage = |error: String| Error::Usage(format!("testground: {error}"));
        if !is_link_name(&said.dev) {
            return Err(usage(format!("dev: {:?} cannot be the name of a link", said.dev)));
        }
        let keep = said.keep.iter().map(|text| text.parse::<Keep>());
        Ok(Self {
            run: Run::new(&said.run, &said.plan, &said.case).map_err(|error| usage(error.to_string()))?,
            hostname: said.hostname.clone(),
            dev: said.dev.clone(),
            keep: keep.collect::<Result<_, _>>().map_err(|error| usage(format!("keep: {error}")))?,
            link: Link::default(),
        })
    }

    /// Does it until the run's topics are forgotten.
    pub(super) async fn run(mut self, agent: Agent, instance: Arc<Instance>) {
        if let Err(error) = self.follow(&agent, &instance).await {
            tracing::warn!(instance = %instance.name(), %error, "no longer follows the instance's configurations");
        }
    }

    async fn follow(&mut self, agent: &Agent, instance: &Instance) -> Result<(), states::Error> {
        let states = agent.states();
        let mut configs =
            agent.runs().subscribe(&self.run.topic(&format!("{NETWORK}{}", self.hostname))).await?;
        let mut done = states.count(&self.done()).await?.count;
        if done > 0 {
            self.go_on(agent, instance, &mut configs, done - 1).await?;
        }
        loop {
            let (config, state) = if done == 0 {
                (Ok(Config::initial()), Some(INITIALIZED.to_owned()))
            } else {
                let item = configs.next().await?;
                (Config::parse(&item.payload), config::callback_state(&item.payload))
            };
            let once = format!("{}:{done}", self.hostname);
            let callback = Callback {
                state: state.map(|state| self.run.state(&state)),
                target: None,
                once: Some(once.clone()),
                at: Some(agent.runs().clone()),
            };
            if !self.configure(agent, instance, config, callback).await? {
                states.signal_once(&self.failed(done), &once).await?;
            }
            // After all that came of it: who is killed in between does the same again, which changes nothing.
            done = states.signal_once(&self.done(), &once).await?;
        }
    }

    /// Goes on where another agent was that carried out so many of the configurations.
    async fn go_on(
        &mut self,
        agent: &Agent,
        instance: &Instance,
        configs: &mut Subscription,
        count: u64,
    ) -> Result<(), states::Error> {
        for nth in 1..=count {
            let config = Config::parse(&configs.next().await?.payload);
            let has_failed = agent.states().count(&self.failed(nth)).await?.count > 0;
            let link =
                config.ok().filter(|_| !has_failed).and_then(|config| self.link.configured(&config).ok());
            self.link = link.unwrap_or_else(|| self.link.clone());
        }
        tracing::info!(instance = %instance.name(), count, "goes on behind configurations that are in force");
        // That changes nothing where the other one's are still there.
        if let Ok(wanted) = self.link.wanted(&self.dev, &self.keep) {
            let order = Order::Make(Box::new(wanted));
            // Told by the worker, and the next configuration may do better.
            let _ = instance.order_in_turn(order, Callback::default()).await;
        }
        Ok(())
    }

    /// Counts what was done for the instance: its network is there, and each configuration.
    fn done(&self) -> String {
        format!("{}shaper:done:{}", self.run.prefix(), self.hostname)
    }

    /// Counts whether the nth of that failed.
    fn failed(&self, nth: u64) -> String {
        format!("{}shaper:failed:{nth}:{}", self.run.prefix(), self.hostname)
    }

    /// Whether a configuration is now in force.
    async fn configure(
        &mut self,
        agent: &Agent,
        instance: &Instance,
        config: Result<Config, config::Error>,
        callback: Callback,
    ) -> Result<bool, states::Error> {
        let planned = config.map_err(|error| error.to_string()).and_then(|config| {
            for note in &config.notes {
                tracing::warn!(instance = %instance.name(), note, "a configuration");
            }
            let link = self.link.configured(&config).map_err(|error| error.to_string())?;
            let wanted = link.wanted(&self.dev, &self.keep).map_err(|error| error.to_string())?;
            Ok((link, wanted))
        });
        match planned {
            Ok((link, wanted)) => {
                // What fails is told by the worker to all who wait.
                let is_made = instance.order_in_turn(Order::Make(Box::new(wanted)), callback).await.is_ok();
                if is_made {
                    self.link = link;
                }
                Ok(is_made)
            }
            Err(why) => {
                instance.fail(why.clone());
                tracing::warn!(instance = %instance.name(), %why, "a configuration is refused");
                if let Some(state) = callback.state {
                    // Somebody else's sync service cannot be told, and then the log is all there is.
                    let _ =
                        agent.runs().refuse(&state, &format!("instance `{}`: {why}", instance.name())).await;
                }
                Ok(false)
            }
        }
    }
}
