//! What happens to containers.

use serde::Deserialize;

use super::Error;
use crate::http::Lines;

/// The events of containers and networks after which a container is to be looked at anew: `{"type": […], "event": […]}`.
pub(super) const TARGET: &str = concat!(
    "/events?filters=",
    "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B",
    "%22start%22%2C%22die%22%2C%22stop%22%2C%22destroy%22%2C%22rename%22%2C%22connect%22%2C%22disconnect%22%5D%7D"
);

/// The runtime's events, as they come.
#[derive(Debug)]
pub struct Events {
    lines: Lines,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    r#type: String,
    actor: Actor,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    container: Option<String>,
}

impl Events {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines }
    }

    /// The id of the next container to which something happens; `None` when the runtime ends. Dropped, it loses none.
    ///
    /// # Errors
    ///
    /// What keeps the runtime from telling.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            match self.lines.next().await? {
                None => return Ok(None),
                // A container that an event of another kind does not name is not touched by it.
                Some(line) => {
                    if let Some(id) = container_of(&line) {
                        return Ok(Some(id));
                    }
                }
            }
        }
    }
}

/// The id of the container that an event is about.
pub(super) fn container_of(line: &[u8]) -> Option<String> {
    let event: Event = serde_json::from_slice(line).ok()?;
    match event.r#type.as_str() {
        "container" => Some(event.actor.id),
        "network" => event.actor.attributes?.container,
        _ => None,
    }
}
