//! The namespaces that a daemon, its containers and what runs beside them are in.
//!
//! The test binary starts itself again, in a node's network: as the keeper of new mount and PID namespaces, and in these as process 1,
//! which starts the daemon and waits for what ends. With process 1 everything ends, whatever the daemon started; with the last process,
//! all mounts are gone. What a daemon writes outside of the directories that it is told, it writes to overlays.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

/// First arguments of a test binary that is to be one of these: not ones that libtest has.
const KEEPER: &str = "--dockerd";
const INIT: &str = "--dockerd-init";
const BESIDE: &str = "--beside-dockerd";

/// Where a daemon writes whatever it is told: the key of its engine, and a place for plugins.
const OVERLAID: [&str; 2] = ["etc", "opt"];

/// Returns a command that mounts memory on `directory`, an absolute path, and runs `program` in namespaces of its own. It prints the
/// process id of their process 1, which ends with `program`, and ends with it.
///
/// # Panics
/// When this binary cannot find itself.
pub(super) fn keeper(directory: &Path, program: &Path) -> Command {
    let mut command = own(KEEPER);
    command.arg(directory).arg(program);
    command
}

/// Returns a command that runs `program` in the namespaces of process `init`, and passes SIGTERM and SIGINT on to it.
///
/// # Panics
/// When this binary cannot find itself.
pub(super) fn beside(init: Pid, program: &Path) -> Command {
    let mut command = own(BESIDE);
    command.arg(init.to_string()).arg(program);
    command
}

fn own(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("/proc/self/exe is readable"));
    command.arg(role);
    command
}

/// Does what a command of these asked of this process; `None` when it was started as a test binary.
pub fn run_if_asked() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().collect();
    let result = match words.get(1).map(String::as_str) {
        Some(KEEPER) => keep(&words[2..]),
        Some(INIT) => init(&words[2..]),
        Some(BESIDE) => enter(&words[2..]),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        eprintln!("cannot run `{}`: {error}", words[2..].join(" "));
        ExitCode::from(125)
    }))
}

fn keep(words: &[String]) -> io::Result<ExitCode> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    let mut init = spawn(own(INIT).args(words).stdout(Stdio::null()))?;
    writeln!(io::stdout(), "{}", init.id())?;
    let status = init.wait()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(125)))
}

fn init(words: &[String]) -> io::Result<ExitCode> {
    let [directory, program, args @ ..] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    mounts(Path::new(directory))?;
    let child = spawn(Command::new(program).args(args).stdin(Stdio::null()))?;
    wait_for(&child)
}

fn mounts(directory: &Path) -> io::Result<()> {
    let nothing: Option<&str> = None;
    let make = |kind: &str, at: &Path, data: Option<&str>| {
        mount(Some(kind), at, Some(kind), MsFlags::empty(), data)
            .map_err(|errno| io::Error::other(format!("cannot mount {kind} on {}: {errno}", at.display())))
    };
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    make("proc", Path::new("/proc"), None)?;
    make("tmpfs", Path::new("/run"), None)?;
    make("tmpfs", directory, None)?;
    for name in OVERLAID {
        let [upper, work] = ["upper", "work"].map(|part| directory.join(name).join(part));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        let data = format!("lowerdir=/{name},upperdir={},workdir={}", upper.display(), work.display());
        make("overlay", &Path::new("/").join(name), Some(&data))?;
    }
    Ok(())
}

fn enter(words: &[String]) -> io::Result<ExitCode> {
    let [init, program, args @ ..] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // All are opened before /proc is another one.
    let namespaces = ["pid", "net", "mnt"].map(|kind| File::open(format!("/proc/{init}/ns/{kind}")));
    for namespace in namespaces {
        setns(namespace?, CloneFlags::empty())?;
    }
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block()?;
    let mut child = spawn(Command::new(program).args(args))?;
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(status) = child.try_wait()? {
                    return Ok(code_of(status.code()));
                }
            }
            // One that has just ended is seen next.
            signal => drop(kill(Pid::from_raw(child.id().cast_signed()), signal)),
        }
    }
}

/// Starts a process that does not outlive this one.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let end_with_us = || Ok(set_pdeathsig(Signal::SIGKILL)?);
    // SAFETY: between fork and exec this makes one system call.
    unsafe { command.pre_exec(end_with_us) };
    command.spawn()
}

/// Waits for a child, and for all those who lost their parent in the meantime.
fn wait_for(child: &Child) -> io::Result<ExitCode> {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == child.id().cast_signed() => {
                return Ok(code_of(Some(code)));
            }
            Ok(WaitStatus::Signaled(pid, ..)) if pid.as_raw() == child.id().cast_signed() => {
                return Ok(code_of(None));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn code_of(code: Option<i32>) -> ExitCode {
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125))
}
