//! A TCP connection as both ends of the protocol want it.

use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// After so long without a word, the peer is asked whether it is there.
const QUIET: Duration = Duration::from_secs(60);
/// How often it is asked, when it does not answer.
const ASKED: u32 = 6;
/// The time between.
const BETWEEN: Duration = Duration::from_secs(10);

/// Sends at once, and notices when the peer's machine is gone: a connection may be quiet for hours, and then the kernel tells nobody.
pub(super) fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &(QUIET.as_secs() as u32))?;
    setsockopt(stream, sockopt::TcpKeepInterval, &(BETWEEN.as_secs() as u32))?;
    setsockopt(stream, sockopt::TcpKeepCount, &ASKED)?;
    Ok(())
}
