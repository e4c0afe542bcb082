//! As much of HTTP/1.1 as a request takes (RFC 9112).

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a request with `body`, a JSON text or nothing, and returns the status code and the body of the answer.
///
/// # Errors
/// Those of the socket, also when nothing comes for 20 s; `InvalidData` for what is no answer.
pub fn call(socket: &Path, method: &str, target: &str, body: &str) -> io::Result<(u16, String)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, target, "", body)
}

/// Sends a request without a body over TCP, with more headers, each of which ends its line.
///
/// # Errors
/// As [`call`].
pub fn call_tcp(
    address: impl ToSocketAddrs,
    method: &str,
    target: &str,
    headers: &str,
) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, target, headers, "")
}

fn exchange(
    mut stream: impl io::Read + io::Write,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
