//! What `shaper show --json` says, by meaning: the one place that knows its field names.

use serde_json::Value;

/// The object that `show --json` printed.
#[derive(Clone, Debug)]
pub struct Show(Value);

impl Show {
    /// Takes the object.
    pub fn new(value: Value) -> Self {
        Self(value)
    }
}

impl Show {
    /// Returns how many directions of links are shaped.
    pub fn attachments(&self) -> usize {
        todo!()
    }

    /// Returns how many packets the queue of the link shaped in `direction` had no room for.
    pub fn queue_drops(&self, direction: &str) -> u64 {
        todo!("{direction}")
    }

    /// Says whether nobody holds the packets of the link shaped in `direction`, so that they pass unshaped.
    pub fn says_unheld(&self, direction: &str) -> bool {
        todo!("{direction}")
    }
}
