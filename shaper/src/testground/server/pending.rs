//! What a connection still waits for: its subscriptions and barriers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{AbortHandle, Abortable, SelectAll, Stream, StreamExt as _, once, unfold};
use tokio::sync::OwnedSemaphorePermit;

use super::super::protocol::{Reply, Response};
use crate::states::{States, Subscription};

/// Something that responses come of until it ends, and the room that it takes.
pub(super) struct Wait {
    pub(super) id: Arc<str>,
    pub(super) on: On,
    pub(super) room: OwnedSemaphorePermit,
}

pub(super) enum On {
    Topic(Subscription),
    State(States, String, u64),
}

enum Event {
    Said(Response),
    Over(u64),
}

/// All of one connection.
#[derive(Default)]
pub(super) struct Pending {
    events: SelectAll<Pin<Box<dyn Stream<Item = Event> + Send>>>,
    by_id: HashMap<u64, (Arc<str>, AbortHandle)>,
    last: u64,
}

impl Pending {
    pub(super) fn add(&mut self, wait: Wait) {
        self.last += 1;
        let (handle, registration) = AbortHandle::new_pair();
        self.by_id.insert(self.last, (wait.id.clone(), handle));
        let room = wait.room;
        let over = once(std::future::ready(Event::Over(self.last)));
        let said = match wait.on {
            On::Topic(subscription) => items(wait.id, subscription).boxed(),
            On::State(states, state, target) => once(barrier(wait.id, states, state, target)).boxed(),
        };
        // The room is taken until the end, even if that comes by a cancel.
        let said = said.map(move |response| {
            let _ = &room;
            Event::Said(response)
        });
        self.events.push(Box::pin(Abortable::new(said.chain(over), registration)));
    }

    /// Ends all with this id; nothing, if there is none.
    pub(super) fn cancel(&mut self, id: &str) {
        for (_, (_, handle)) in self.by_id.extract_if(|_, (known, _)| &**known == id) {
            handle.abort();
        }
    }

    /// The next response of any. Never there while nothing is waited for. Dropped, it loses none.
    pub(super) async fn next(&mut self) -> Response {
        loop {
            match self.events.next().await {
                Some(Event::Said(response)) => return response,
                Some(Event::Over(number)) => {
                    self.by_id.remove(&number);
                }
                None => std::future::pending().await,
            }
        }
    }
}

/// The items of a topic; then why there are no more, if that has a reason.
fn items(id: Arc<str>, subscription: Subscription) -> impl Stream<Item = Response> + Send {
    unfold(Some(subscription), move |subscription| {
        let id = id.clone();
        async move {
            let mut subscription = subscription?;
            Some(match subscription.next().await {
                Ok(item) => (Response { id, reply: Reply::Item(item.payload) }, Some(subscription)),
                Err(error) => (Response { id, reply: Reply::Error(error.to_string()) }, None),
            })
        }
    })
}

async fn barrier(id: Arc<str>, states: States, state: String, target: u64) -> Response {
    let reply = match states.reached(&state, target).await {
        Ok(_) => Reply::Reached,
        Err(error) => Reply::Error(error.to_string()),
    };
    Response { id, reply }
}
