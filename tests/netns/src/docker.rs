//! Docker: a daemon of a trial's own, its images and its containers.
//!
//! The daemon is in the network of a node, so that its bridges and packet filters are not the host's, and in mount and PID namespaces of
//! its own ([`inside`]): it finds /run empty and writes to memory, and when its process 1 ends nothing of it is left but control
//! groups, which are removed by name. Nothing comes from a registry: images are built from files of this machine.

pub mod cgroups;
pub mod compose;
mod inside;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use inside::run_if_asked;

use crate::directory::Directory;
use crate::node::Node;
use crate::shaper::{self, Exit, Output};
use crate::{http, kernel, progress, wait};

const READY_WITHIN: Duration = Duration::from_secs(20);
/// For a client that starts a container on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// The image that [`Dockerd::build_shaper`] makes.
pub const SHAPER: &str = "shaper";
/// The image that [`Dockerd::build_busybox`] makes.
pub const BUSYBOX: &str = "busybox";

/// Says why there can be no container here, as a skipped trial prints it.
///
/// # Errors
/// The reason.
pub fn available() -> Result<(), String> {
    if kernel::is_user_mode() {
        return Err("containers are tried on the running kernel, not in User-mode Linux".into());
    }
    daemon().and(busybox()).map(drop)
}

fn daemon() -> Result<PathBuf, String> {
    found("SHAPER_DOCKERD")
}

fn busybox() -> Result<PathBuf, String> {
    found("SHAPER_BUSYBOX")
}

/// Finds `shaper` as one statically linked program.
///
/// # Errors
/// Why there is none, as a skipped trial prints it.
pub fn static_shaper() -> Result<PathBuf, String> {
    found("SHAPER_STATIC")
}

fn found(variable: &str) -> Result<PathBuf, String> {
    let value = std::env::var(variable);
    let value = value.map_err(|_unset| format!("no {variable}: `cargo xtask test` says where"))?;
    match value.strip_prefix("missing:") {
        Some(reason) => Err(reason.trim().to_owned()),
        None => Ok(value.into()),
    }
}

/// A running daemon; dropped, it has ended with all that it started, and nothing of it is left.
#[derive(Debug)]
pub struct Dockerd {
    keeper: Child,
    init: Pid,
    cgroup: String,
    directory: Directory,
}

impl Dockerd {
    /// Starts a daemon in the network of `node` and waits until it answers. It does not outlive the calling thread.
    ///
    /// # Panics
    /// When it is not installed, ends, or does not answer within 20 s; with what it said.
    #[track_caller]
    pub fn start(node: &Node) -> Self {
        static DAEMONS: AtomicUsize = AtomicUsize::new(0);
        let program = daemon().unwrap_or_else(|reason| panic!("{reason}"));
        let directory = Directory::new();
        let cgroup = cgroups::name(DAEMONS.fetch_add(1, Ordering::Relaxed));
        let [state, configuration] = ["state", "daemon.json"].map(|name| directory.path().join(name));
        fs::create_dir(&state).expect("a directory can be made in one of our own");
        fs::write(&configuration, "{}").expect("a file can be made in a directory of our own");
        let log = File::create(log(&directory)).expect("a file can be made in a directory of our own");
        let mut command = inside::keeper(&state, &program);
        command
            .args([option("--data-root", state.join("data")), option("--exec-root", state.join("exec"))])
            .args([option("--pidfile", state.join("pid")), option("--config-file", configuration)])
            .args([option("--host", url(&directory)), option("--host", "unix:///run/docker.sock")])
            .args([option("--cgroup-parent", format!("/{cgroup}"))])
            .args(["--exec-opt=native.cgroupdriver=cgroupfs", "--userland-proxy=false", "--log-level=warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        node.host(&mut command);
        progress::note("starting Docker");
        let mut keeper = command.spawn().unwrap_or_else(|error| panic!("cannot start Docker: {error}"));
        let mut line = String::new();
        let told = BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line);
        let init = told.ok().and_then(|_| line.trim().parse().ok()).map(Pid::from_raw);
        let Some(init) = init else {
            let status = keeper.wait();
            panic!("Docker's namespaces were not made ({status:?}):\n{}", said(&directory));
        };
        let mut dockerd = Self { keeper, init, cgroup, directory };
        wait::until("Docker answers", READY_WITHIN, || {
            if let Some(status) = dockerd.keeper.try_wait().expect("our own child can be waited for") {
                panic!("Docker ended with {status}:\n{}", dockerd.log());
            }
            http::call(&dockerd.socket(), "GET", "/_ping", "")
                .is_ok_and(|(status, _)| status == 200)
                .then_some(())
        });
        dockerd
    }

    /// Returns the path of its Unix socket; for what runs beside it, /run/docker.sock is the same.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Returns what it said so far.
    pub fn log(&self) -> String {
        said(&self.directory)
    }

    /// Returns the name that the parent of its control groups has in each hierarchy.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Returns the process that everything of it ends with.
    pub fn init(&self) -> Pid {
        self.init
    }

    /// Returns a command that runs `program` beside the daemon: in its network, with its process ids, its /run and its mounts. Signals
    /// that end politely are passed on.
    pub fn command(&self, program: &Path) -> Command {
        inside::beside(self.init, program)
    }

    /// Returns a command of the client, without arguments.
    pub fn client(&self) -> Command {
        let mut command = Command::new("docker");
        self.lead(&mut command);
        command
    }

    /// Tells a program that is a client of Docker which daemon is meant, and that the user's settings are not.
    pub fn lead(&self, command: &mut Command) {
        command
            .env("DOCKER_HOST", url(&self.directory))
            .env("DOCKER_CONFIG", self.directory.path())
            .env("DOCKER_BUILDKIT", "0")
            .stdin(Stdio::null());
    }

    /// Runs `docker` with `args`, and returns how it ended.
    #[track_caller]
    pub fn try_docker<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        shaper::run_within(self.client().args(args), PATIENCE)
    }

