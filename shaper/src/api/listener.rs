//! Where the API listens.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group};

/// An agent waits longer for what a client has to say, and no other process keeps its socket for so long.
const LASTS: Duration = Duration::from_millis(500);

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An agent listens there already.
    #[error("an agent listens at `{}` already", .path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is no such group.
    #[error("there is no group `{name}`")]
    NoGroup {
        /// Its name.
        name: String,
    },
    /// What the kernel refused.
    #[error("cannot {operation} `{address}`")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
}

/// Where requests come from; opened before there is a runtime, for that takes privileges which its threads do not have.
#[derive(Debug)]
pub enum Listener {
    /// A socket in the file system, removed when this is dropped.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Its file.
        path: PathBuf,
    },
    /// A port.
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at a path, for those alone who may write to the socket: root, and the members of `group`, a name or a number. A socket that an agent left
    /// behind is taken away first.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    pub fn unix(path: &Path, group: Option<&str>) -> Result<Self, ListenError> {
        let failed = |operation| {
            move |source| ListenError::Failed { operation, address: path.display().to_string(), source }
        };
        let gid = match group {
            None => None,
            Some(name) => {
                let group = match Group::from_name(name) {
                    // An image of nothing but this program has no list of groups.
                    Err(Errno::ENOENT) => None,
                    found => found.map_err(|errno| failed("find the group of")(errno.into()))?,
                };
                let number = || name.parse().ok().map(Gid::from_raw);
                let gid = group.map(|group| group.gid).or_else(number);
                Some(gid.ok_or_else(|| ListenError::NoGroup { name: name.to_owned() })?)
            }
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
        }
        loop {
            match UnixStream::connect(path) {
                Ok(stream) if lasts(&stream) => return Err(ListenError::InUse { path: path.to_owned() }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(failed("take away the old socket at"))?;
                    break;
                }
                Err(_) => break,
            }
        }
        // Nobody else may connect in the moment before the mode is set.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(failed("listen at"))?;
        listener.set_nonblocking(true).map_err(failed("listen at"))?;
        if let Some(gid) = gid {
            chown(path, None, Some(gid.as_raw())).map_err(failed("give to its group"))?;
            let mode = std::fs::Permissions::from_mode(0o660);
            std::fs::set_permissions(path, mode).map_err(failed("set the mode of"))?;
        }
        Ok(Self::Unix { listener, path: path.to_owned() })
    }

    /// Listens at a port.
    ///
    /// # Errors
    ///
    /// [`ListenError::Failed`].
    pub fn tcp(address: SocketAddr) -> Result<Self, ListenError> {
        bind(address).map(Self::Tcp)
    }

    /// Where that is, as a client would say it.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Unix { path, .. } => format!("unix:{}", path.display()),
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "http".to_owned(), |address| format!("http://{address}")),
        }
    }
}

/// Whether somebody is there to speak to. A relay that an agent was about to start when it was killed has the agent's socket until it
/// becomes the relay.
fn lasts(mut stream: &UnixStream) -> bool {
    let is_bounded = stream.set_read_timeout(Some(LASTS)).is_ok();
    is_bounded && stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { path, .. } = self {
            // Somebody took it away already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens at a port, for a runtime to take over.
///
/// # Errors
///
/// [`ListenError::Failed`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let failed =
        |source| ListenError::Failed { operation: "listen at", address: address.to_string(), source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
