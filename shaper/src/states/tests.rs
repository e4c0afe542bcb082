//! The core against a model that is obviously right; the handle for what needs somebody who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use proptest::prelude::*;

use super::memory::{Limits, Memory, Next, Signal, TopicId, Wait};
use super::record::{self, Record};
use super::*;
use crate::scratch::Directory;

/// Two names of each of two runs.
const NAMES: [&str; 4] = ["run:a:x", "run:a:y", "run:b:x", "run:b:y"];

#[derive(Clone, Debug)]
enum Step {
    /// Of a name, perhaps one that is given once.
    Signal(usize, Option<u8>),
    Refuse(usize),
    Wait(usize, u64),
    /// The nth of those who wait leaves.
    Leave(usize),
    Publish(usize),
    Subscribe(usize),
    /// The nth subscriber asks for its next item, and waits if need be.
    Read(usize),
    /// The nth subscriber goes, with its wait.
    Unsubscribe(usize),
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), prop::option::of(0..3_u8)).prop_map(|(name, once)| Step::Signal(name, once)),
        1 => name.clone().prop_map(Step::Refuse),
        4 => (name.clone(), 0..6_u64).prop_map(|(name, target)| Step::Wait(name, target)),
        2 => (0..8_usize).prop_map(Step::Leave),
        4 => name.clone().prop_map(Step::Publish),
        2 => name.clone().prop_map(Step::Subscribe),
        4 => (0..4_usize).prop_map(Step::Read),
        1 => (0..4_usize).prop_map(Step::Unsubscribe),
        1 => name.prop_map(Step::Forget),
    ]
}

#[derive(Default)]
struct ModelState {
    count: u64,
    refused: u64,
    once: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct ModelReader {
    id: TopicId,
    name: usize,
    seen: u64,
    waits: Option<(Ticket, u64)>,
    forgotten: bool,
}

/// What `Memory` is to do, with every waiter in one list that is searched from one end to the other.
#[derive(Default)]
struct Model {
    states: BTreeMap<usize, ModelState>,
    topics: BTreeMap<usize, Vec<Arc<str>>>,
    waiters: BTreeMap<u64, (usize, u64, Ticket)>,
    readers: Vec<ModelReader>,
    last: u64,
}

impl Model {
    /// Those who are to be handed back, of a state.
    fn woken(&mut self, is: impl Fn(usize, u64) -> bool) -> BTreeSet<u64> {
        let woken = self.waiters.extract_if(.., |_, (name, target, _)| is(*name, *target));
        woken.map(|(waiter, _)| waiter).collect()
    }

    fn woken_readers(&mut self, is: impl Fn(&ModelReader) -> bool) -> BTreeSet<u64> {
        let waiting = self.readers.iter_mut().filter(|reader| is(reader));
        waiting.filter_map(|reader| reader.waits.take().map(|(_, waiter)| waiter)).collect()
    }

    /// States that are there only for those who wait are not there without them.
    fn tidy(&mut self) {
        let waited: BTreeSet<_> = self.waiters.values().map(|(name, ..)| *name).collect();
        self.states.retain(|name, state| state.count + state.refused > 0 || waited.contains(name));
        let read: BTreeSet<_> =
            self.readers.iter().filter(|reader| !reader.forgotten).map(|reader| reader.name).collect();
        self.topics.retain(|name, items| !items.is_empty() || read.contains(name));
    }

    fn items(&self) -> impl Iterator<Item = usize> {
        self.topics.values().flatten().map(|item| item.len())
    }

    fn once(&self) -> impl Iterator<Item = usize> {
        self.states.values().flat_map(|state| state.once.keys().map(String::len))
    }

