//! Counters and topics as plain values: no clock, no lock, nobody who sleeps.
//!
//! A waiter is a `W`, which is handed back when it need not wait any more; waking it is the caller's part.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::waiters::{Ticket, Waiters};
use super::{Held, Reading};
use super::{ITEM_BYTES, MAX_BYTES, MAX_NAME_BYTES, MAX_REFUSALS, MAX_STATES, MAX_TOPICS, MAX_WHY_BYTES};

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a name.
    pub name: usize,
    /// Number of states.
    pub states: usize,
    /// Number of topics.
    pub topics: usize,
    /// Bytes of all items, [`ITEM_BYTES`] for each included.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { name: MAX_NAME_BYTES, states: MAX_STATES, topics: MAX_TOPICS, bytes: MAX_BYTES }
    }
}

/// A topic, as long as it is not forgotten; no other one ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(u64);

/// What becomes of one who wants to wait for a target.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait {
    /// The count is this, which is enough.
    Reached(u64),
    /// It waits, until it is handed back or leaves.
    Waiting(Ticket),
}

/// What becomes of a signal.
#[derive(Debug, PartialEq, Eq)]
pub enum Signal<W> {
    /// It made this count; these need not wait any more.
    Counted(u64, Vec<W>),
    /// It was given before, and made this count then.
    Before(u64),
}

/// What becomes of one who wants the next item of a topic.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The item is there.
    Item(Arc<str>),
    /// It waits, until it is handed back or leaves.
    Waiting(Ticket),
    /// The topic was forgotten.
    Forgotten,
}

/// What of a state does not go with those who wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    #[serde(flatten)]
    reading: Reading,
    /// The counts of the signals that are to be given once.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    once: HashMap<Box<str>, u64>,
}

#[derive(Debug)]
struct State<W> {
    kept: Kept,
    waiters: Waiters<W>,
}

#[derive(Debug)]
struct Topic<W> {
    name: Arc<str>,
    items: Vec<Arc<str>>,
    subscribers: u64,
    waiters: Waiters<W>,
}

/// All counters and topics.
#[derive(Debug)]
pub struct Memory<W> {
    limits: Limits,
    states: HashMap<Arc<str>, State<W>>,
    names: HashMap<Arc<str>, TopicId>,
    topics: HashMap<TopicId, Topic<W>>,
    last_topic: u64,
    last_waiter: u64,
    bytes: usize,
}