    /// Runs `docker` with `args`, and returns what it printed, without white space around.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn docker<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        self.try_docker(args).expect(Exit::Done).stdout.trim().to_owned()
    }

    /// Starts a container in the background: `docker run --detach --name NAME` with `args`, which are options, image and command.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn run(&self, name: &str, args: &[&str]) -> String {
        self.docker(&[&["run", "--detach", "--name", name], args].concat())
    }

    /// Runs a command in a container, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn exec(&self, container: &str, command: &[&str]) -> String {
        self.docker(&[&["exec", container], command].concat())
    }

    /// Returns the least round trip from a container to an address or a name, in ms.
    ///
    /// # Panics
    /// When nobody answers.
    #[track_caller]
    pub fn rtt_ms(&self, from: &str, to: &str) -> f64 {
        let said = self.exec(from, &["ping", "-c", "4", "-i", "0.1", "-W", "2", to]);
        let found = said.split("min/avg/max = ").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        found.unwrap_or_else(|| panic!("{said}"))
    }

    /// Returns what `docker inspect --format` says of a container, an image or a network.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn inspect(&self, what: &str, format: &str) -> String {
        self.docker(&["inspect", "--format", format, what])
    }

    /// Ends and removes a container.
    ///
    /// # Panics
    /// When it is not removed.
    #[track_caller]
    pub fn remove(&self, container: &str) {
        self.docker(&["rm", "--force", "--volumes", container]);
    }

    /// Builds an image by a Dockerfile from the files in `context`.
    ///
    /// # Panics
    /// When it cannot be built.
    #[track_caller]
    pub fn build(&self, tag: &str, dockerfile: &Path, context: &Path) {
        let args =
            [OsStr::new("build"), "--quiet".as_ref(), "--tag".as_ref(), tag.as_ref(), "--file".as_ref()];
        self.docker(&[&args[..], &[dockerfile.as_ref(), context.as_ref()]].concat());
    }

    /// Builds the image [`SHAPER`], by the Dockerfile of this repository.
    ///
    /// # Panics
    /// As [`Dockerd::build`].
    #[track_caller]
    pub fn build_shaper(&self) {
        let program = static_shaper().unwrap_or_else(|reason| panic!("{reason}"));
        let context = Directory::new();
        fs::copy(program, context.path().join("shaper"))
            .expect("a file can be copied to a directory of our own");
        let dockerfile = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Dockerfile"));
        self.build(SHAPER, dockerfile, context.path());
    }

    /// Builds the image [`BUSYBOX`]: a shell and its commands, and no file else.
    ///
    /// # Panics
    /// As [`Dockerd::build`].
    #[track_caller]
    pub fn build_busybox(&self) {
        let program = busybox().unwrap_or_else(|reason| panic!("{reason}"));
        let context = Directory::new();
        let commands = context.path().join("bin");
        let make = || -> std::io::Result<PathBuf> {
            fs::create_dir(&commands)?;
            fs::copy(&program, commands.join("busybox"))?;
            let list = Command::new(&program).arg("--list").output()?.stdout;
            for name in String::from_utf8_lossy(&list).lines().filter(|&name| name != "busybox") {
                std::os::unix::fs::symlink("busybox", commands.join(name))?;
            }
            let dockerfile = context.path().join("Dockerfile");
            fs::write(&dockerfile, "FROM scratch\nCOPY bin /bin\nCMD [\"/bin/sleep\", \"infinity\"]\n")?;
            Ok(dockerfile)
        };
        let dockerfile = make().unwrap_or_else(|error| panic!("cannot lay out an image: {error}"));
        self.build(BUSYBOX, &dockerfile, context.path());
    }
}

/// By its process 1, with which all end at once; a failing trial says what the daemon said.
impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("=== Docker said:\n{}", self.log());
        }
        // Its number may be another's once the keeper has waited for it.
        if matches!(self.keeper.try_wait(), Ok(None)) {
            let _gone = kill(self.init, Signal::SIGKILL);
        }
        let _reaped = self.keeper.wait();
        let begin = std::time::Instant::now();
        cgroups::remove(&self.cgroup);
        while !cgroups::find(&self.cgroup).is_empty() && begin.elapsed() < GONE_WITHIN {
            std::thread::sleep(Duration::from_millis(2));
            cgroups::remove(&self.cgroup);
        }
    }
}

fn option(name: &str, value: impl AsRef<OsStr>) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push("=");
    option.push(value);
    option
}

fn url(directory: &Directory) -> String {
    format!("unix://{}", directory.path().join("docker.sock").display())
}

fn log(directory: &Directory) -> PathBuf {
    directory.path().join("docker.log")
}

fn said(directory: &Directory) -> String {
    fs::read_to_string(log(directory)).unwrap_or_default()
}
