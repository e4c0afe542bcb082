//! Counters and topics of this process: [`Memory`] behind a lock, and who waits for it asleep.
//!
//! The lock is held for single operations on plain values, never while anything is awaited.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, oneshot};

use super::memory::{Limits, Memory, Next, TopicId, Wait};
use super::waiters::Ticket;
use super::{CHANGES, Change, Error, Held, Item, Reading};

/// Why one who slept was woken.
#[derive(Debug)]
enum Woken {
    Reached(u64),
    Refused(Arc<str>),
    Forgotten,
}

#[derive(Debug)]
pub(super) struct Local {
    memory: Mutex<Memory<oneshot::Sender<Woken>>>,
    changes: broadcast::Sender<Change>,
}

impl Local {
    pub(super) fn new(limits: Limits) -> Self {
        Self { memory: Mutex::new(Memory::new(limits)), changes: broadcast::Sender::new(CHANGES) }
    }

    /// No operation leaves a half-made value behind, so one that panicked in another thread is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Memory<oneshot::Sender<Woken>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who watches; within the lock, so that changes are told in the order in which they happened.
    fn tell(&self, change: impl FnOnce() -> Change) {
        if self.changes.receiver_count() > 0 {
            // Fails when the last one has just gone.
            let _ = self.changes.send(change());
        }
    }

    pub(super) fn signal(&self, state: &str) -> Result<u64, Error> {
        let mut memory = self.lock();
        let (count, woken) = memory.signal(state)?;
        self.tell(|| Change::Count { state: state.into(), count });
        drop(memory);
        wake(woken, || Woken::Reached(count));
        Ok(count)
    }

    pub(super) fn refuse(&self, state: &str, why: &str) -> Result<(), Error> {
        let mut memory = self.lock();
        let (why, woken) = memory.refuse(state, why)?;
        self.tell(|| Change::Refused { state: state.into(), why: why.clone() });
        drop(memory);
        wake(woken, || Woken::Refused(why.clone()));
        Ok(())
    }

    pub(super) fn publish(&self, topic: &str, payload: Arc<str>) -> Result<u64, Error> {
        let (seq, woken) = self.lock().publish(topic, payload)?;
        wake(woken, || Woken::Reached(seq));
        Ok(seq)
    }

    pub(super) fn forget(&self, prefix: &str) -> u64 {
        let mut memory = self.lock();
        let (forgotten, woken) = memory.forget(prefix);
        self.tell(|| Change::Forgotten { prefix: prefix.into() });
        drop(memory);
        wake(woken, || Woken::Forgotten);
        forgotten
    }

    pub(super) fn reading(&self, state: &str) -> Reading {
        self.lock().reading(state)
    }

    pub(super) fn readings(&self, prefix: &str) -> Vec<(Arc<str>, Reading)> {
        self.lock().readings(prefix)
    }

    pub(super) fn held(&self) -> Held {
        self.lock().held()
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(super) async fn reached(&self, state: &str, target: u64) -> Result<u64, Error> {
        let (sender, woken) = oneshot::channel();
        let ticket = match self.lock().wait(state, target, || sender)? {
            Wait::Reached(count) => return Ok(count),
            Wait::Waiting(ticket) => ticket,
        };
        let _leaves = Leaves(|| self.lock().leave(state, ticket));
        match woken.await {
            Ok(Woken::Reached(count)) => Ok(count),
            Ok(Woken::Refused(why)) => Err(Error::Refused { state: state.into(), why }),
            // A sender is dropped unsent only where its state is.
            Ok(Woken::Forgotten) | Err(_) => Err(Error::Forgotten { name: state.into() }),
        }
    }

    pub(super) fn subscribe(self: &Arc<Self>, topic: &str) -> Result<Reader, Error> {
        let id = self.lock().subscribe(topic)?;
        Ok(Reader { local: self.clone(), topic: topic.into(), id, seen: 0 })
    }
}

/// One who reads a topic, and how far it is.
#[derive(Debug)]
pub(super) struct Reader {
    local: Arc<Local>,
    topic: Arc<str>,
    id: TopicId,
    seen: u64,
}

impl Reader {
    pub(super) async fn next(&mut self) -> Result<Item, Error> {
        let seq = self.seen + 1;
        loop {
            let (sender, woken) = oneshot::channel();
            let ticket: Ticket = match self.local.lock().item(self.id, seq, || sender) {
                Next::Item(payload) => {
                    self.seen = seq;
                    return Ok(Item { seq, payload });
                }
                Next::Waiting(ticket) => ticket,
                Next::Forgotten => return Err(Error::Forgotten { name: self.topic.clone() }),
            };
            let _leaves = Leaves(|| self.local.lock().leave_topic(self.id, ticket));
            // Whatever it is told, what is there now says the rest.
            let _ = woken.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.local.lock().unsubscribe(self.id);
    }
}

/// Takes back what a future did, when it ends or is dropped.
struct Leaves<F: FnMut()>(F);

impl<F: FnMut()> Drop for Leaves<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn wake(woken: Vec<oneshot::Sender<Woken>>, why: impl Fn() -> Woken) {
    for sender in woken {
        // Fails for one who has just left.
        let _ = sender.send(why());
    }
}
