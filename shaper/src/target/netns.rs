//! Network namespaces: opening, making, entering, naming and locking them.
//!
//! A namespace is held by a file descriptor: it lives as long as that is open, whatever becomes of its name and its
//! processes. No thread of the caller ever changes namespace; what must run inside runs on a thread of its own.

mod list;
mod lock;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::sched::CloneFlags;

pub use list::{Found, Name, find, identify, list};
pub use lock::Lock;

/// Where `ip netns` keeps its names; the second is for systems where it is not a link to the first.
const NAME_DIRS: [&str; 2] = ["/run/netns", "/var/run/netns"];

const CURRENT: &str = "/proc/thread-self/ns/net";

/// Why a namespace could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none of that name, path or process.
    #[error("there is no {asked}{}", hint(.known))]
    NotFound {
        /// What was asked for, as "network namespace `x`" or "process 7".
        asked: String,
        /// The names that there are; empty where a name would not help.
        known: Vec<String>,
    },
    /// The file is there and is no network namespace.
    #[error("`{}` is not a network namespace", .path.display())]
    NotANamespace {
        /// The file.
        path: PathBuf,
    },
    /// Who asked sees another one there than we do.
    #[error("`{asked}` is another network namespace here than the one that was meant")]
    Another {
        /// As it was asked for.
        asked: String,
    },
    /// The kernel wants a capability that this process does not have.
    #[error("cannot {operation}: {errno:?}: {}", .errno.desc())]
    Permission {
        /// What was tried.
        operation: String,
        /// `EPERM` or `EACCES`.
        errno: Errno,
    },
    /// Any other failure.
    #[error("cannot {operation}: {errno:?}: {}", .errno.desc())]
    Failed {
        /// What was tried.
        operation: String,
        /// Why.
        errno: Errno,
    },
}

fn hint(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}

impl Error {
    fn new(operation: impl Into<String>, errno: Errno) -> Self {
        let operation = operation.into();
        match errno {
            Errno::EPERM | Errno::EACCES => Error::Permission { operation, errno },
            errno => Error::Failed { operation, errno },
        }
    }

    fn io(operation: impl Into<String>, error: &io::Error) -> Self {
        Self::new(operation, Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }
}

/// The identity of a namespace: equal exactly when the namespaces are the same, as long as one of them is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Device of the namespace file system.
    pub dev: u64,
    /// Its inode, the number that `ip netns` and `readlink /proc/PID/ns/net` show.
    pub ino: u64,
}

/// `DEV:INO`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once(':')
            .and_then(|(dev, ino)| Some(Self { dev: dev.parse().ok()?, ino: ino.parse().ok()? }));
        parsed.ok_or_else(|| {
            format!("{text:?} identifies no namespace: write device and inode, such as `4:4026531840`")
        })
    }
}

/// A network namespace, kept alive by this value.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    name: String,
    id: Id,
}

impl Netns {
    /// Opens the namespace that `ip netns add` gave this name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with the names that there are, [`Error::NotANamespace`], [`Error::Permission`].
    pub fn open_name(name: &str) -> Result<Self, Error> {
        // A name with a slash would leave the directory, and an empty one is the directory.
        let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        for directory in NAME_DIRS.iter().filter(|_| is_plain) {
            match open(&Path::new(directory).join(name), name.to_owned()) {
                Err(Opening::Absent) => {}
                Err(Opening::Failed(error)) => return Err(error),
                Ok(netns) => return Ok(netns),
            }
        }
        Err(Error::NotFound { asked: format!("network namespace `{name}`"), known: list::names() })
    }

    /// Opens a namespace file, as `/proc/PID/ns/net` or a container runtime's.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotANamespace`], [`Error::Permission`].
    pub fn open_path(path: &Path) -> Result<Self, Error> {
        let absent = || Error::NotFound { asked: format!("file `{}`", path.display()), known: Vec::new() };
        open(path, path.display().to_string()).map_err(|opening| opening.or(absent))
    }

    /// Opens the namespace of a process.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Permission`] for another user's process without CAP_SYS_PTRACE.
    pub fn open_pid(pid: u32) -> Result<Self, Error> {
        let absent = || Error::NotFound { asked: format!("process {pid}"), known: Vec::new() };
        let path = format!("/proc/{pid}/ns/net");
        open(Path::new(&path), format!("process {pid}")).map_err(|opening| opening.or(absent))
    }

    /// Opens the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when `/proc` is not mounted.
    pub fn current() -> Result<Self, Error> {
        let absent = || Error::NotFound { asked: format!("file `{CURRENT}`"), known: Vec::new() };
        open(Path::new(CURRENT), "self".to_owned()).map_err(|opening| opening.or(absent))
    }