    fn held(&self) -> Held {
        Held {
            states: self.states.len(),
            topics: self.topics.len(),
            bytes: self.items().chain(self.once()).map(|length| length + ITEM_BYTES).sum(),
            subscribers: self.readers.iter().filter(|reader| !reader.forgotten).count() as u64,
            waiters: self.waiters.len() + self.readers.iter().filter(|reader| reader.waits.is_some()).count(),
        }
    }
}

fn same(woken: Vec<u64>, expected: BTreeSet<u64>) -> Result<(), TestCaseError> {
    let number = woken.len();
    let woken: BTreeSet<_> = woken.into_iter().collect();
    prop_assert_eq!(woken.len(), number, "handed back twice");
    prop_assert_eq!(woken, expected);
    Ok(())
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut memory: Memory<u64> = Memory::new(Limits::default());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Signal(name, once) => {
                let state = model.states.entry(name).or_default();
                let once = once.map(|once| format!("{once}"));
                let before = once.as_ref().and_then(|once| state.once.get(once).copied());
                match (memory.signal(NAMES[name], once.as_deref()).unwrap(), before) {
                    (Signal::Before(count), before) => prop_assert_eq!(Some(count), before),
                    (Signal::Counted(counted, woken), before) => {
                        prop_assert_eq!(before, None);
                        state.count += 1;
                        let count = state.count;
                        state.once.extend(once.map(|once| (once, count)));
                        prop_assert_eq!(counted, count);
                        same(woken, model.woken(|waits, target| waits == name && target <= count))?;
                    }
                }
            }
            Step::Refuse(name) => {
                model.states.entry(name).or_default().refused += 1;
                let (_, woken) = memory.refuse(NAMES[name], "no").unwrap();
                same(woken, model.woken(|waits, _| waits == name))?;
            }
            Step::Wait(name, target) => {
                let (count, refused) =
                    model.states.get(&name).map_or((0, 0), |state| (state.count, state.refused));
                model.last += 1;
                match memory.wait(NAMES[name], target, || model.last) {
                    Ok(Wait::Reached(reached)) => prop_assert!(reached == count && count >= target),
                    Err(error) => {
                        prop_assert!(count < target && refused > 0);
                        prop_assert_eq!(
                            error,
                            Error::Refused { state: NAMES[name].into(), why: "no".into() }
                        );
                    }
                    Ok(Wait::Waiting(ticket)) => {
                        prop_assert!(count < target && refused == 0);
                        model.states.entry(name).or_default();
                        model.waiters.insert(model.last, (name, target, ticket));
                    }
                }
            }
            Step::Leave(nth) => {
                let Some(waiter) = model.waiters.keys().nth(nth).copied() else { continue };
                let (name, _, ticket) = model.waiters.remove(&waiter).unwrap();
                memory.leave(NAMES[name], ticket);
                // Once more does no harm.
                memory.leave(NAMES[name], ticket);
            }
            Step::Publish(name) => {
                let items = model.topics.entry(name).or_default();
                let payload: Arc<str> = format!("{}", items.len()).into();
                items.push(payload.clone());
                let (seq, woken) = memory.publish(NAMES[name], payload).unwrap();
                prop_assert_eq!(seq, items.len() as u64);
                same(woken, model.woken_readers(|reader| reader.name == name && !reader.forgotten))?;
            }
            Step::Subscribe(name) => {
                model.topics.entry(name).or_default();
                let id = memory.subscribe(NAMES[name]).unwrap();
                model.readers.push(ModelReader { id, name, seen: 0, waits: None, forgotten: false });
            }
            Step::Read(nth) => {
                let Some(reader) = model.readers.get_mut(nth).filter(|reader| reader.waits.is_none()) else {
                    continue;
                };
                model.last += 1;
                let item = model.topics.get(&reader.name).and_then(|items| items.get(reader.seen as usize));
                match memory.item(reader.id, reader.seen + 1, || model.last) {
                    Next::Forgotten => prop_assert!(reader.forgotten),
                    Next::Item(payload) => {
                        prop_assert!(!reader.forgotten);
                        prop_assert_eq!(Some(&payload), item);
                        reader.seen += 1;
                    }
                    Next::Waiting(ticket) => {
                        prop_assert!(!reader.forgotten && item.is_none());
                        reader.waits = Some((ticket, model.last));
                    }
                }
            }
            Step::Unsubscribe(nth) => {
                if nth >= model.readers.len() {
                    continue;
                }
                let reader = model.readers.remove(nth);
                if let Some((ticket, _)) = reader.waits {
                    memory.leave_topic(reader.id, ticket);
                }
                memory.unsubscribe(reader.id);
            }
            Step::Forget(name) => {
                let prefix = &NAMES[name][..6];
                let (_, woken) = memory.forget(prefix);
                let mut expected = model.woken(|waits, _| NAMES[waits].starts_with(prefix));
                let of_run =
                    |reader: &ModelReader| NAMES[reader.name].starts_with(prefix) && !reader.forgotten;
                expected.append(&mut model.woken_readers(of_run));
                same(woken, expected)?;
                model.states.retain(|name, _| !NAMES[*name].starts_with(prefix));
                model.topics.retain(|name, _| !NAMES[*name].starts_with(prefix));
                for reader in model.readers.iter_mut().filter(|reader| of_run(reader)) {
                    reader.forgotten = true;
                }
            }
        }
        model.tidy();
        prop_assert_eq!(memory.held(), model.held());
        for (name, text) in NAMES.iter().enumerate() {
            let reading = memory.reading(text);
            let (count, refused) =
                model.states.get(&name).map_or((0, 0), |state| (state.count, state.refused));
            prop_assert_eq!((reading.count, reading.refused), (count, refused));
        }
    }
    remade(&memory)
}

