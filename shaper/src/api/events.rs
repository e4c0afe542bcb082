//! `/v1/events`: what happens to states, as it happens.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde_json::json;

use super::Refusal;
use crate::agent::Agent;
use crate::states::Change;

pub(super) async fn stream(
    State(agent): State<Agent>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let changes = agent.states().watch().await?;
    let events = stream::unfold(changes, |mut changes| async move {
        // States that say no more end the stream, and the reader comes again.
        let change = changes.next().await.ok()?;
        Some((Ok(event(&change)), changes))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn event(change: &Change) -> Event {
    let (name, data) = match change {
        Change::Count { state, count } => ("signalled", json!({ "state": **state, "count": count })),
        Change::Refused { state, why } => ("refused", json!({ "state": **state, "why": **why })),
        Change::Forgotten { prefix } => ("forgotten", json!({ "prefix": **prefix })),
        Change::Missed(count) => ("missed", json!({ "count": count })),
    };
    Event::default().event(name).data(data.to_string())
}
