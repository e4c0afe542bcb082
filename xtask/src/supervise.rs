//! A child process in a group of its own, so that all it started can be ended, and nothing else.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

use crate::command::announce;
use crate::interrupt;

/// How often a running child is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long a child that is asked to end may clean up.
const GRACE: Duration = Duration::from_secs(5);

/// The first processes of all running groups: their status is for whoever waits for the group.
static LEADERS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn leaders() -> MutexGuard<'static, Vec<Pid>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running group of processes; dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Group {
    /// The first of them, whose pipes are the caller's.
    pub(crate) leader: Child,
    id: Pid,
}

impl Group {
    /// Prints and starts `command`.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        announce(command);
        // What outlives its parent becomes our child, and can be waited for.
        set_child_subreaper(true).context("cannot become a subreaper")?;
        // Held until the new leader is known: nobody else may reap it.
        let mut leaders = leaders();
        let leader = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run `{}`", command.get_program().display()))?;
        let id = Pid::from_raw(i32::try_from(leader.id()).context("process id")?);
        leaders.push(id);
        Ok(Self { leader, id })
    }

    /// Waits for the leader, which is asked to end (SIGTERM) on an interrupt or after `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            reap_orphans();
            if let Some(status) = self.leader.try_wait().context("cannot wait for a child")? {
                return Ok(status);
            }
            if interrupt::requested() {
                self.ask_to_end();
                bail!("interrupted");
            }
            if Instant::now() >= deadline {
                self.ask_to_end();
                bail!("stopped after {} s", timeout.as_secs());
            }
            thread::sleep(POLL);
        }
    }

    fn ask_to_end(&mut self) {
        let _ = killpg(self.id, Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && matches!(self.leader.try_wait(), Ok(None)) {
            thread::sleep(POLL);
        }
    }
}

/// Reaps what came to us as a subreaper: a test that looks for a process it ended must not find a zombie.
fn reap_orphans() {
    let leaders = leaders();
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // Only looked at, not taken, until it is known to be no leader.
    while let Some(pid) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
        if leaders.contains(&pid) {
            break;
        }
        let _ = waitpid(pid, None);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An error says that nobody is left, which is the usual case.
        let _ = killpg(self.id, Signal::SIGKILL);
        let _ = self.leader.wait();
        leaders().retain(|leader| *leader != self.id);
        while matches!(waitpid(Pid::from_raw(-self.id.as_raw()), None), Ok(_) | Err(Errno::EINTR)) {}
    }
}
