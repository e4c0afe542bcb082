//! Running a command where it sees no namespace but one: for commands that act on all they can find.
//!
//! `shaper clear --all` on a machine where someone works with `shaper` would end their work. In here it finds, through
//! /run and /proc, only what the trial put there: the test binary starts itself again in new mount and PID namespaces
//! (see unshare(1) for the order of steps), mounts a /run with one namespace's name and a /proc of its own, and becomes the command.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::node::Node;
use crate::shaper;

/// First argument of a test binary that is to be a container: not one that libtest has.
const ENTER: &str = "--contained";
/// Second start, as process 1 of the new PID namespace.
const INIT: &str = "--contained-init";

/// Returns a command that runs `program` where the only namespace to be found is that of `node`, called `name`.
///
/// # Panics
/// When this binary cannot find itself.
pub fn command(node: &Node, name: &str, program: &Path) -> Command {
    let own = std::env::current_exe().expect("/proc/self/exe is readable");
    let mut command = Command::new(own);
    command.arg(ENTER).arg(node.path()).arg(name).arg(program).env(shaper::AGENT, "none");
    command
}

/// Does what [`command`] asked of this process; `None` when it was started as a test binary.
pub fn run_if_asked() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().collect();
    let result = match words.get(1).map(String::as_str) {
        Some(ENTER) => enter(&words[2..]),
        Some(INIT) => Err(init(&words[2..])),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        eprintln!("cannot contain `{}`: {error}", words[2..].join(" "));
        ExitCode::from(125)
    }))
}

fn enter(words: &[String]) -> io::Result<ExitCode> {
    let [netns, name, program @ ..] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Opened before /run and /proc change under us, and inherited by process 1 as its standard input.
    let netns = File::open(netns)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    let own = std::env::current_exe()?;
    let status = Command::new(own).arg(INIT).arg(name).args(program).stdin(netns).status()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(125)))
}

fn init(words: &[String]) -> io::Error {
    let [name, program, args @ ..] = words else {
        return io::ErrorKind::InvalidInput.into();
    };
    // What goes first takes the other along, or a trial that is killed would leave it behind.
    if let Err(errno) = set_pdeathsig(Signal::SIGKILL) {
        return errno.into();
    }
    match mounts(name) {
        Ok(()) => Command::new(program).args(args).stdin(std::process::Stdio::null()).exec(),
        Err(error) => error,
    }
}

fn mounts(name: &str) -> io::Result<()> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    // The new /proc replaces the old before the namespace is mounted, whose path is then among our own descriptors.
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing)?;
    // With the names of namespaces go the sockets of container runtimes, which would name more.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), nothing)?;
    fs::create_dir("/run/netns")?;
    let path = Path::new("/run/netns").join(name);
    File::create(&path)?;
    mount(Some("/proc/self/fd/0"), &path, nothing, MsFlags::MS_BIND, nothing)?;
    Ok(())
}
