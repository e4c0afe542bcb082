//! The host's side: boots the kernel, passes the console on, and ends what it started.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Pid;

use super::package::Package;
use super::{BEGIN, END, EXIT_FILE, Order, modules};
use crate::supervise::Group;
use crate::workspace::Workspace;

const MEMORY_MIB: u64 = 1024;

/// How much longer than we do the guest itself waits, in case we are killed and nobody switches it off.
const GRACE: Duration = Duration::from_secs(10);

/// What a machine is booted for.
#[derive(Debug)]
pub(crate) struct Job {
    /// Program and arguments, as paths of the host.
    pub(crate) command: Vec<String>,
    /// The command's whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The command's working directory.
    pub(crate) dir: PathBuf,
    /// The machine is switched off after this.
    pub(crate) timeout: Duration,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The command's exit code.
    pub(crate) code: u8,
    /// What the command wrote.
    pub(crate) output: String,
}

/// A machine that can be booted once, and a directory it shares with the host; the directory goes with the value.
#[derive(Debug)]
pub(crate) struct Machine {
    package: Package,
    visible: Vec<PathBuf>,
    dir: PathBuf,
    processor: usize,
}

impl Machine {
    /// Fetches the kernel when needed and makes the shared directory.
    pub(crate) fn new(workspace: &Workspace) -> Result<Self> {
        let last = processors()?.pop().context("we may use no processor at all")?;
        Self::on(workspace, last)
    }

    /// As [`Machine::new`], on this processor of the host.
    ///
    /// The guest has one processor, but its kernel and its processes are processes of the host that hand over to each other at every
    /// system call. Across two processors of the host each hand-over wakes one from idle: 55 us for the guest's shortest system call,
    /// 15 on one.
    pub(crate) fn on(workspace: &Workspace, processor: usize) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let package = Package::fetch(workspace)?;
        let name = format!("run-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = workspace.target.join("uml").join(name);
        fs::create_dir_all(dir.join("shared")).with_context(|| format!("cannot create {}", dir.display()))?;
        let visible = vec![workspace.root.clone(), workspace.target.clone()];
        Ok(Self { package, visible, dir, processor })
    }

    /// The kernel's release, as its `uname -r`.
    pub(crate) fn kernel_release(&self) -> String {
        self.package.modules.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The only directory of the host that the guest can write to; the same path on both sides.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }

    /// Boots and runs the command, with its output on our standard output as it comes.
    ///
    /// # Errors
    /// When the machine does not come up, is interrupted, exceeds its time or ends without telling the command's exit
    /// code.
    pub(crate) fn run(&self, job: &Job) -> Result<Ended> {
        let order_path = self.dir.join("order.json");
        let order = Order {
            command: job.command.clone(),
            env: job.env.clone(),
            dir: job.dir.clone(),
            modules: modules::load_order(&self.package.modules)?,
            visible: self.visible.clone(),
            shared: self.shared(),
            seconds_max: (job.timeout + GRACE).as_secs(),
        };
        fs::write(&order_path, serde_json::to_vec(&order)?)
            .with_context(|| format!("cannot write {}", order_path.display()))?;

        let mut group = Group::spawn(&mut self.boot_command(&order_path)?)?;
        let console = group.leader.stdout.take().context("the console is not a pipe")?;
        let console = thread::spawn(move || pass_on(console));
        let ended = group.wait(job.timeout);
        // The guest's processes are processes of the host in the same group, and hold the console open.
        drop(group);
        let Heard { output, kernel_log } = console.join().unwrap_or_default();
        ended.context("User-mode Linux")?;

        let exit = fs::read_to_string(self.shared().join(EXIT_FILE)).ok();
        match exit.and_then(|code| code.trim().parse().ok()) {
            Some(code) => Ok(Ended { code, output }),
            None => bail!("User-mode Linux ended before the command did:\n{}", kernel_log.join("\n")),
        }
    }

    fn boot_command(&self, order: &Path) -> Result<Command> {
        let mut processors = CpuSet::new();
        processors.set(self.processor).context("cannot name a processor")?;
        let init = std::env::current_exe().context("cannot tell our own path")?;
        let mut command = Command::new(&self.package.kernel);
        command
            .args(["rootfstype=hostfs", "rootflags=/", "ro", "con0=null,fd:1", "con=null", "quiet"])
            .arg(format!("mem={MEMORY_MIB}M"))
            .arg(format!("uml_dir={}/", self.dir.display()))
            .arg(format!("init={}", init.display()))
            .args(["--", "uml-init"])
            .arg(order)
            .env("TMPDIR", memory_dir(&self.dir))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // SAFETY: between fork and exec this only makes a system call, with a value it owns.
        unsafe { command.pre_exec(move || Ok(sched_setaffinity(Pid::from_raw(0), &processors)?)) };
        Ok(command)
    }
}

/// The processors of the host that we may use.
pub(crate) fn processors() -> Result<Vec<usize>> {
    let ours = sched_getaffinity(Pid::from_raw(0)).context("cannot tell the processors we may use")?;
    Ok((0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu).unwrap_or(false)).collect())
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What came over the console.
#[derive(Debug, Default)]
struct Heard {
    output: String,
    kernel_log: Vec<String>,
}

/// Copies the command's output to our standard output as it comes, and returns it and the other lines: the kernel's.
fn pass_on(console: ChildStdout) -> Heard {
    let mut heard = Heard::default();
    let mut is_command_output = false;
    let mut is_line_held_back = false;
    let mut reader = BufReader::new(console);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line).into_owned();
        match text.trim_end() {
            BEGIN => is_command_output = true,
            END => is_command_output = false,
            trimmed if is_command_output => {
                // The end is announced on a line of its own, after an empty one where the output's last line was
                // complete.
                let held_back = if is_line_held_back { "\n" } else { "" };
                is_line_held_back = trimmed.is_empty();
                let shown = if is_line_held_back { "" } else { text.as_str() };
                heard.output.push_str(held_back);
                heard.output.push_str(shown);
                let mut out = std::io::stdout().lock();
                let _ = out
                    .write_all(held_back.as_bytes())
                    .and_then(|()| out.write_all(shown.as_bytes()))
                    .and_then(|()| out.flush());
            }
            trimmed => heard.kernel_log.push(trimmed.to_owned()),
        }
        line.clear();
    }
    heard
}

/// Where the guest's memory goes: a file that is mapped executable, which wants a tmpfs without `noexec`.
fn memory_dir(otherwise: &Path) -> PathBuf {
    let is_fit = |dir: &&Path| {
        let is_tmpfs = statfs(*dir).is_ok_and(|fs| fs.filesystem_type() == FsType(TMPFS_MAGIC.0));
        is_tmpfs
            && statvfs(*dir).is_ok_and(|fs| {
                !fs.flags().contains(FsFlags::ST_NOEXEC)
                    && fs.blocks_available() * fs.fragment_size() >= MEMORY_MIB << 20
            })
    };
    let candidates = [Path::new("/dev/shm"), Path::new("/tmp")];
    candidates.into_iter().find(is_fit).unwrap_or(otherwise).to_owned()
}
