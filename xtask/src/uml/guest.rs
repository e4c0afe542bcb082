//! The guest's side: process 1 of the machine. It makes the system the command expects, runs it, and switches off.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::{BEGIN, END, EXIT_FILE, Order, modules};
use crate::loopback;

/// Exit code of a command that cannot be started, as a shell has it.
const CANNOT_START: u8 = 127;

/// Does what the order in the file `order` says; ends with the machine, not with a return.
pub(crate) fn main(order: &Path) -> Result<()> {
    if getpid() != Pid::from_raw(1) {
        bail!("`uml-init` is process 1 of `cargo xtask uml`; it does nothing here");
    }
    if let Err(error) = serve(order) {
        eprintln!("init: {error:#}");
    }
    nix::unistd::sync();
    reboot(RebootMode::RB_POWER_OFF).context("cannot power off")?;
    Ok(())
}

fn serve(path: &Path) -> Result<()> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let order: Order = serde_json::from_slice(&text).context("cannot read the order")?;
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(order.seconds_max));
        let _ = reboot(RebootMode::RB_POWER_OFF);
    });
    mount_all(&order)?;
    for module in &order.modules {
        let file = File::open(module).with_context(|| format!("cannot open {}", module.display()))?;
        finit_module(&file, modules::parameters(module), ModuleInitFlags::empty())
            .with_context(|| format!("cannot insert {}", module.display()))?;
    }
    // What is not there now shall not be loaded later, by a modprobe of the host.
    fs::write("/proc/sys/kernel/modprobe", "\n").context("cannot turn module loading off")?;
    loopback::set_up().context("cannot set `lo` up")?;

    let console =
        OpenOptions::new().read(true).write(true).open("/dev/console").context("cannot open the console")?;
    write_lines_as_they_are(&console)?;
    let mut out = &console;
    writeln!(out, "{BEGIN}")?;
    let code = run(&order, &console);
    writeln!(out, "\n{END}")?;
    let exit = order.shared.join(EXIT_FILE);
    fs::write(&exit, format!("{code}\n")).with_context(|| format!("cannot write {}", exit.display()))
}

fn mount_all(order: &Order) -> Result<()> {
    let own: [(&str, &str); 7] = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("bpf", "/sys/fs/bpf"),
        ("cgroup2", "/sys/fs/cgroup"),
    ];
    for (kind, target) in own {
        match mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>) {
            // The kernel mounted this one itself.
            Err(Errno::EBUSY) if kind == "devtmpfs" => {}
            done => done.with_context(|| format!("cannot mount {kind} on {target}"))?,
        }
    }
    for dir in order.visible.iter().filter(|dir| dir.starts_with("/tmp") || dir.starts_with("/run")) {
        mount_host(dir, MsFlags::MS_RDONLY)?;
    }
    mount_host(&order.shared, MsFlags::empty())
}

/// Mounts a directory of the host at its own path.
fn mount_host(dir: &PathBuf, flags: MsFlags) -> Result<()> {
    fs::create_dir_all(dir)
        .and_then(|()| Ok(mount(Some("none"), dir, Some("hostfs"), flags, Some(dir))?))
        .with_context(|| format!("cannot mount the host's {}", dir.display()))
}

fn write_lines_as_they_are(console: impl AsFd) -> Result<()> {
    let mut attributes = tcgetattr(&console).context("cannot read the console's settings")?;
    attributes.output_flags.remove(OutputFlags::OPOST);
    tcsetattr(&console, SetArg::TCSANOW, &attributes).context("cannot change the console's settings")
}

fn run(order: &Order, console: &File) -> u8 {
    let [program, args @ ..] = order.command.as_slice() else {
        return CANNOT_START;
    };
    let spawned = console.try_clone().and_then(|stdout| {
        let stderr = stdout.try_clone()?;
        let dir = if order.dir.is_dir() { order.dir.as_path() } else { Path::new("/") };
        Command::new(program)
            .args(args)
            .env_clear()
            .envs(&order.env)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
    });
    let mut out = console;
    let code = match spawned {
        Ok(child) => wait_for(child.id()),
        Err(error) => {
            let _ = writeln!(out, "cannot run `{program}`: {error}");
            CANNOT_START
        }
    };
    // What the command left running would write after the end.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    code
}

/// Reaps every child, for process 1 inherits orphans, until the command is among them.
fn wait_for(command: u32) -> u8 {
    loop {
        let (pid, status) = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, ExitStatus::from_raw(code << 8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, ExitStatus::from_raw(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return CANNOT_START,
        };
        if u32::try_from(pid.as_raw()) == Ok(command) {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
        }
    }
}
