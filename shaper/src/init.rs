//! Process 1 of a container, which has to wait for every process that loses its parent there, and which no signal ends by default.

use caps::CapSet;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// What is passed on to the process that works.
const PASSED_ON: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Returns in a child of process 1; elsewhere at once. Process 1 stays behind, without privileges, passes signals on, waits for
/// whoever ends, such as relays, and ends as the child does: with its exit code, or 128 and the number of the signal.
///
/// Call it before there is another thread: the child has only the one that calls.
///
/// # Errors
///
/// When the kernel makes no process.
pub(crate) fn leave_to_child() -> Result<(), Errno> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let mut signals: SigSet = PASSED_ON.into_iter().collect();
    signals.add(Signal::SIGCHLD);
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    // SAFETY: there is no other thread, so the child finds no lock that somebody else holds.
    match unsafe { fork() }? {
        ForkResult::Child => before.thread_set_mask(),
        ForkResult::Parent { child } => {
            // It only waits, and signals what is of its own user.
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
                drop(caps::clear(None, set));
            }
            std::process::exit(stay(child, &signals))
        }
    }
}

fn stay(child: Pid, signals: &SigSet) -> i32 {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            // The child may have ended: then that is what comes next.
            Ok(signal) => drop(kill(child, signal)),
            Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

/// Waits for all that have ended; says how `child` did if it is one of them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => code = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return code,
            Ok(_) | Err(_) => {}
        }
    }
}