/// What its records say is what it is, but for those who wait.
fn remade(memory: &Memory<u64>) -> Result<(), TestCaseError> {
    let mut made: Memory<u64> = Memory::new(Limits::default());
    for record in record::of(memory) {
        let line = serde_json::to_string(&record).unwrap();
        serde_json::from_str::<Record<'static>>(&line).unwrap().replay(&mut made).unwrap();
    }
    let kept = [memory, &made].map(|memory| memory.kept().collect::<BTreeMap<_, _>>());
    prop_assert_eq!(&kept[0], &kept[1]);
    for name in NAMES {
        let items = [memory, &made].map(|memory| {
            memory.items().filter(|(topic, _)| *topic == name).map(|(_, item)| item).collect::<Vec<_>>()
        });
        prop_assert_eq!(&items[0], &items[1]);
    }
    prop_assert_eq!(memory.held().bytes, made.held().bytes);
    Ok(())
}

proptest! {
    #[test]
    fn memory_does_what_the_model_does(steps in prop::collection::vec(step(), 0..120)) {
        run(steps)?;
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_ticket_of_a_forgotten_state_is_nobody_elses() {
    let mut memory: Memory<u8> = Memory::new(Limits::default());
    let Ok(Wait::Waiting(old)) = memory.wait("s", 1, || 1) else { panic!("nothing was signalled") };
    memory.forget("s");
    memory.wait("s", 1, || 2).unwrap();
    memory.leave("s", old);
    assert_eq!(memory.signal("s", None).unwrap(), Signal::Counted(1, vec![2]));
}

#[test]
fn limits_say_what_is_legal_and_keep_what_is_there() {
    let limits = Limits { name: 4, states: 1, topics: 1, bytes: 2 * ITEM_BYTES + 10 };
    let mut memory: Memory<()> = Memory::new(limits);
    memory.signal("s", None).unwrap();
    memory.signal("s", None).unwrap();
    assert_eq!(memory.signal("t", None).unwrap_err(), Error::States { limit: 1 });
    assert_eq!(memory.wait("t", 1, || ()).unwrap_err(), Error::States { limit: 1 });
    assert_eq!(memory.refuse("t", "no").unwrap_err(), Error::States { limit: 1 });
    assert_eq!(memory.signal("state", None).unwrap_err(), Error::Name { bytes: 5, limit: 4 });
    assert_eq!(memory.wait("state", 0, || ()).unwrap(), Wait::Reached(0));
    memory.publish("s", "1234".into()).unwrap();
    assert_eq!(memory.publish("t", "1".into()).unwrap_err(), Error::Topics { limit: 1 });
    assert_eq!(memory.subscribe("t").unwrap_err(), Error::Topics { limit: 1 });
    assert_eq!(memory.publish("topic", "1".into()).unwrap_err(), Error::Name { bytes: 5, limit: 4 });
    let (bytes, held) = (ITEM_BYTES + 7, ITEM_BYTES + 4);
    let full = Error::Bytes { bytes, held, limit: limits.bytes };
    assert_eq!(memory.publish("s", "1234567".into()).unwrap_err(), full);
    assert!(full.to_string().ends_with("up to 138 are legal"), "{full}");
    assert_eq!(memory.publish("s", "123456".into()).unwrap().0, 2);
    memory.forget("");
    assert_eq!(memory.held(), Held::default());
    assert_eq!(memory.publish("t", "1".into()).unwrap().0, 1);
}

#[test]
fn a_signal_that_is_given_once_counts_against_the_limits() {
    let limits = Limits { name: 4, states: 1, topics: 1, bytes: ITEM_BYTES + 4 };
    let mut memory: Memory<()> = Memory::new(limits);
    assert_eq!(memory.signal("s", Some("long!")).unwrap_err(), Error::Name { bytes: 5, limit: 4 });
    assert_eq!(memory.held(), Held::default());
    assert_eq!(memory.signal("s", Some("once")).unwrap(), Signal::Counted(1, vec![]));
    assert!(matches!(memory.signal("s", Some("two")).unwrap_err(), Error::Bytes { .. }));
    assert_eq!(memory.signal("s", Some("once")).unwrap(), Signal::Before(1));
    memory.forget("s");
    assert_eq!(memory.signal("s", Some("once")).unwrap(), Signal::Counted(1, vec![]));
}

#[test]
fn a_journal_has_all_that_was_acknowledged() {
    let directory = Directory::new();
    let path = directory.file("states");
    block_on(async {
        let states = States::journalled(&path).unwrap();
        assert_eq!(states.signal("s").await, Ok(1));
        assert_eq!(states.signal_once("s", "a").await, Ok(2));
        assert_eq!(states.refuse("r", "\"no\"\n").await, Ok(()));
        assert_eq!(states.publish("t", r#"{"a": "ä"}"#).await, Ok(1));
        assert_eq!(states.signal("over").await, Ok(1));
        assert_eq!(states.forget("over").await, Ok(1));
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        assert!(matches!(states.signal(&long).await, Err(Error::Name { .. })));
        assert!(States::journalled(&path).is_err(), "two at once");
    });
    // The second time out of the file that the first one wrote anew.
    for count in 2..4 {
        block_on(async {
            let states = States::journalled(&path).unwrap();
            assert_eq!(states.signal_once("s", "a").await, Ok(2));
            assert_eq!(states.count("s").await.unwrap().count, count);
            assert_eq!(states.signal("s").await, Ok(count + 1));
            assert_eq!(&*states.count("r").await.unwrap().refusals[0], "\"no\"\n");
            assert_eq!(&*states.subscribe("t").await.unwrap().next().await.unwrap().payload, r#"{"a": "ä"}"#);
            assert_eq!(states.readings("").await.unwrap().len(), 2);
        });
    }
}

#[test]
fn reasons_are_bounded_and_the_first_ones_stay() {
    let mut memory: Memory<()> = Memory::new(Limits::default());
    let long = "ä".repeat(MAX_WHY_BYTES);
    memory.refuse("s", "first").unwrap();
    for _ in 0..20 {
        memory.refuse("s", &long).unwrap();
    }
    let reading = memory.reading("s");
    assert_eq!((reading.refused, reading.refusals.len()), (21, MAX_REFUSALS));
    assert_eq!(&*reading.refusals[0], "first");
    assert_eq!(reading.refusals[1].len(), MAX_WHY_BYTES);
    let why = memory.wait("s", 1, || ()).unwrap_err();
    assert_eq!(why, Error::Refused { state: "s".into(), why: "first".into() });
}

#[test]
fn a_waiter_that_is_dropped_leaves_nothing_behind() {
    block_on(async {
        let states = States::memory();
        {
            let mut waits = Box::pin(states.reached("s", 3));
            let mut subscription = states.subscribe("t").await.unwrap();
            let mut next = Box::pin(subscription.next());
            assert!(poll!(&mut waits).is_pending());
            assert!(poll!(&mut next).is_pending());
            let held = states.held().await.unwrap();
            assert_eq!((held.states, held.topics, held.subscribers, held.waiters), (1, 1, 1, 2));
        }
        assert_eq!(states.held().await.unwrap(), Held::default());
    });
}

#[test]
fn each_target_is_reached_by_its_signal() {
    block_on(async {
        let states = States::memory();
        let mut waits: Vec<_> = (1..=3).map(|target| Box::pin(states.reached("s", target))).collect();
        for wait in &mut waits {
            assert!(poll!(wait).is_pending());
        }
        for count in 1..=3 {
            assert_eq!(states.signal("s").await, Ok(count));
            assert_eq!(poll!(waits.remove(0)), Poll::Ready(Ok(count)));
            for wait in &mut waits {
                assert!(poll!(wait).is_pending());
            }
        }
        assert_eq!(states.reached("s", 2).await, Ok(3));
    });
}

#[test]
fn a_refusal_is_told_to_those_whose_target_is_not_reached() {
    block_on(async {
        let states = States::memory();
        states.signal("s").await.unwrap();
        let mut waits = Box::pin(states.reached("s", 2));
        assert!(poll!(&mut waits).is_pending());
        states.refuse("s", "rule 3: no such link").await.unwrap();
        let refused = Err(Error::Refused { state: "s".into(), why: "rule 3: no such link".into() });
        assert_eq!(poll!(&mut waits), Poll::Ready(refused.clone()));
        assert_eq!(states.reached("s", 2).await, refused);
        assert_eq!(states.reached("s", 1).await, Ok(1));
        states.signal("s").await.unwrap();
        assert_eq!(states.reached("s", 2).await, Ok(2));
    });
}

#[test]
fn a_subscriber_reads_all_from_the_first_item_at_its_own_pace() {
    block_on(async {
        let states = States::memory();
        states.publish("t", "1").await.unwrap();
        let (mut one, mut other) =
            (states.subscribe("t").await.unwrap(), states.subscribe("t").await.unwrap());
        states.publish("t", "2").await.unwrap();
        let (first, second) = (one.next().await.unwrap(), one.next().await.unwrap());
        assert_eq!((first.seq, &*first.payload, second.seq, &*second.payload), (1, "1", 2, "2"));
        assert!(poll!(Box::pin(one.next())).is_pending());
        let again = other.next().await.unwrap();
        assert_eq!(again, first);
        assert!(Arc::ptr_eq(&again.payload, &first.payload), "a copy for each subscriber");
        let mut next = Box::pin(one.next());
        assert!(poll!(&mut next).is_pending());
        states.publish("t", "3").await.unwrap();
        assert_eq!(next.await.unwrap().seq, 3);
    });
}

#[test]
fn a_run_that_is_forgotten_is_over_for_all_who_wait() {
    block_on(async {
        let states = States::memory();
        states.publish("run:a:t", "1").await.unwrap();
        let mut subscription = states.subscribe("run:a:t").await.unwrap();
        subscription.next().await.unwrap();
        let mut waits = Box::pin(states.reached("run:a:s", 1));
        let mut next = Box::pin(subscription.next());
        assert!(poll!(&mut waits).is_pending() && poll!(&mut next).is_pending());
        assert_eq!(states.forget("run:a:").await, Ok(2));
        assert_eq!(waits.await, Err(Error::Forgotten { name: "run:a:s".into() }));
        // The same name again is another topic.
        states.publish("run:a:t", "2").await.unwrap();
        assert_eq!(next.await, Err(Error::Forgotten { name: "run:a:t".into() }));
        assert_eq!(states.subscribe("run:a:t").await.unwrap().next().await.unwrap().seq, 1);
    });
}

#[test]
fn who_watches_is_told_each_change_or_how_many_it_missed() {
    block_on(async {
        let states = States::memory();
        states.signal("before").await.unwrap();
        let mut changes = states.watch().await.unwrap();
        states.signal("s").await.unwrap();
        states.refuse("s", "no").await.unwrap();
        states.forget("s").await.unwrap();
        assert_eq!(changes.next().await, Ok(Change::Count { state: "s".into(), count: 1 }));
        assert_eq!(changes.next().await, Ok(Change::Refused { state: "s".into(), why: "no".into() }));
        assert_eq!(changes.next().await, Ok(Change::Forgotten { prefix: "s".into() }));
        assert!(poll!(Box::pin(changes.next())).is_pending());
        for _ in 0..CHANGES + 5 {
            states.signal("s").await.unwrap();
        }
        assert_eq!(changes.next().await, Ok(Change::Missed(5)));
        assert_eq!(changes.next().await, Ok(Change::Count { state: "s".into(), count: 6 }));
        let readings = states.readings("").await.unwrap();
        let counts: Vec<_> = readings.iter().map(|(name, reading)| (&**name, reading.count)).collect();
        assert_eq!(counts, [("before", 1), ("s", CHANGES as u64 + 5)]);
    });
}
