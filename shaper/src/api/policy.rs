//! `/v1/instances/NAME/policy`: which places an instance reaches.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::body::{self, InPath};
use super::callback::Said;
use super::instances::{look, make};
use crate::agent::{Agent, Callback, Done, Name};
use crate::policy::{self, Keep, Policy};
use crate::shape::Named as _;
use crate::wanted::{Routing, Wanted};

/// A policy as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    policy: String,
    #[serde(default)]
    keep: Vec<String>,
    /// The link whose network stays reachable; the only one when nothing is said.
    dev: Option<String>,
    callback_state: Option<String>,
    callback_target: Option<u64>,
    callback_once: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    report: Option<policy::Report>,
}

pub(super) async fn put(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
    body::Json(asked): body::Json<Asked>,
) -> Result<Json<Done>, Refusal> {
    let keep = asked.keep.iter().map(|text| text.parse::<Keep>());
    let keep: Vec<Keep> =
        keep.collect::<Result<_, _>>().map_err(|error| Refusal::usage(format!("keep: {error}")))?;
    let routing = match Policy::from_name(&asked.policy) {
        Ok(Policy::AllowAll) if keep.is_empty() => Routing::AllowAll,
        Ok(Policy::AllowAll) => {
            return Err(Refusal::usage("keep: that is for `deny-all`, which leaves nothing else"));
        }
        Ok(Policy::DenyAll) => Routing::DenyAll { keep },
        Err(error) => return Err(Refusal::usage(format!("policy: {error}"))),
    };
    let wanted = Wanted { dev: asked.dev, policy: Some(routing), ..Wanted::default() };
    let said = Said {
        callback_state: asked.callback_state,
        callback_target: asked.callback_target,
        callback_once: asked.callback_once,
    };
    let callback = said.read()?;
    make(&agent, &name, wanted, callback).await
}

pub(super) async fn clear(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
) -> Result<Json<Done>, Refusal> {
    let wanted = Wanted { policy: Some(Routing::AllowAll), ..Wanted::default() };
    make(&agent, &name, wanted, Callback::default()).await
}

pub(super) async fn show(
    State(agent): State<Agent>,
    InPath(name): InPath<Name>,
) -> Result<Json<Shown>, Refusal> {
    let instance = agent.instance(&name)?;
    Ok(Json(Shown { report: look(&instance).await?.policy }))
}
