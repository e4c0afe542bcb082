//! Packet trains over UDP: one-way delay, loss, order and rate, packet by packet.

mod report;

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeSpec, TimeValLike};

pub use report::{Arrival, Report};

use super::Error;
use super::clock::{nanos, now_ns, prompt_wakeups, sleep_until};
use super::sys::{self, BATCH, Inbox, set_buffer};

const SOCKET: &str = "UDP";
/// What precedes the padding of each packet: the train's number and the packet's, 32 bits each.
const HEADER_LEN: usize = 8;
/// The largest UDP payload of an IPv4 packet.
const PAYLOAD_MAX: usize = 65_507;
/// Room for the packets that a shaped link holds (sender) or that wait for the receiving thread: 10 Gbit/s for 25 ms.
const SOCKET_BUFFER: usize = 32 << 20;
/// How often a receiver without packets looks whether the sender is through.
const IDLE_CHECK_NS: i64 = 2_000_000;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    /// Number of packets.
    pub count: usize,
    /// UDP payload in bytes, 8 to 65 507.
    pub payload: usize,
    /// Time from one packet to the next; zero sends as fast as the sender can, in batches.
    pub interval: Duration,
    /// How long to wait for packets on their way after the last was sent.
    pub drain: Duration,
}

impl Train {
    /// A train whose payloads, with `overhead` bytes of headers each, make `bits_per_sec`.
    ///
    /// # Panics
    /// When `bits_per_sec` is zero.
    pub fn at_rate(bits_per_sec: u64, overhead: usize, payload: usize, duration: Duration) -> Self {
        let bits = 8 * (payload + overhead) as u64;
        let interval_ns = bits * 1_000_000_000 / bits_per_sec;
        Self {
            count: usize::try_from(nanos(duration) / interval_ns.max(1)).unwrap_or(usize::MAX).max(1),
            payload,
            interval: Duration::from_nanos(interval_ns),
            drain: Duration::from_secs(1),
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// Opens the socket in the calling thread's network namespace, towards a [`Receiver`]'s address.
    ///
    /// # Errors
    /// [`Error::Connect`] without a route to `destination`.
    pub fn open(destination: SocketAddr) -> Result<Self, Error> {
        let socket = open_socket(destination)?;
        set_buffer(&socket, sockopt::SndBufForce, sockopt::SndBuf, "SO_SNDBUF", SOCKET_BUFFER)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(destination))
            .map_err(|source| Error::Connect { address: destination, source })?;
        Ok(Self { socket })
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedFd,
}

impl Receiver {
    /// Opens the socket in the calling thread's network namespace, at `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address is not of this namespace.
    pub fn open(address: SocketAddr) -> Result<Self, Error> {
        let socket = open_socket(address)?;
        set_buffer(&socket, sockopt::RcvBufForce, sockopt::RcvBuf, "SO_RCVBUF", SOCKET_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)
            .map_err(|source| Error::Option { option: "SO_TIMESTAMPNS", source })?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
            .map_err(|source| Error::Bind { address, source })?;
        Ok(Self { socket })
    }

    /// Returns where to send to.
    ///
    /// # Errors
    /// [`Error::Option`] when the kernel does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        local_address(&self.socket)
    }
}

/// Sends `train` and returns what became of each packet; returns as soon as all have arrived, or after `train.drain`.
///
/// # Errors
/// [`Error::OutOfRange`] for a payload that holds no header; [`Error::Send`] and [`Error::Receive`] when a socket fails.
pub fn run(sender: &Sender, receiver: &Receiver, train: &Train) -> Result<Report, Error> {
    static TRAINS: AtomicU32 = AtomicU32::new(0);
    if !(HEADER_LEN..=PAYLOAD_MAX).contains(&train.payload) {
        return Err(Error::OutOfRange {
            what: "payload",
            min: HEADER_LEN,
            max: PAYLOAD_MAX,
            asked: train.payload,
        });
    }
    let number = TRAINS.fetch_add(1, Ordering::Relaxed);
    let drops_before = receiver_drops(receiver)?;
    let last_call_ns = AtomicU64::new(u64::MAX);
    let (sent, arrivals) = thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(receiver, number, train.count, &last_call_ns));
        let sent = send(sender, number, train);
        // A failed sender leaves nothing to wait for.
        let drain_ns = if sent.is_ok() { nanos(train.drain) } else { 0 };
        last_call_ns.store(now_ns().saturating_add(drain_ns), Ordering::Release);
        (sent, receiving.join().expect("the receiving thread does not panic"))
    });
    let (departures_ns, refused) = sent?;
    let receiver_drops = receiver_drops(receiver)?.wrapping_sub(drops_before);
    Ok(Report { departures_ns, refused, arrivals: arrivals?, receiver_drops })
}