impl<W> Memory<W> {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (states, names, topics) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { limits, states, names, topics, last_topic: 0, last_waiter: 0, bytes: 0 }
    }

    /// Counts one more; where `once` is given, only the first time that it is for this state. Fails beyond a limit.
    pub fn signal(&mut self, name: &str, once: Option<&str>) -> Result<Signal<W>, Error> {
        let given = |once| self.states.get(name)?.kept.once.get(once);
        if let Some(count) = once.and_then(given) {
            return Ok(Signal::Before(*count));
        }
        if let Some(once) = once {
            named(once, self.limits.name)?;
            self.room(once.len())?;
        }
        let state = self.state(name)?;
        state.kept.reading.count += 1;
        let count = state.kept.reading.count;
        let woken = state.waiters.reach(count);
        if let Some(once) = once {
            state.kept.once.insert(once.into(), count);
            self.bytes += once.len() + ITEM_BYTES;
        }
        Ok(Signal::Counted(count, woken))
    }

    /// Waits until the count is `target` or more; 0 is always reached, whatever the name. Fails with [`Error::Refused`] where the
    /// target is not reached and somebody said that it may never be, and beyond a limit.
    pub fn wait(&mut self, name: &str, target: u64, waiter: impl FnOnce() -> W) -> Result<Wait, Error> {
        let count = self.states.get(name).map_or(0, |state| state.kept.reading.count);
        if count >= target {
            return Ok(Wait::Reached(count));
        }
        self.last_waiter += 1;
        let number = self.last_waiter;
        let state = self.state(name)?;
        match state.kept.reading.refusals.first() {
            Some(why) => Err(Error::Refused { state: name.into(), why: why.clone() }),
            None => Ok(Wait::Waiting(state.waiters.enter(target, number, waiter()))),
        }
    }

    /// Somebody does not wait for a state any more. What only its waiting had made is gone with it.
    pub fn leave(&mut self, name: &str, ticket: Ticket) {
        let Some(state) = self.states.get_mut(name) else { return };
        state.waiters.leave(ticket);
        if state.kept.is_nothing() && state.waiters.is_empty() {
            self.states.remove(name);
        }
    }

    /// What would have been counted was refused: all whose target is not reached are handed back, and who comes later is told. The
    /// first [`MAX_REFUSALS`] reasons are kept, [`MAX_WHY_BYTES`] of each. Fails beyond a limit.
    pub fn refuse(&mut self, name: &str, why: &str) -> Result<(Arc<str>, Vec<W>), Error> {
        let why: Arc<str> = why[..why.floor_char_boundary(MAX_WHY_BYTES)].into();
        let state = self.state(name)?;
        let reading = &mut state.kept.reading;
        reading.refused += 1;
        if reading.refusals.len() < MAX_REFUSALS {
            reading.refusals.push(why.clone());
        }
        Ok((why, state.waiters.dismiss()))
    }

    /// What is known of a state; of one that nobody named, that it counted nothing.
    #[must_use]
    pub fn reading(&self, name: &str) -> Reading {
        self.states.get(name).map(|state| state.kept.reading.clone()).unwrap_or_default()
    }

    /// All states whose names begin with `prefix`, in the order of their names.
    #[must_use]
    pub fn readings(&self, prefix: &str) -> Vec<(Arc<str>, Reading)> {
        let named = self.states.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut readings: Vec<_> =
            named.map(|(name, state)| (name.clone(), state.kept.reading.clone())).collect();
        readings.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        readings
    }

    /// Appends to a topic; the item's place, from 1 on, and who waited for it. Fails beyond a limit.
    pub fn publish(&mut self, name: &str, payload: Arc<str>) -> Result<(u64, Vec<W>), Error> {
        let bytes = self.room(payload.len())?;
        let (_, topic) = self.topic(name)?;
        topic.items.push(payload);
        let seq = topic.items.len() as u64;
        let woken = topic.waiters.reach(seq);
        self.bytes += bytes;
        Ok((seq, woken))
    }

    /// One more subscriber, until [`Self::unsubscribe`]. Fails beyond a limit.
    pub fn subscribe(&mut self, name: &str) -> Result<TopicId, Error> {
        let (id, topic) = self.topic(name)?;
        topic.subscribers += 1;
        Ok(id)
    }

    /// One subscriber less. A topic that has neither items nor subscribers is gone.
    pub fn unsubscribe(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        topic.subscribers -= 1;
        if topic.subscribers == 0 && topic.items.is_empty() {
            self.names.remove(&topic.name);
            self.topics.remove(&id);
        }
    }

    /// The item at place `seq`, from 1 on, or a place to wait for it.
    pub fn item(&mut self, id: TopicId, seq: u64, waiter: impl FnOnce() -> W) -> Next {
        let Some(topic) = self.topics.get_mut(&id) else { return Next::Forgotten };
        let place = usize::try_from(seq - 1).unwrap_or(usize::MAX);
        match topic.items.get(place) {
            Some(payload) => Next::Item(payload.clone()),
            None => {
                self.last_waiter += 1;
                Next::Waiting(topic.waiters.enter(seq, self.last_waiter, waiter()))
            }
        }
    }

    /// Somebody does not wait for an item any more.
    pub fn leave_topic(&mut self, id: TopicId, ticket: Ticket) {
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.waiters.leave(ticket);
        }
    }

    /// Drops all states and topics whose names begin with `prefix`; how many, and who waited for them in vain.
    pub fn forget(&mut self, prefix: &str) -> (u64, Vec<W>) {
        let mut waited = Vec::new();
        let mut forgotten = 0;
        for (_, mut state) in self.states.extract_if(|name, _| name.starts_with(prefix)) {
            self.bytes -= state.kept.bytes();
            waited.append(&mut state.waiters.dismiss());
            forgotten += 1;
        }
        for (_, id) in self.names.extract_if(|name, _| name.starts_with(prefix)) {
            let Some(mut topic) = self.topics.remove(&id) else { continue };
            self.bytes -= topic.items.iter().map(|item| item.len() + ITEM_BYTES).sum::<usize>();
            waited.append(&mut topic.waiters.dismiss());
            forgotten += 1;
        }
        (forgotten, waited)
    }

    /// What is kept of each state.
    pub fn kept(&self) -> impl Iterator<Item = (&str, Kept)> {
        let kept = self.states.iter().filter(|(_, state)| !state.kept.is_nothing());
        kept.map(|(name, state)| (&**name, state.kept.clone()))
    }

    /// All items, those of a topic in their order.
    pub fn items(&self) -> impl Iterator<Item = (&str, &str)> {
        self.topics.values().flat_map(|topic| topic.items.iter().map(|item| (&*topic.name, &**item)))
    }

    /// Puts a state there as it was kept, where there is none and nobody waits. Fails beyond a limit.
    pub fn restore(&mut self, name: &str, kept: Kept) -> Result<(), Error> {
        let bytes = kept.bytes();
        self.state(name)?.kept = kept;
        self.bytes += bytes;
        Ok(())
    }

    /// How much is kept.
    #[must_use]
    pub fn held(&self) -> Held {
        let in_states: usize = self.states.values().map(|state| state.waiters.len()).sum();
        let in_topics: usize = self.topics.values().map(|topic| topic.waiters.len()).sum();
        Held {
            states: self.states.len(),
            topics: self.topics.len(),
            bytes: self.bytes,
            subscribers: self.topics.values().map(|topic| topic.subscribers).sum(),
            waiters: in_states + in_topics,
        }
    }

    /// Bytes that an item or a name takes that is so long. Fails where there is no room for it.
    fn room(&self, length: usize) -> Result<usize, Error> {
        let bytes = length.saturating_add(ITEM_BYTES);
        if bytes > self.limits.bytes - self.bytes {
            return Err(Error::Bytes { bytes, held: self.bytes, limit: self.limits.bytes });
        }
        Ok(bytes)
    }

    /// The state of this name, made if need be.
    fn state(&mut self, name: &str) -> Result<&mut State<W>, Error> {
        if !self.states.contains_key(name) {
            named(name, self.limits.name)?;
            if self.states.len() >= self.limits.states {
                return Err(Error::States { limit: self.limits.states });
            }
            self.states.insert(name.into(), State::default());
        }
        Ok(self.states.get_mut(name).expect("it is there, or was made"))
    }

    /// The topic of this name, made if need be.
    fn topic(&mut self, name: &str) -> Result<(TopicId, &mut Topic<W>), Error> {
        let id = match self.names.get(name) {
            Some(id) => *id,
            None => {
                named(name, self.limits.name)?;
                if self.topics.len() >= self.limits.topics {
                    return Err(Error::Topics { limit: self.limits.topics });
                }
                self.last_topic += 1;
                let (id, name) = (TopicId(self.last_topic), Arc::<str>::from(name));
                self.names.insert(name.clone(), id);
                let topic = Topic { name, items: Vec::new(), subscribers: 0, waiters: Waiters::default() };
                self.topics.insert(id, topic);
                id
            }
        };
        Ok((id, self.topics.get_mut(&id).expect("it is there, or was made")))
    }
}

impl<W> Default for State<W> {
    fn default() -> Self {
        Self { kept: Kept::default(), waiters: Waiters::default() }
    }
}

impl Kept {
    fn is_nothing(&self) -> bool {
        self.reading.count == 0 && self.reading.refused == 0
    }

    /// Bytes of its names, [`ITEM_BYTES`] for each included.
    fn bytes(&self) -> usize {
        self.once.keys().map(|once| once.len() + ITEM_BYTES).sum()
    }
}

fn named(name: &str, limit: usize) -> Result<(), Error> {
    if name.len() > limit { Err(Error::Name { bytes: name.len(), limit }) } else { Ok(()) }
}
