//! How a namespace numbers the others: what `ip netns list-id` shows.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::uapi::*;
use super::{Error, Message, Socket};

/// `struct rtgenmsg`, with its padding: the family, which is none.
const RTGENMSG: [u8; 4] = [0; 4];

/// The number that the socket's namespace has for another; `None` when it has none yet.
///
/// # Errors
///
/// See [`Socket::get`].
pub fn of(socket: &mut Socket, netns: BorrowedFd<'_>) -> Result<Option<i32>, Error> {
    let fd = netns.as_raw_fd();
    let command = format!("ip netns list-id # of /proc/self/fd/{fd}");
    let mut message = Message::new(libc::RTM_GETNSID, 0, "find the number of a namespace", command);
    message.body_mut().raw(&RTGENMSG).attr_u32(NETNSA_FD, fd.cast_unsigned());
    let reply = socket.get(message)?;
    let number = reply
        .split::<{ RTGENMSG.len() }>()
        .and_then(|(_, attributes)| attributes.find_kind(NETNSA_NSID)?.u32().map(u32::cast_signed));
    Ok(number.filter(|number| *number != NETNSA_NSID_NOT_ASSIGNED))
}