fn send(sender: &Sender, train_number: u32, train: &Train) -> Result<(Vec<u64>, usize), Error> {
    prompt_wakeups();
    let interval_ns = nanos(train.interval);
    let mut packets = vec![vec![0_u8; train.payload]; BATCH];
    let mut departures_ns = Vec::with_capacity(train.count);
    let mut refused = 0;
    let start_ns = now_ns();
    while departures_ns.len() < train.count {
        let next = departures_ns.len();
        let mut due = (train.count - next).min(BATCH);
        if interval_ns > 0 {
            sleep_until(start_ns + next as u64 * interval_ns);
            let by_now = (now_ns() - start_ns) / interval_ns + 1;
            due = due.min((by_now as usize).saturating_sub(next).max(1));
        }
        for (offset, packet) in packets[..due].iter_mut().enumerate() {
            packet[..4].copy_from_slice(&train_number.to_be_bytes());
            packet[4..8].copy_from_slice(&((next + offset) as u32).to_be_bytes());
        }
        let departed_ns = now_ns();
        let gone = match sys::send_batch(sender.socket.as_fd(), &packets[..due]) {
            Ok(gone) => gone,
            Err(Errno::ENOBUFS) => {
                refused += 1;
                1
            }
            Err(Errno::EINTR) => 0,
            Err(source) => {
                return Err(Error::Send { socket: SOCKET, source });
            }
        };
        departures_ns.resize(next + gone, departed_ns);
    }
    Ok((departures_ns, refused))
}

fn receive(
    receiver: &Receiver,
    train_number: u32,
    count: usize,
    last_call_ns: &AtomicU64,
) -> Result<Vec<Arrival>, Error> {
    prompt_wakeups();
    let mut inbox = Inbox::new(HEADER_LEN);
    let mut arrivals: Vec<Arrival> = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    let mut missing = count;
    while missing > 0 && now_ns() < last_call_ns.load(Ordering::Acquire) {
        let mut fds = [PollFd::new(receiver.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::nanoseconds(IDLE_CHECK_NS)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(source) => {
                return Err(Error::Receive { socket: SOCKET, source });
            }
        }
        match inbox.receive(receiver.socket.as_fd()) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(source) => {
                return Err(Error::Receive { socket: SOCKET, source });
            }
        }
        for (packet, at_ns) in inbox.packets() {
            let Some(sequence) = read_header(packet, train_number) else {
                continue;
            };
            let Some(seen) = seen.get_mut(sequence as usize) else {
                continue;
            };
            missing -= usize::from(!*seen);
            *seen = true;
            arrivals.push(Arrival { sequence, at_ns });
        }
    }
    Ok(arrivals)
}

/// Returns the sequence number of a packet of this train; `None` for stragglers of an earlier one.
fn read_header(packet: &[u8], train_number: u32) -> Option<u32> {
    let (number, sequence) = packet.split_first_chunk::<4>()?;
    let sequence = sequence.first_chunk::<4>()?;
    (u32::from_be_bytes(*number) == train_number).then(|| u32::from_be_bytes(*sequence))
}

fn receiver_drops(receiver: &Receiver) -> Result<u32, Error> {
    sys::socket_drops(receiver.socket.as_fd())
        .map_err(|source| Error::Option { option: "SO_MEMINFO", source })
}

fn open_socket(address: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|source| Error::Open { socket: SOCKET, source })
}

fn local_address(socket: &OwnedFd) -> Result<SocketAddr, Error> {
    let option = "getsockname";
    let address: SockaddrStorage =
        getsockname(socket.as_raw_fd()).map_err(|source| Error::Option { option, source })?;
    super::tcp::std_address(&address).ok_or(Error::Option { option, source: Errno::EAFNOSUPPORT })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_at_a_rate_spaces_its_packets() {
        let train = Train::at_rate(10_000_000, 42, 1208, Duration::from_secs(1));
        assert_eq!(train.interval, Duration::from_millis(1));
        assert_eq!(train.count, 1000);
    }

    #[test]
    fn a_train_over_loopback_arrives_whole_and_in_order() {
        let receiver = Receiver::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let sender = Sender::open(receiver.address().unwrap()).unwrap();
        for interval in [Duration::ZERO, Duration::from_micros(20)] {
            let train = Train { count: 500, payload: 18, interval, drain: Duration::from_secs(1) };
            let report = run(&sender, &receiver, &train).unwrap();
            assert_eq!((report.sent(), report.lost(), report.reordered()), (500, 0, 0), "{interval:?}");
        }
    }
}
