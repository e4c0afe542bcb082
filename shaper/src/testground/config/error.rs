//! Why a text is no configuration.

/// A configuration that cannot be read; says which key, what it says, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no JSON.
    #[error("the network configuration is no JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A value is of another type, or out of what its type has.
    #[error("{} is `{value}`: write {legal}", place(.key))]
    Value {
        /// The key with those above it, such as `rules[2].latency`; empty for the whole.
        key: String,
        /// What it says as JSON, shortened.
        value: String,
        /// What would be right.
        legal: &'static str,
    },
}

fn place(key: &str) -> String {
    if key.is_empty() { "the network configuration".to_owned() } else { format!("`{key}`") }
}
