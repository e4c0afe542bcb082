//! What the runtime's answers are read as.

use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::Answer;

/// What is answered instead of a result.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Reads an answer; `None` when there is no such thing.
///
/// # Errors
///
/// What the runtime says, or what is wrong with its answer.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<Option<T>, String> {
    match answer.status {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => {
            serde_json::from_slice(&answer.body).map(Some).map_err(|error| error.to_string())
        }
        status => {
            let said = serde_json::from_slice::<Refusal>(&answer.body);
            Err(said.map_or_else(|_no_json| status.to_string(), |said| format!("{status}: {}", said.message)))
        }
    }
}
