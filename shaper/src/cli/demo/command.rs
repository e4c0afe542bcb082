//! Runs this program as its user would, and ends in good order when told to.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use super::super::exit::{Code, Failure};
use super::super::output;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// How long a signal waits for the command that is running; the longest that `shaper` does takes some 50 ms.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(5);

/// Signals that end this process, held back until somebody waits for them.
#[derive(Debug)]
pub(super) struct Held(SigSet);

/// Holds signals back, in this thread and those that it starts.
pub(super) fn hold_signals() -> Result<Held, Failure> {
    let set = SigSet::from_iter(SIGNALS);
    let failed = |errno| Failure::new(Code::Failed, errno).context("cannot hold signals back");
    set.thread_block().map_err(failed)?;
    Ok(Held(set))
}

/// The commands on one namespace.
#[derive(Debug)]
pub(super) struct Commands {
    namespace: String,
    json: bool,
    lines: Vec<String>,
    /// Whoever has it may start a command; a signal takes it for good.
    turn: Arc<Mutex<()>>,
}

impl Commands {
    /// From here on a signal clears the namespace and then does what it does to other programs.
    pub(super) fn new(namespace: &str, signals: Held, json: bool) -> Self {
        let turn = Arc::new(Mutex::new(()));
        let watcher = (Arc::clone(&turn), namespace.to_owned());
        thread::spawn(move || end_at_signal(&signals.0, &watcher.0, &watcher.1));
        Self { namespace: namespace.to_owned(), json, lines: Vec::new(), turn }
    }

    /// Says the command, runs it, and says what it said.
    pub(super) fn run(&mut self, subcommand: &str, flags: &[String]) -> Result<(), Failure> {
        let mut words = vec![subcommand.to_owned(), "--ns".to_owned(), self.namespace.clone()];
        words.extend_from_slice(flags);
        let line = format!("shaper {}", words.join(" "));
        output::narrate(format_args!("  $ {line}"));
        let done = {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            start(&words)?
        };
        if !done.status.success() {
            return Err(failure(&line, &done));
        }
        let said = String::from_utf8_lossy(&done.stdout);
        let said = if self.json {
            String::new()
        } else {
            said.lines().map(|line| format!("    {line}\n")).collect()
        };
        output::narrate(said);
        self.lines.push(line);
        Ok(())
    }

    /// What was run.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// Runs this program in a process group of its own: a Ctrl-C is for us, and the command comes to its end.
fn start(words: &[String]) -> Result<Output, Failure> {
    let mut shaper = Command::new("/proc/self/exe");
    shaper.arg0("shaper").args(words).stdin(Stdio::null()).process_group(0);
    // These namespaces are nobody else's, and go with this process.
    shaper.env("SHAPER_AGENT", "none");
    shaper.output().map_err(|error| Failure::new(Code::Failed, error).context("cannot run `shaper`"))
}

/// The command's own failure, with its exit code and its hint.
fn failure(line: &str, done: &Output) -> Failure {
    use Code::{Failed, Permission, Unreachable, Unsupported, Usage};
    let code = [Usage, Permission, Unsupported, Unreachable]
        .into_iter()
        .find(|code| done.status.code() == Some(i32::from(*code as u8)))
        .unwrap_or(Failed);
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim().trim_start_matches("shaper: ");
    let (cause, hint) = said.split_once("\nhint: ").map_or((said, None), |(cause, hint)| (cause, Some(hint)));
    let failure = Failure::new(code, anyhow::anyhow!("{cause}")).context(format!("`{line}` failed"));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn end_at_signal(signals: &SigSet, turn: &Mutex<()>, namespace: &str) {
    let Ok(signal) = signals.wait() else { return };
    output::narrate(format_args!("\n{}: taking everything away", signal.as_str()));
    let _turn = take(turn);
    // Should this fail, nothing is left either, a little later: the namespace goes with this process, and a relay ends
    // when it finds that it is gone.
    match start(&["clear".to_owned(), "--ns".to_owned(), namespace.to_owned()]) {
        Ok(done) if done.status.success() => {}
        Ok(done) => output::narrate(String::from_utf8_lossy(&done.stderr).trim_end()),
        Err(failure) => output::narrate(failure),
    }
    // The disposition was never changed, so this ends the process as the signal would have, and tells our parent so.
    let _ = signals.thread_unblock();
    let _ = raise(signal);
    // Whoever started us had it ignored, as a shell does for what it runs in the background.
    std::process::exit(128 + signal as i32);
}

/// Waits for the command that is running, but not for ever.
fn take(turn: &Mutex<()>) -> Option<std::sync::MutexGuard<'_, ()>> {
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        match turn.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(POLL),
        }
    }
    None
}
