//! `/v1/states`: counters that anybody signals, reads and waits for.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Refusal;
use super::body::{Asked, InPath};
use crate::agent::Agent;
use crate::states::{Reading, is_zero};
use crate::units::Delay;

/// How long a call waits when nothing is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// How long a call waits at most; who wants to wait longer calls again.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

#[derive(Serialize)]
pub(super) struct List {
    states: Vec<Told>,
}

/// What is known of a state.
#[derive(Serialize)]
pub(super) struct Told {
    state: String,
    count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    refused: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<String>,
    /// Whether the target is reached, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Signalled {
    state: String,
    seq: u64,
}

#[derive(Serialize)]
pub(super) struct Forgotten {
    /// How many states and topics.
    forgotten: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Once {
    /// What tells this signal from all others: who asks again does not signal again.
    once: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// The count to wait for.
    target: Option<u64>,
    /// How long, such as `30s`.
    timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prefix {
    #[serde(default)]
    prefix: String,
}

fn told(state: String, reading: &Reading, reached: Option<bool>) -> Told {
    let refusals = reading.refusals.iter().map(ToString::to_string).collect();
    Told { state, count: reading.count, refused: reading.refused, refusals, reached }
}

pub(super) async fn list(
    State(agent): State<Agent>,
    Asked(Prefix { prefix }): Asked<Prefix>,
) -> Result<Json<List>, Refusal> {
    let readings = agent.states().readings(&prefix).await?;
    let states =
        readings.into_iter().map(|(state, reading)| told(state.to_string(), &reading, None)).collect();
    Ok(Json(List { states }))
}

pub(super) async fn signal(
    State(agent): State<Agent>,
    InPath(state): InPath<String>,
    Asked(Once { once }): Asked<Once>,
) -> Result<Json<Signalled>, Refusal> {
    let seq = match once {
        Some(once) => agent.states().signal_once(&state, &once).await?,
        None => agent.states().signal(&state).await?,
    };
    Ok(Json(Signalled { state, seq }))
}

/// Drops all states and topics whose names begin so; not simply all of them, which nobody means who forgets to say what.
pub(super) async fn forget(
    State(agent): State<Agent>,
    Asked(Prefix { prefix }): Asked<Prefix>,
) -> Result<Json<Forgotten>, Refusal> {
    if prefix.is_empty() {
        return Err(Refusal::usage(
            "prefix: say how the names begin of what is to be forgotten, such as `run:r1:`",
        ));
    }
    Ok(Json(Forgotten { forgotten: agent.states().forget(&prefix).await? }))
}

/// Reads a state; with a target, when that is reached or the time is over.
pub(super) async fn read(
    State(agent): State<Agent>,
    InPath(state): InPath<String>,
    Asked(wait): Asked<Wait>,
) -> Result<Json<Told>, Refusal> {
    let limit = match &wait.timeout {
        None => TIMEOUT_DEFAULT,
        Some(_) if wait.target.is_none() => {
            return Err(Refusal::usage("timeout: there is nothing to wait for: say a `target`, too"));
        }
        Some(text) => text
            .parse::<Delay>()
            .map(|delay| Duration::from_nanos(delay.as_ns()))
            .map_err(|error| Refusal::usage(format!("timeout: {error}")))?,
    };
    if limit > TIMEOUT_MAX {
        return Err(Refusal::usage(format!("timeout: at most {} s: then call again", TIMEOUT_MAX.as_secs())));
    }
    let mut reached = None;
    if let Some(target) = wait.target {
        reached = Some(match timeout(limit, agent.states().reached(&state, target)).await {
            Ok(reached) => reached.map(|_| true)?,
            Err(_elapsed) => false,
        });
    }
    let reading = agent.states().count(&state).await?;
    Ok(Json(told(state, &reading, reached)))
}
