//! What is signalled when an order is carried out.

use serde::{Deserialize, Serialize};

use crate::states::States;

/// A state that is signalled once when an order is in force; who waits for it learns why when it never will be.
#[derive(Clone, Debug, Default)]
pub struct Callback {
    /// The state; nothing is signalled without one.
    pub state: Option<String>,
    /// The count that is waited for; told back, for who waits.
    pub target: Option<u64>,
    /// What tells this signal from all others, so that it is given once, however often it is asked for, and also by the agent that
    /// goes on where a killed one was.
    pub once: Option<String>,
    /// Where it is signalled; among the agent's own states when nothing is said.
    pub at: Option<States>,
}

/// A state that was signalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalled {
    /// The state.
    pub state: String,
    /// The count that this signal made.
    pub seq: u64,
    /// The count that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
}
