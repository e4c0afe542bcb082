//! Counters and topics of this process: [`Memory`] behind a lock, who waits for it asleep, and where there is one, the journal of its
//! changes.
//!
//! The lock is held for single operations on plain values, and for a write to the journal, never while anything is awaited.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, oneshot};

use super::memory::{Limits, Memory, Next, Signal, TopicId, Wait};
use super::record::{self, Record};
use super::waiters::Ticket;
use super::{CHANGES, Change, Error, Held, Item, Reading};
use crate::journal::{self, Journal};

/// Why one who slept was woken.
#[derive(Debug)]
enum Woken {
    Reached(u64),
    Refused(Arc<str>),
    Forgotten,
}

#[derive(Debug)]
pub(super) struct Local {
    kept: Mutex<Kept>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug)]
struct Kept {
    memory: Memory<oneshot::Sender<Woken>>,
    journal: Option<Journal>,
}

impl Kept {
    /// Makes a change that outlives this process before anybody learns of it.
    fn change<T>(
        &mut self,
        record: &Record<'_>,
        change: impl FnOnce(&mut Memory<oneshot::Sender<Woken>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(journal) = &mut self.journal else { return change(&mut self.memory) };
        journal.append(record).map_err(unwritten)?;
        match change(&mut self.memory) {
            Ok(changed) => {
                // All is in the old file, too, which goes on where a new one cannot be had.
                if journal.has_grown()
                    && let Err(error) = journal.rewrite(record::of(&self.memory))
                {
                    tracing::warn!(%error, "the journal of states grows");
                }
                Ok(changed)
            }
            Err(error) => {
                journal.take_back().map_err(unwritten)?;
                Err(error)
            }
        }
    }
}

impl Local {
    pub(super) fn new(limits: Limits) -> Self {
        Self::of(Kept { memory: Memory::new(limits), journal: None })
    }

    pub(super) fn journalled(limits: Limits, path: &Path) -> Result<Self, journal::Error> {
        let mut memory = Memory::new(limits);
        let replay = |record: Record<'static>| record.replay(&mut memory).map_err(|error| error.to_string());
        let mut journal = Journal::open(path, replay)?;
        journal.rewrite(record::of(&memory))?;
        Ok(Self::of(Kept { memory, journal: Some(journal) }))
    }

    fn of(kept: Kept) -> Self {
        Self { kept: Mutex::new(kept), changes: broadcast::Sender::new(CHANGES) }
    }

    /// No operation leaves a half-made value behind, so one that panicked in another thread is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who watches; within the lock, so that changes are told in the order in which they happened.
    fn tell(&self, change: impl FnOnce() -> Change) {
        if self.changes.receiver_count() > 0 {
            // Fails when the last one has just gone.
            let _ = self.changes.send(change());
        }
    }

    pub(super) fn signal(&self, state: &str, once: Option<&str>) -> Result<u64, Error> {
        let mut kept = self.lock();
        match kept.change(&Record::signal(state, once), |memory| memory.signal(state, once))? {
            Signal::Before(count) => Ok(count),
            Signal::Counted(count, woken) => {
                self.tell(|| Change::Count { state: state.into(), count });
                drop(kept);
                wake(woken, || Woken::Reached(count));
                Ok(count)
            }
        }
    }

    pub(super) fn refuse(&self, state: &str, why: &str) -> Result<(), Error> {
        let mut kept = self.lock();
        let (why, woken) = kept.change(&Record::refuse(state, why), |memory| memory.refuse(state, why))?;
        self.tell(|| Change::Refused { state: state.into(), why: why.clone() });
        drop(kept);
        wake(woken, || Woken::Refused(why.clone()));
        Ok(())
    }

    pub(super) fn publish(&self, topic: &str, payload: &Arc<str>) -> Result<u64, Error> {
        let record = Record::publish(topic, payload);
        let (seq, woken) = self.lock().change(&record, |memory| memory.publish(topic, payload.clone()))?;
        wake(woken, || Woken::Reached(seq));
        Ok(seq)
    }

    pub(super) fn forget(&self, prefix: &str) -> Result<u64, Error> {
        let mut kept = self.lock();
        let (forgotten, woken) = kept.change(&Record::forget(prefix), |memory| Ok(memory.forget(prefix)))?;
        self.tell(|| Change::Forgotten { prefix: prefix.into() });
        drop(kept);
        wake(woken, || Woken::Forgotten);
        Ok(forgotten)
    }

    pub(super) fn reading(&self, state: &str) -> Reading {
        self.lock().memory.reading(state)
    }

    pub(super) fn readings(&self, prefix: &str) -> Vec<(Arc<str>, Reading)> {
        self.lock().memory.readings(prefix)
    }

    pub(super) fn held(&self) -> Held {
        self.lock().memory.held()
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(super) async fn reached(&self, state: &str, target: u64) -> Result<u64, Error> {
        let (sender, woken) = oneshot::channel();
        let ticket = match self.lock().memory.wait(state, target, || sender)? {
            Wait::Reached(count) => return Ok(count),
            Wait::Waiting(ticket) => ticket,
        };
        let _leaves = Leaves(|| self.lock().memory.leave(state, ticket));
        match woken.await {
            Ok(Woken::Reached(count)) => Ok(count),
            Ok(Woken::Refused(why)) => Err(Error::Refused { state: state.into(), why }),
            // A sender is dropped unsent only where its state is.
            Ok(Woken::Forgotten) | Err(_) => Err(Error::Forgotten { name: state.into() }),
        }
    }

    pub(super) fn subscribe(self: &Arc<Self>, topic: &str) -> Result<Reader, Error> {
        let id = self.lock().memory.subscribe(topic)?;
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
            let ticket: Ticket = match self.local.lock().memory.item(self.id, seq, || sender) {
                Next::Item(payload) => {
                    self.seen = seq;
                    return Ok(Item { seq, payload });
                }
                Next::Waiting(ticket) => ticket,
                Next::Forgotten => return Err(Error::Forgotten { name: self.topic.clone() }),
            };
            let _leaves = Leaves(|| self.local.lock().memory.leave_topic(self.id, ticket));
            // Whatever it is told, what is there now says the rest.
            let _ = woken.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.local.lock().memory.unsubscribe(self.id);
    }
}

/// Takes back what a future did, when it ends or is dropped.
struct Leaves<F: FnMut()>(F);

impl<F: FnMut()> Drop for Leaves<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn unwritten(error: journal::Error) -> Error {
    Error::Journal { why: error.to_string().into() }
}

fn wake(woken: Vec<oneshot::Sender<Woken>>, why: impl Fn() -> Woken) {
    for sender in woken {
        // Fails for one who has just left.
        let _ = sender.send(why());
    }
}
