//! What cargo built, and where.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::announce;

/// Makes cargo tell what it built, in a form for [`run`].
pub(crate) const MESSAGES: &str = "--message-format=json-render-diagnostics";

/// What a run of cargo said that it built.
#[derive(Debug)]
pub(crate) struct Built {
    messages: String,
}

/// Runs cargo, which must have been given [`MESSAGES`].
pub(crate) fn run(cargo: &mut Command) -> Result<Built> {
    cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
    announce(cargo);
    let output = cargo.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo cannot build what is to be run: {}", output.status);
    }
    let messages = String::from_utf8(output.stdout).context("cargo did not write UTF-8")?;
    Ok(Built { messages })
}

impl Built {
    /// The executable of a target.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Result<PathBuf> {
        executable(&self.messages, kind, name).with_context(|| format!("cargo built no {kind} `{name}`"))
    }
}

/// The executable of the target `name` in cargo's messages, one JSON object per line.
fn executable(messages: &str, kind: &str, name: &str) -> Option<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Message {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(serde::Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    // Other messages have other fields.
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    artifacts
        .filter(|message| message.target.name == name && message.target.kind.iter().any(|each| each == kind))
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"shaper"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"shaper"},"executable":"/t/release/shaper"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"netns"},"executable":"/t/release/deps/netns-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "bin", "shaper"), Some("/t/release/shaper".into()));
        assert_eq!(executable(messages, "test", "netns"), Some("/t/release/deps/netns-1".into()));
        assert_eq!(executable(messages, "bin", "netns"), None);
    }
}
