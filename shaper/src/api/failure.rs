//! What is answered when something cannot be done: `{"code", "message", "hint"}`.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::agent;
use crate::failure::{Code, Failure};
use crate::states;

/// What is answered instead of a result.
#[derive(Debug, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None }
    }

    /// What was said makes no sense.
    pub(super) fn usage(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", message.to_string())
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// The thing is there, and is not used like that.
    pub(super) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "not-allowed", message)
    }

    /// The body is too long.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    /// Who asks may not.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// Adds what the caller can do about it.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(&self)).into_response()
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        let status = match failure.code() {
            Code::Usage => StatusCode::BAD_REQUEST,
            Code::Permission => StatusCode::FORBIDDEN,
            Code::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Code::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Failed | Code::Done => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = Code::NAMES.iter().find(|(code, _)| *code == failure.code());
        let code = code.map_or("failed", |(_, name)| name);
        Self { hint: failure.what_to_do().map(str::to_owned), ..Self::new(status, code, failure.what()) }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::from(&failure)
    }
}

impl From<agent::Error> for Refusal {
    fn from(error: agent::Error) -> Self {
        use agent::Error;
        let message = error.to_string();
        match error {
            Error::Failure(failure) => Self::from(&*failure),
            Error::States(error) => Self::from(error),
            Error::NotFound { .. } => Self::not_found(message),
            Error::Usage(_) => Self::usage(message),
            Error::Taken { .. } => Self::new(StatusCode::CONFLICT, "taken", message),
            Error::Journal(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", message),
            Error::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", message),
            Error::Busy { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message),
            Error::Gone { .. } => Self::new(StatusCode::GONE, "gone", message),
        }
    }
}

impl From<states::Error> for Refusal {
    fn from(error: states::Error) -> Self {
        use states::Error;
        let message = error.to_string();
        match error {
            Error::Refused { .. } => Self::new(StatusCode::CONFLICT, "refused", message),
            Error::Forgotten { .. } => Self::new(StatusCode::GONE, "gone", message),
            Error::Name { .. } => Self::usage(message),
            Error::Server { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unreachable", message),
            Error::States { .. } | Error::Topics { .. } | Error::Bytes { .. } | Error::Journal { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", message)
            }
        }
    }
}
