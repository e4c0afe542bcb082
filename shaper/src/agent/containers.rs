//! Containers that are looked after without being registered: those whose labels ask for it.
//!
//! An event says only that a container is to be looked at, and looking finds out all there is to do: so a runtime that was away, and events
//! that were missed meanwhile, take nothing but another look at each container.

mod keeper;
mod links;
mod testground;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Agent;
use crate::docker::{Error, Runtime};
use keeper::Keeper;

/// How long it is waited for a runtime that went away, at first; each time in vain twice as long.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest that it is waited.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Who follows the events of one runtime.
struct Follower {
    agent: Agent,
    runtime: Runtime,
    /// By the container's id: how to make its keeper look.
    keepers: HashMap<String, Arc<Notify>>,
    tasks: JoinSet<String>,
    retry: Duration,
}

impl Agent {
    /// Looks after the containers of `runtime` whose labels ask for it, for as long as it runs; those that are registered by name are
    /// looked for where [`Self::use_containers_of`] says.
    pub async fn follow_containers(self, runtime: Runtime) {
        let (keepers, tasks) = (HashMap::new(), JoinSet::new());
        let mut follower = Follower { agent: self, runtime, keepers, tasks, retry: RETRY_FIRST };
        let mut told = None;
        loop {
            let why = match follower.follow().await {
                Ok(()) => "it ended the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // Once for each reason, however long the runtime stays away.
            if follower.retry == RETRY_FIRST || told.as_ref() != Some(&why) {
                tracing::warn!(runtime = %follower.runtime.path().display(), %why, "waits for the container runtime");
                told = Some(why);
            }
            tokio::time::sleep(follower.retry).await;
            follower.retry = (follower.retry * 2).min(RETRY_MAX);
        }
    }
}

impl Follower {
    /// Looks at all containers, then at each to which something happens, until the runtime ends.
    async fn follow(&mut self) -> Result<(), Error> {
        // First of all, so that nothing is missed that happens while the list is read.
        let mut events = self.runtime.events().await?;
        let running = self.runtime.ids().await?;
        tracing::info!(runtime = %self.runtime.path().display(), containers = running.len(), "follows its containers");
        self.retry = RETRY_FIRST;
        self.keepers.values().for_each(|look| look.notify_one());
        for id in running {
            self.touch(id);
        }
        loop {
            tokio::select! {
                event = events.next() => match event? {
                    Some(id) => self.touch(id),
                    None => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => {
                    // One that panicked is as one that was never begun: the next event begins another.
                    match ended {
                        Ok(id) => drop(self.keepers.remove(&id)),
                        Err(panic) => {
                            tracing::error!(%panic, "a defect of shaper's: a container is not looked after");
                            self.keepers.retain(|_, look| Arc::strong_count(look) > 1);
                        }
                    }
                }
            }
        }
    }

    /// Has a container looked at.
    fn touch(&mut self, id: String) {
        let (agent, runtime) = (&self.agent, &self.runtime);
        let look = self.keepers.entry(id.clone()).or_insert_with(|| {
            let look = Arc::new(Notify::new());
            let keeper = Keeper::new(agent.clone(), runtime.clone(), id);
            self.tasks.spawn(keeper.run(Arc::clone(&look)));
            look
        });
        look.notify_one();
    }
}
