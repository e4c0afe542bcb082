//! `/v1/instances`: who is looked after.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::Refusal;
use super::body::{self, InPath};
use crate::agent::{Agent, Callback, Done, Error, Instance, Name, Order, Registration};
use crate::failure::{self, Code, Failure};
use crate::report::{self, Namespace};
use crate::wanted::Wanted;

#[derive(Serialize)]
pub(super) struct List {
    instances: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    /// Whether the agent looks after it already.
    registered: bool,
    /// Why what was wanted of it last is not so.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Shown {
    name: Name,
    namespace: String,
    registration: Registration,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(flatten)]
    report: Namespace,
}

pub(super) async fn list(State(agent): State<Agent>) -> Json<List> {
    let registered = agent.registered().into_iter().map(|one| (one.name().to_string(), one.failed()));
    let mut registered: BTreeMap<String, Option<String>> = registered.collect();
    let mut listed = |name| {
        let found = registered.remove(&name);
        Listed { registered: found.is_some(), failed: found.flatten(), name }
    };
    Json(List { instances: agent.names().into_iter().map(&mut listed).collect() })
}

pub(super) async fn register(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
    body::Json(registration): body::Json<Registration>,
) -> Result<(StatusCode, Json<Shown>), Refusal> {
    let (instance, is_new) = agent.register(name, registration).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(told(&instance).await?)))
}

pub(super) async fn show(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
) -> Result<Json<Shown>, Refusal> {
    Ok(Json(told(&*agent.instance(&name)?).await?))
}

pub(super) async fn remove(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
) -> Result<Json<Done>, Refusal> {
    Ok(Json(agent.remove(&name).await?))
}

async fn told(instance: &Instance) -> Result<Shown, Refusal> {
    Ok(Shown {
        name: instance.name().clone(),
        namespace: instance.target().to_string(),
        registration: instance.registration().clone(),
        failed: instance.failed(),
        report: look(instance).await?,
    })
}

/// Looks at an instance's namespace.
pub(super) async fn look(instance: &Instance) -> Result<Namespace, Error> {
    let target = instance.target().clone();
    blocking(move || {
        let netns = target.open().map_err(failure::netns)?;
        report::of_namespace(&netns).map_err(failure::report)
    })
    .await
}

/// Has an instance made as it is wanted.
pub(super) async fn make(
    agent: &Agent,
    name: &Name,
    wanted: Wanted,
    callback: Callback,
) -> Result<Json<Done>, Refusal> {
    let instance = agent.instance(name)?;
    // Each instance signals once.
    let once = callback.once.as_deref().map(|once| instance.once(once));
    let callback = Callback { once, ..callback };
    Ok(Json(instance.order(Order::Make(Box::new(wanted)), callback).await?))
}

/// Runs what blocks.
pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(body).await {
        Ok(result) => Ok(result?),
        Err(panic) => Err(Failure::new(Code::Failed, panic).into()),
    }
}
