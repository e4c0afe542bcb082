//! Processes that a world's `shaper` commands left running, found by a mark in their environment.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that each `shaper` command of a world carries, and that what it starts inherits.
pub const MARK: &str = "SHAPER_TEST_WORLD";

/// Returns the live processes that carry `mark`, by process id.
pub fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    all()
        .into_iter()
        .filter(|&pid| !is_zombie(pid) && environment(pid).any(|entry| entry == wanted))
        .collect()
}

/// Says whether the process is there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH) && !is_zombie(pid)
}

/// Sends SIGKILL; a process that is gone already is fine.
///
/// # Panics
/// When the kernel refuses.
pub fn kill_now(pid: i32) {
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("cannot kill process {pid}: {errno}"),
    }
}

/// Returns the command line of a process, for messages; empty for one that is gone.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process that ended between the listing and this look has none.
fn environment(pid: i32) -> impl Iterator<Item = String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split('\0').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn is_zombie(pid: i32) -> bool {
    // proc_pid_stat(5): the state is the field after the name in parentheses, which may itself contain any character.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}
