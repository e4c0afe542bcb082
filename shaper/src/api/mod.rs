//! The agent's control API: HTTP/1.1 and JSON, over a Unix socket or, with a token, over TCP.
//!
//! | call | what it does |
//! |---|---|
//! | `GET /v1/instances` | the instances that are looked after, and the namespaces that could be |
//! | `PUT /v1/instances/NAME` | registers one |
//! | `GET /v1/instances/NAME` | what is shaped there, as `shaper show --json` says it |
//! | `DELETE /v1/instances/NAME` | clears it and forgets it |
//! | `PUT`, `PATCH`, `DELETE /v1/instances/NAME/links/LINK` | states, adds to, takes away the rules of a link |
//! | `GET /v1/instances/NAME/links/LINK` | the rules, as `PUT` takes them |
//! | `PUT`, `DELETE /v1/instances/NAME/policy` | the routing policy |
//! | `POST /v1/apply`, `POST /v1/clear` | what the commands of that name do, in a namespace by name, path or process |
//! | `GET /v1/show`, `GET /v1/rules` | what `show`, and `show --as`, print |
//! | `GET /v1/states`, `GET /v1/states/STATE` | how often states were signalled; with `target`, waits |
//! | `POST /v1/states/STATE` | signals |
//! | `DELETE /v1/states` | forgets all states and topics of a run |
//! | `GET /v1/events` | what happens to states, as server-sent events |
//! | `GET /metrics`, `GET /healthz`, `GET /v1/openapi.json` | for machines |
//!
//! What changes something answers when it is in force. The document is `openapi.json` beside this file.

mod auth;
mod body;
mod callback;
pub mod commands;
mod events;
mod failure;
mod instances;
mod links;
mod listener;
mod metrics;
mod place;
mod policy;
mod serve;
mod states;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};

pub use auth::Token;
pub use failure::Refusal;
pub use listener::{ListenError, Listener, bind};
pub use place::Place;
pub use serve::serve;

use crate::agent::Agent;

/// Bytes of a request's body, at most: as long as a file of rules may be.
pub const BODY_MAX: usize = crate::rules::file::TEXT_MAX;

/// What the API is, for programs.
static OPENAPI: &str = include_str!("openapi.json");

/// The API of an agent.
pub fn router(agent: Agent) -> Router {
    Router::new()
        .route("/v1/instances", get(instances::list))
        .route(
            "/v1/instances/{name}",
            get(instances::show).put(instances::register).delete(instances::remove),
        )
        .route(
            "/v1/instances/{name}/links/{link}",
            get(links::show).put(links::put).patch(links::patch).delete(links::clear),
        )
        .route("/v1/instances/{name}/policy", get(policy::show).put(policy::put).delete(policy::clear))
        .route("/v1/apply", post(commands::apply))
        .route("/v1/clear", post(commands::clear))
        .route("/v1/show", get(commands::show))
        .route("/v1/rules", get(commands::rules))
        .route("/v1/states", get(states::list).delete(states::forget))
        .route("/v1/states/{state}", get(states::read).post(states::signal))
        .route("/v1/events", get(events::stream))
        .route("/v1/openapi.json", get(openapi))
        .route("/metrics", get(metrics::scrape))
        .route("/healthz", get(healthz))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(body::read_whole))
        .with_state(agent)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::not_found(format!("there is nothing at `{}`", uri.path()))
        .hint("`GET /v1/openapi.json` says what there is")
}

async fn not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::not_allowed(format!("`{method}` is not for `{}`", uri.path()))
        .hint("`GET /v1/openapi.json` says what is")
}

#[cfg(test)]
mod tests;
