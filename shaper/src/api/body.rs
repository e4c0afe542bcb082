//! What requests say.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{BODY_MAX, Refusal};

/// How long a client may take to send its body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Reads a request to its end before it is answered, whoever it is for: a client that still sends when the connection is closed gets
/// a reset in the place of its answer.
pub(super) async fn read_whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match timeout(BODY_WITHIN, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_too_long(&error) => {
            return Refusal::too_large(format!("the body is longer than {BODY_MAX} bytes")).into_response();
        }
        Ok(Err(error)) => return Refusal::usage(format!("the body cannot be read: {error}")).into_response(),
        Err(_elapsed) => {
            let seconds = BODY_WITHIN.as_secs();
            return Refusal::usage(format!("the body did not come within {seconds} s")).into_response();
        }
    };
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

/// A body of JSON; an empty one is `{}`.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Text(text) = Text::from_request(request, state).await?;
        let text = if text.trim().is_empty() { "{}" } else { text.as_str() };
        // serde takes a list for a struct whose fields have no names.
        if !text.trim_start().starts_with('{') {
            return Err(Refusal::usage("the body is not an object: write `{...}`"));
        }
        serde_json::from_str(text).map(Self).map_err(|error| Refusal::usage(format!("the body: {error}")))
    }
}

/// A body of text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| Refusal::usage(error.body_text()))?;
        String::from_utf8(bytes.into()).map(Self).map_err(|_not_utf8| Refusal::usage("the body is not UTF-8"))
    }
}

/// What stands in the path.
pub(super) struct InPath<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path)).map_err(|error| Refusal::usage(error.body_text()))
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| Refusal::usage(error.body_text()))
    }
}
