//! A fuzz of the agent's API, made from its own OpenAPI document by Schemathesis.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::directory::Directory;
use crate::node::Node;
use crate::shaper::{self as binary, Output};

const CONFIG: &str = include_str!("fuzz/schemathesis.toml");
const HOOKS: &str = include_str!("fuzz/hooks.py");
/// Cases of each phase for each operation, where `SHAPER_FUZZ_EXAMPLES` says no other number.
const EXAMPLES: u32 = 12;
/// Longer than as many cases take; more of them get more time.
const PATIENCE_EACH: Duration = Duration::from_secs(15);

/// Finds the program that `cargo xtask test` installed.
///
/// # Errors
/// Why there is none, as a skipped trial prints it.
pub fn program() -> Result<PathBuf, String> {
    let value = std::env::var("SHAPER_SCHEMATHESIS");
    let value = value.map_err(|_unset| "no SHAPER_SCHEMATHESIS: `cargo xtask test` says where".to_owned())?;
    match value.strip_prefix("missing:") {
        Some(reason) => Err(reason.trim().to_owned()),
        None => Ok(value.into()),
    }
}

/// Cases of each phase for each operation.
///
/// # Panics
/// When `SHAPER_FUZZ_EXAMPLES` is no number.
pub fn examples() -> u32 {
    let number = |text: String| text.parse().expect("SHAPER_FUZZ_EXAMPLES is a number");
    std::env::var("SHAPER_FUZZ_EXAMPLES").map_or(EXAMPLES, number)
}

/// Returns the most time that a fuzz of as many cases may take.
pub fn patience() -> Duration {
    PATIENCE_EACH * examples()
}

/// What came of a fuzz.
#[derive(Debug)]
pub struct Fuzzed {
    /// What the program said.
    pub output: Output,
    /// How often each operation of the document was answered with each status code.
    pub answers: BTreeMap<String, BTreeMap<u16, u64>>,
}

impl Fuzzed {
    /// Returns how often `operation` succeeded.
    pub fn successes(&self, operation: &str) -> u64 {
        let of_it = self.answers.get(operation).into_iter().flatten();
        of_it.filter(|(status, _)| matches!(status, 200..300)).map(|(_, count)| count).sum()
    }
}

/// Fuzzes the agent that listens at `address` of `node`'s network and takes `token`: the same cases in each run of `seed`.
///
/// # Panics
/// When there is no program, or it takes longer than [`patience`].
#[track_caller]
pub fn run(node: &Node, address: &str, token: &str, seed: u64) -> Fuzzed {
    let program = program().unwrap_or_else(|reason| panic!("{reason}"));
    // It writes beside itself.
    let directory = Directory::new();
    for (name, text) in [("schemathesis.toml", CONFIG), ("hooks.py", HOOKS)] {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let mut command = Command::new(program);
    command
        .args(["--config-file", "schemathesis.toml", "run", "--no-color", "--exclude-path", "/v1/events"])
        .args(["--max-examples", &examples().to_string(), "--seed", &seed.to_string()])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(format!("http://{address}/v1/openapi.json"))
        .current_dir(directory.path())
        .env("PYTHONPATH", directory.path())
        // Keys of sets come in the same order, and with them the cases.
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    node.host(&mut command);
    let output = binary::run_within(&mut command, patience());
    let answers = fs::read_to_string(directory.path().join("answers.json"));
    let answers = answers.unwrap_or_else(|error| panic!("no answers: {error}\n{output}"));
    let answers = serde_json::from_str(&answers).expect("it writes JSON");
    Fuzzed { output, answers }
}
