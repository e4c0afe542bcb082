//! How a command ends.

use std::process::ExitCode;

pub use crate::failure::{Code, Failure};

/// [`Code`] as `--help` shows it.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage, or a shape that cannot be; nothing was changed
  3  a permission is missing (the message names the capability)
  4  this kernel lacks what it takes (the message names it, and an engine that would work)
  5  the agent, or the container runtime, does not answer";

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_code() {
        use Code::{Done, Failed, Permission, Unreachable, Unsupported, Usage};
        let codes = [Done, Failed, Usage, Permission, Unsupported, Unreachable];
        let lines: Vec<&str> = HELP.lines().skip(1).collect();
        assert_eq!(lines.len(), codes.len());
        for (code, line) in codes.iter().zip(lines) {
            assert!(line.starts_with(&format!("  {}  ", *code as u8)), "{line}");
        }
    }
}
