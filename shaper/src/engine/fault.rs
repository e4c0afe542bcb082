//! Effects that are refused, or at which the command is killed, for the tests that do so with each in turn.
//!
//! Only with the feature `fault-injection`; without it nothing is read and nothing refused. `SHAPER_FAULT` says where, counted
//! from 1 in each session:
//!
//! - `fail:N` refuses the Nth message or other effect; the kernel goes on with the rest of a batch, and so does this;
//! - `kill:N` and `killafter:N` end the process before and behind the Nth effect, where a batch is one, as SIGKILL cannot cut it.

use std::io;

use nix::sys::signal::{Signal, raise};

const VARIABLE: &str = "SHAPER_FAULT";

/// What is to go wrong, and after how many effects.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kind: Option<Kind>,
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fail,
    Kill,
    KillAfter,
}

/// An effect that may be done now.
#[derive(Debug)]
#[must_use]
pub(super) struct Step {
    is_last: bool,
}

impl Faults {
    /// What the environment asks for.
    pub(super) fn asked() -> Self {
        let asked = if cfg!(feature = "fault-injection") { std::env::var(VARIABLE).ok() } else { None };
        asked.and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, at) = text.split_once(':')?;
        let kind = match kind {
            "fail" => Kind::Fail,
            "kill" => Kind::Kill,
            "killafter" => Kind::KillAfter,
            _ => return None,
        };
        Some(Self { kind: Some(kind), left: at.parse().ok()? })
    }

    /// The next effect, of `parts` that can be refused one by one; with the number of the one to be refused.
    pub(super) fn next(&mut self, parts: usize) -> (Step, Option<usize>) {
        let go_on = Step { is_last: false };
        let Some(kind) = self.kind.filter(|_| self.left > 0 && parts > 0) else {
            return (go_on, None);
        };
        let before = self.left;
        self.left = before.saturating_sub(if kind == Kind::Fail { parts } else { 1 });
        match kind {
            _ if self.left > 0 => (go_on, None),
            Kind::Fail => (go_on, Some(before - 1)),
            Kind::Kill => end(),
            Kind::KillAfter => (Step { is_last: true }, None),
        }
    }
}

impl Step {
    /// An effect of a session in which nothing goes wrong.
    pub(super) fn inert() -> Self {
        Self { is_last: false }
    }

    /// Takes what the effect returned.
    pub(super) fn done<T>(self, result: T) -> T {
        if self.is_last { end() } else { result }
    }
}

/// What a refused effect says.
pub(super) fn refusal() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOMEM)
}

fn end() -> ! {
    let _unreachable = raise(Signal::SIGKILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_part_is_refused_and_no_other() {
        for (at, expected) in [
            ("fail:1", [Some(0), None, None]),
            ("fail:2", [None, Some(0), None]),
            ("fail:4", [None, Some(2), None]),
            ("fail:5", [None, None, Some(0)]),
            ("fail:6", [None; 3]),
            ("fail:0", [None; 3]),
            ("fall:1", [None; 3]),
        ] {
            let mut faults = Faults::parse(at).unwrap_or_default();
            assert_eq!([1, 3, 1].map(|parts| faults.next(parts).1), expected, "{at}");
        }
    }

    #[test]
    fn a_batch_is_one_effect_to_a_kill_and_nothing_is_none() {
        let mut faults = Faults::parse("killafter:3").unwrap();
        assert_eq!([3, 0, 2, 1].map(|parts| faults.next(parts).0.is_last), [false, false, false, true]);
    }
}
