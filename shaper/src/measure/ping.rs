//! ICMP and ICMPv6 echo: the round-trip time a link really has.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeValLike};

use super::Error;
use super::clock::{nanos, now_ns, prompt_wakeups};
use super::sys::Inbox;

const SOCKET: &str = "raw ICMP";
/// Bytes of an echo header, the same in ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, checksum, identifier, sequence.
const HEADER_LEN: usize = 8;
/// The largest echo that fits an IPv4 packet: 65 535 less 20 bytes of IPv4 header and the echo header.
const PAYLOAD_MAX: usize = 65_535 - 20 - HEADER_LEN;
/// What is read of a reply: the longest IPv4 header and the echo header.
const REPLY_HEAD: usize = 60 + HEADER_LEN;
/// Sequence numbers are 16 bits and each is used once.
const COUNT_MAX: usize = 1 << 16;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    /// Number of requests, 1 to 65 536.
    pub count: usize,
    /// Time from one request to the next; it may be shorter than the round trip.
    pub interval: Duration,
    /// How long a reply is waited for, counted from its request.
    pub timeout: Duration,
    /// Bytes after the echo header, up to 65 507.
    pub payload: usize,
}

impl Default for Train {
    /// Ten requests of ping(8)'s 56 bytes, 20 ms apart, each waited for 2 s.
    fn default() -> Self {
        Self { count: 10, interval: Duration::from_millis(20), timeout: Duration::from_secs(2), payload: 56 }
    }
}

/// A raw socket that sends echo requests to one destination and takes its replies.
#[derive(Debug)]
pub struct Pinger {
    socket: OwnedFd,
    wire: Wire,
    identifier: u16,
}

impl Pinger {
    /// Opens the socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Open`] without `CAP_NET_RAW`; [`Error::Connect`] without a route to `destination`.
    pub fn open(destination: IpAddr) -> Result<Self, Error> {
        let wire = Wire::of(destination);
        let socket = socket(wire.family, SockType::Raw, SockFlag::SOCK_CLOEXEC, wire.protocol)
            .map_err(|source| Error::Open { socket: SOCKET, source })?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)
            .map_err(|source| Error::Option { option: "SO_TIMESTAMPNS", source })?;
        let address = SocketAddr::new(destination, 0);
        // Connected, the socket gets only what this destination sends.
        connect(socket.as_raw_fd(), &SockaddrStorage::from(address))
            .map_err(|source| Error::Connect { address, source })?;
        Ok(Self { socket, wire, identifier: next_identifier() })
    }

    /// Sends the train and returns the round-trip time in nanoseconds of each request, `None` where no reply came in time.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a train that cannot be numbered; [`Error::Send`] and [`Error::Receive`] when the socket
    /// fails. A request the link had no room for (`ENOBUFS`) is a lost one, not an error.
    pub fn run(&self, train: &Train) -> Result<Vec<Option<u64>>, Error> {
        check_range("count", 1, COUNT_MAX, train.count)?;
        check_range("payload", 0, PAYLOAD_MAX, train.payload)?;
        prompt_wakeups();
        let (interval_ns, timeout_ns) = (nanos(train.interval), nanos(train.timeout));
        let mut frame = vec![0_u8; HEADER_LEN + train.payload];
        let mut inbox = Inbox::new(REPLY_HEAD);
        let mut sent_ns: Vec<u64> = Vec::with_capacity(train.count);
        let mut rtt_ns: Vec<Option<u64>> = vec![None; train.count];
        let mut unanswered = train.count;
        let start_ns = now_ns();
        while unanswered > 0 {
            let due_ns = match sent_ns.last() {
                _ if sent_ns.len() < train.count => start_ns + interval_ns * sent_ns.len() as u64,
                Some(last_ns) => last_ns + timeout_ns,
                None => break,
            };
            let now = now_ns();
            if now >= due_ns {
                if sent_ns.len() == train.count {
                    break;
                }
                self.wire.write_request(&mut frame, self.identifier, sent_ns.len() as u16);
                sent_ns.push(now_ns());
                match send(self.socket.as_raw_fd(), &frame, MsgFlags::empty()) {
                    Ok(_) | Err(Errno::ENOBUFS) => {}
                    Err(source) => {
                        return Err(Error::Send { socket: SOCKET, source });
                    }
                }
                continue;
            }
            self.wait_readable(due_ns - now)?;
            match inbox.receive(self.socket.as_fd()) {
                Ok(()) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(source) => {
                    return Err(Error::Receive { socket: SOCKET, source });
                }
            }
            for (packet, arrived_ns) in inbox.packets() {
                let Some(sequence) = self.wire.read_reply(packet, self.identifier) else {
                    continue;
                };
                let sequence = usize::from(sequence);
                let Some(&departed_ns) = sent_ns.get(sequence) else {
                    continue;
                };
                let rtt = arrived_ns.saturating_sub(departed_ns);
                if rtt <= timeout_ns && rtt_ns[sequence].is_none() {
                    rtt_ns[sequence] = Some(rtt);
                    unanswered -= 1;
                }
            }
        }
        Ok(rtt_ns)
    }

    fn wait_readable(&self, at_most_ns: u64) -> Result<(), Error> {
        let timeout = TimeSpec::nanoseconds(i64::try_from(at_most_ns).unwrap_or(i64::MAX));
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(timeout), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(source) => Err(Error::Receive { socket: SOCKET, source }),
        }
    }
}

