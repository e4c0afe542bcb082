//! The plans that `cargo xtask` built, told by the environment.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longer than a plan waits itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Whose SDK a plan is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// The crate `testground`.
    Rust,
    /// The package `@testground/sdk`.
    JavaScript,
}

/// A program that is to run in each instance.
#[derive(Clone, Debug)]
pub struct Plan {
    sdk: Sdk,
    path: PathBuf,
}

impl Plan {
    /// Finds the plan: `SHAPER_PLAN_RUST`, a program, or `SHAPER_PLAN_JS`, a script for `node`.
    ///
    /// # Errors
    /// Why there is none, as a skipped trial prints it: what is in the variable behind `missing:`.
    pub fn find(sdk: Sdk) -> Result<Self, String> {
        let variable = match sdk {
            Sdk::Rust => "SHAPER_PLAN_RUST",
            Sdk::JavaScript => "SHAPER_PLAN_JS",
        };
        let value = std::env::var(variable);
        let value =
            value.map_err(|_unset| format!("no {variable}: `cargo xtask test` builds it and says where"))?;
        match value.strip_prefix("missing:") {
            Some(reason) => Err(reason.trim().to_owned()),
            None => Ok(Self { sdk, path: value.into() }),
        }
    }

    /// Returns the command, without environment.
    pub(super) fn command(&self) -> Command {
        match self.sdk {
            Sdk::Rust => Command::new(&self.path),
            Sdk::JavaScript => {
                let mut command = Command::new("node");
                command.arg(&self.path);
                command
            }
        }
    }
}
