//! The task that carries out an instance's orders, one after the other.

use std::sync::{Arc, PoisonError};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::callback::{Callback, Signalled};
use super::instance::Failed;
use super::{Done, Error, Name, Order};
use crate::failure::{Code, Failure};
use crate::states::States;
use crate::target::Target;

/// Orders that wait for one worker, at most.
pub(super) const ORDERS_MAX: usize = 64;

/// An order, whom it is signalled to, and who is told what became of it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) order: Order,
    pub(super) callback: Callback,
    pub(super) told: oneshot::Sender<Result<Done, Error>>,
}

/// What a worker needs to know.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: Name,
    pub(super) target: Target,
    pub(super) states: States,
    pub(super) room: Arc<Semaphore>,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Why the last order failed.
    pub(super) failed: Failed,
}

impl Worker {
    /// Carries out orders until nobody can give one any more.
    pub(super) async fn work(mut self) {
        while let Some(Job { order, callback, told }) = self.jobs.recv().await {
            let is_wanted = order.is_wanted();
            let done = self.carry_out(order).await;
            let done = self.signal(done, callback).await;
            let failed = done.as_ref().err().map(ToString::to_string);
            if is_wanted {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
            }
            if let Err(error) = &done {
                tracing::warn!(instance = %self.name, %error, "an order failed");
            }
            // Who gave it may have gone away; it is carried out all the same.
            let _ = told.send(done);
        }
    }

    async fn carry_out(&self, order: Order) -> Result<Done, Error> {
        let _room = self.room.acquire().await;
        let target = self.target.clone();
        match spawn_blocking(move || order.carry_out(&target)).await {
            Ok(done) => Ok(done?),
            Err(panic) => Err(Failure::new(Code::Failed, panic)
                .context("the order ended in a defect of shaper's")
                .into()),
        }
    }

    async fn signal(&self, done: Result<Done, Error>, callback: Callback) -> Result<Done, Error> {
        let Some(state) = callback.state else { return done };
        let states = callback.at.as_ref().unwrap_or(&self.states);
        match done {
            Ok(done) => {
                let seq = match &callback.once {
                    Some(once) => states.signal_once(&state, once).await?,
                    None => states.signal(&state).await?,
                };
                Ok(Done { callback: Some(Signalled { state, seq, target: callback.target }), ..done })
            }
            Err(error) => {
                // Who gave the order is told the error all the same.
                if let Err(untold) =
                    states.refuse(&state, &format!("instance `{}`: {error}", self.name)).await
                {
                    tracing::warn!(instance = %self.name, %untold, "who waits for an order that failed is not told");
                }
                Err(error)
            }
        }
    }
}
