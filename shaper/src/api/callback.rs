//! What a call says is signalled when what it asks for is in force.

use serde::Deserialize;

use super::Refusal;
use crate::agent::Callback;
use crate::states::MAX_NAME_BYTES;

/// Bytes of what tells a signal from others, at most.
const ONCE_MAX: usize = 256;

/// The members of a body that say it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    pub(super) callback_state: Option<String>,
    pub(super) callback_target: Option<u64>,
    pub(super) callback_once: Option<String>,
}

impl Said {
    /// The names of the members.
    pub(super) const MEMBERS: [&str; 3] = ["callback_state", "callback_target", "callback_once"];

    /// The callback. What could not be signalled is refused before anything is done.
    pub(super) fn read(self) -> Result<Callback, Refusal> {
        let Self { callback_state: state, callback_target: target, callback_once: once } = self;
        match &state {
            None if once.is_some() => {
                return Err(Refusal::usage("callback_once: there is no `callback_state` that it is of"));
            }
            Some(state) if state.len() > MAX_NAME_BYTES => {
                return Err(Refusal::usage(format!(
                    "callback_state: a name of {} bytes; up to {MAX_NAME_BYTES} are legal",
                    state.len()
                )));
            }
            _ => {}
        }
        if let Some(length) = once.as_deref().map(str::len).filter(|length| !(1..=ONCE_MAX).contains(length))
        {
            return Err(Refusal::usage(format!(
                "callback_once: {length} bytes; 1 to {ONCE_MAX} are legal, such as `step-3`"
            )));
        }
        Ok(Callback { state, target, once, ..Callback::default() })
    }
}