    /// Makes a namespace without a name: it ends with the last descriptor of it. Its loopback is down.
    ///
    /// # Errors
    ///
    /// [`Error::Permission`] without CAP_SYS_ADMIN.
    pub fn create() -> Result<Self, Error> {
        on_own_thread(|| {
            unshare_net().map_err(|errno| Error::new("make a network namespace", errno))?;
            let mut netns = Self::current()?;
            netns.name = format!("net:[{}]", netns.id.ino);
            Ok(netns)
        })
    }

    /// Runs `inside` in the namespace, on a thread of its own, and waits for it; its panic becomes the caller's.
    ///
    /// A socket opened there stays in the namespace and can be used from any thread.
    ///
    /// # Errors
    ///
    /// [`Error::Permission`] without CAP_SYS_ADMIN over the namespace.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T, Error> {
        on_own_thread(|| {
            setns_net(self.as_fd()).map_err(|errno| Error::new(format!("enter {self}"), errno))?;
            Ok(inside())
        })
    }

    /// Returns what identifies the namespace.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the number that no other namespace has had since the machine was started; `None` before Linux 5.14.
    ///
    /// # Errors
    ///
    /// As [`Netns::run`], because it is asked of a socket inside.
    pub fn cookie(&self) -> Result<Option<u64>, Error> {
        self.run(|| {
            let failed = |error| Error::io(format!("open a socket in {self}"), &error);
            let socket = UnixDatagram::unbound().map_err(failed)?;
            match cookie_of(socket.as_fd()) {
                Ok(cookie) => Ok(Some(cookie)),
                Err(Errno::ENOPROTOOPT) => Ok(None),
                Err(errno) => Err(Error::new(format!("read the cookie of {self}"), errno)),
            }
        })?
    }

    /// Waits until no one else has the namespace locked, and locks it until the result is dropped.
    ///
    /// The lock is advisory (`flock`), ends with the process, and excludes other threads as well as other processes.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub fn lock(&self) -> Result<Lock, Error> {
        Lock::wait(self)
    }

    /// Locks the namespace; `None` when someone else has it locked.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub fn try_lock(&self) -> Result<Option<Lock>, Error> {
        Lock::attempt(self)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for Netns {
    /// Prints the namespace as it was asked for: a name, a path, `process 7`, `self` or `net:[4026531840]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network namespace `{}`", self.name)
    }
}

/// Why a file did not open as a namespace; what its absence means depends on how it was found.
enum Opening {
    Absent,
    Failed(Error),
}

impl Opening {
    fn or(self, absent: impl FnOnce() -> Error) -> Error {
        match self {
            Opening::Absent => absent(),
            Opening::Failed(error) => error,
        }
    }
}

fn open(path: &Path, name: String) -> Result<Netns, Opening> {
    // Non-blocking, because a path that is a FIFO would wait for its writer for ever.
    let opened = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Opening::Absent,
        _ => Opening::Failed(Error::io(format!("open `{}`", path.display()), &error)),
    })?;
    let fd = OwnedFd::from(file);
    if !is_net(fd.as_fd()) {
        return Err(Opening::Failed(Error::NotANamespace { path: path.to_owned() }));
    }
    let stat = nix::sys::stat::fstat(&fd)
        .map_err(|errno| Opening::Failed(Error::new(format!("stat `{}`", path.display()), errno)))?;
    Ok(Netns { fd, name, id: Id { dev: stat.st_dev, ino: stat.st_ino } })
}

/// Runs `work` on a thread that is not used again, so that its change of namespace touches no one.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match std::thread::scope(|scope| scope.spawn(work).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn unshare_net() -> nix::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET)
}

fn setns_net(netns: BorrowedFd<'_>) -> nix::Result<()> {
    nix::sched::setns(netns, CloneFlags::CLONE_NEWNET)
}

fn is_net(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: the descriptor is open, and the request takes no argument.
    let kind = unsafe { ns_get_nstype(fd.as_raw_fd()) };
    kind == Ok(libc::CLONE_NEWNET)
}

nix::ioctl_none_bad!(
    /// Returns which `CLONE_NEW*` makes namespaces of this file's kind (since Linux 4.11).
    ns_get_nstype,
    libc::NS_GET_NSTYPE
);

/// `SO_NETNS_COOKIE`, in the generic numbering of socket options.
const SO_NETNS_COOKIE: libc::c_int = 71;

fn cookie_of(socket: BorrowedFd<'_>) -> nix::Result<u64> {
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `cookie`, which has that many, and the new length to `len`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    Errno::result(result).map(|_| cookie)
}

#[cfg(test)]
mod tests;
