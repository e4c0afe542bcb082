//! The `shaper` binary, run as a user runs it.

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::progress;

/// Which agent a command asks; that of the machine is somebody else's.
pub const AGENT: &str = "SHAPER_AGENT";
/// A command that takes longer hangs: the slowest machine loads and verifies the programs in a second or two.
const PATIENCE: Duration = Duration::from_secs(20);

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed.
    Failed,
    /// 2: wrong usage.
    Usage,
    /// 3: a permission is missing.
    Permission,
    /// 4: this kernel lacks what was asked.
    Unsupported,
    /// 5: the agent does not answer.
    Unreachable,
    /// Anything else; `None` for the end by a signal.
    Other(Option<i32>),
}

impl From<Option<i32>> for Exit {
    fn from(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Done,
            Some(1) => Self::Failed,
            Some(2) => Self::Usage,
            Some(3) => Self::Permission,
            Some(4) => Self::Unsupported,
            Some(5) => Self::Unreachable,
            other => Self::Other(other),
        }
    }
}

/// What a run of the binary left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code.
    pub exit: Exit,
    /// Standard output: the result.
    pub stdout: String,
    /// Standard error: the narration.
    pub stderr: String,
    /// Wall time of the run.
    pub took: Duration,
}

impl Output {
    /// Returns itself when the exit code is the expected one.
    ///
    /// # Panics
    /// Otherwise, with all that the command printed.
    #[track_caller]
    pub fn expect(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "{self}");
        self
    }

    /// Returns the one JSON object on standard output.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON object: {error}\n{self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, exit, stdout, stderr, took } = self;
        writeln!(f, "`{command}` ended with {exit:?} after {took:?}")?;
        write!(f, "--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

/// Returns a command of the binary under test, without arguments, which asks no agent unless it is told to.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env(AGENT, "none");
    command
}

/// Returns `SHAPER_BIN`, or else `shaper` in the target directory that this test was built into.
///
/// # Panics
/// When there is no such file.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("SHAPER_BIN").map_or_else(
        || {
            let own = std::env::current_exe().expect("/proc/self/exe is readable");
            // target/PROFILE/deps/netns-HASH
            let profile = own.parent().and_then(|deps| deps.parent()).expect("cargo's layout");
            profile.join("shaper")
        },
        PathBuf::from,
    );
    assert!(path.is_file(), "no binary to test at {}: build it or set SHAPER_BIN", path.display());
    path
}

/// Runs a command to its end and keeps what it printed.
///
/// A process that it leaves behind and that kept the pipes would look like a command that never ends: it is killed at the
/// deadline and reported as such.
///
/// # Panics
/// When it does not start, or does not end in time.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_fed(command, String::new())
}

/// As [`run`], for a command that may take up to `patience`.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_within(command: &mut Command, patience: Duration) -> Output {
    run_to_end(command, String::new(), patience)
}

/// As [`run`], with `input` on standard input.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_fed(command: &mut Command, input: String) -> Output {
    run_to_end(command, input, PATIENCE)
}

#[track_caller]
fn run_to_end(command: &mut Command, input: String, patience: Duration) -> Output {
    let text = describe(command);
    progress::note(format!("running `{text}`"));
    let start = Instant::now();
    let mut child = command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `{text}`: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends before it has read all says why by itself.
        thread::spawn(move || pipe.write_all(input.as_bytes()));
    }
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let status = loop {
        match child.try_wait().expect("our own child can be waited for") {
            Some(status) if stdout.is_finished() && stderr.is_finished() => break Some(status),
            _ if start.elapsed() > patience => break None,
            _ => thread::sleep(Duration::from_micros(500)),
        }
    };
    let Some(status) = status else {
        let exited = child.try_wait().ok().flatten();
        // Already gone or not: either way it is not needed any more.
        let _gone = child.kill();
        let _reaped = child.wait();
        match exited {
            Some(_) => panic!("`{text}` ended but a process it left behind holds its stdout or stderr open"),
            None => panic!("`{text}` did not end within {patience:?}"),
        }
    };
    Output {
        command: text,
        exit: Exit::from(status.code()),
        stdout: stdout.join().expect("a reader does not panic"),
        stderr: stderr.join().expect("a reader does not panic"),
        took: start.elapsed(),
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _broken = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