/// How echo looks in one address family.
#[derive(Clone, Copy, Debug)]
struct Wire {
    family: AddressFamily,
    protocol: SockProtocol,
    request: u8,
    reply: u8,
    /// Raw IPv4 sockets deliver the IP header and leave the checksum to us; raw ICMPv6 sockets do neither.
    carries_ip_header: bool,
}

impl Wire {
    fn of(destination: IpAddr) -> Self {
        match destination {
            IpAddr::V4(_) => Self {
                family: AddressFamily::Inet,
                protocol: SockProtocol::Icmp,
                request: 8,
                reply: 0,
                carries_ip_header: true,
            },
            IpAddr::V6(_) => Self {
                family: AddressFamily::Inet6,
                protocol: SockProtocol::IcmpV6,
                request: 128,
                reply: 129,
                carries_ip_header: false,
            },
        }
    }

    fn write_request(self, frame: &mut [u8], identifier: u16, sequence: u16) {
        frame[0] = self.request;
        frame[1..4].fill(0);
        frame[4..6].copy_from_slice(&identifier.to_be_bytes());
        frame[6..8].copy_from_slice(&sequence.to_be_bytes());
        if self.carries_ip_header {
            let checksum = internet_checksum(frame);
            frame[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// Returns the sequence number of a reply to us; `None` for anything else.
    fn read_reply(self, packet: &[u8], identifier: u16) -> Option<u16> {
        let header_len = if self.carries_ip_header { usize::from(packet.first()? & 0x0f) * 4 } else { 0 };
        let echo = packet.get(header_len..header_len + HEADER_LEN)?;
        let ours = echo[0] == self.reply && echo[4..6] == identifier.to_be_bytes();
        ours.then(|| u16::from_be_bytes([echo[6], echo[7]]))
    }
}

/// The Internet checksum (RFC 1071) of `bytes`, whose checksum field is zero.
fn internet_checksum(bytes: &[u8]) -> u16 {
    // At most 2^15 words below 2^16 each: below 2^31.
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Two pingers of one process never share an identifier before 65 536 of them were opened; the process id keeps those of
/// two processes apart.
fn next_identifier() -> u16 {
    static OPENED: AtomicU16 = AtomicU16::new(0);
    (std::process::id() as u16).wrapping_mul(251).wrapping_add(OPENED.fetch_add(1, Ordering::Relaxed))
}

fn check_range(what: &'static str, min: usize, max: usize, asked: usize) -> Result<(), Error> {
    if (min..=max).contains(&asked) { Ok(()) } else { Err(Error::OutOfRange { what, min, max, asked }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3: words 0001 f203 f4f5 f6f7 sum to ddf2.
    #[test]
    fn checksum_of_the_rfc_example() {
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn a_request_checks_to_zero_and_odd_lengths_are_padded() {
        for payload in [0, 1, 56, 57] {
            let mut frame = vec![0xa5; HEADER_LEN + payload];
            Wire::of(IpAddr::from([127, 0, 0, 1])).write_request(&mut frame, 0x1234, 7);
            assert_eq!(internet_checksum(&frame), 0, "payload {payload}");
        }
    }

    #[test]
    fn only_replies_to_us_are_read() {
        let wire = Wire::of(IpAddr::from([0_u16; 8]));
        let mut reply = [129, 0, 0, 0, 0x12, 0x34, 0, 7];
        assert_eq!(wire.read_reply(&reply, 0x1234), Some(7));
        assert_eq!(wire.read_reply(&reply, 0x1235), None);
        assert_eq!(wire.read_reply(&reply[..7], 0x1234), None);
        reply[0] = 128;
        assert_eq!(wire.read_reply(&reply, 0x1234), None);
    }

    #[test]
    fn an_unnumberable_train_is_refused() {
        assert!(check_range("count", 1, COUNT_MAX, 0).is_err());
        assert!(check_range("count", 1, COUNT_MAX, COUNT_MAX).is_ok());
        assert!(check_range("count", 1, COUNT_MAX, COUNT_MAX + 1).is_err());
    }
}
