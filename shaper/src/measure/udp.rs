//! Packet trains over UDP: one-way delay, loss, copies, damage, order and rate, packet by packet.

mod packet;
mod receive;
mod report;
mod send;

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, setsockopt, socket,
    sockopt,
};

pub use report::{Arrival, Report};

use super::Error;
use super::clock::{nanos, now_ns};
use super::sys::{self, set_buffer};

const SOCKET: &str = "UDP";
/// The largest UDP payload of an IPv4 packet.
const PAYLOAD_MAX: usize = 65_507;
/// Room for the packets that a shaped link holds (sender) or that wait for the receiving thread: 10 Gbit/s for 25 ms.
const SOCKET_BUFFER: usize = 32 << 20;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    /// Number of packets.
    pub count: usize,
    /// UDP payload in bytes, 8 to 65 507.
    pub payload: usize,
    /// Time from one packet to the next; zero sends as fast as the sender can, in batches.
    pub interval: Duration,
    /// Most packets on their way at once: the sender waits until the receiver has seen one so close to the next. `None`: any
    /// number. Without it, a train as fast as the sender can is more than the kernel's queues between the two have room for.
    pub window: Option<usize>,
    /// How long to wait for packets on their way after the last was sent.
    pub drain: Duration,
    /// How long to wait for copies of packets after all have arrived; `drain` bounds it.
    pub linger: Duration,
}

/// A thousand small packets, one every millisecond.
impl Default for Train {
    fn default() -> Self {
        Self {
            count: 1000,
            payload: 64,
            interval: Duration::from_millis(1),
            window: None,
            drain: Duration::from_secs(1),
            linger: Duration::ZERO,
        }
    }
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
            ..Self::default()
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

    /// Returns where packets come from, with the port that the kernel chose.
    ///
    /// # Errors
    /// [`Error::Option`] when the kernel does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        local_address(&self.socket)
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

/// What the two ends tell each other while a train runs.
#[derive(Debug)]
struct Line {
    /// When the receiver gives up waiting.
    last_call_ns: AtomicU64,
    /// One more than the highest sequence number that has arrived.
    reached: AtomicUsize,
}

/// Sends `train` and returns what became of each packet; returns as soon as all have arrived, or after `train.drain`.
///
/// # Errors
/// [`Error::OutOfRange`] for a payload that holds no header; [`Error::Send`] and [`Error::Receive`] when a socket fails.
pub fn run(sender: &Sender, receiver: &Receiver, train: &Train) -> Result<Report, Error> {
    static TRAINS: AtomicU32 = AtomicU32::new(0);
    if !(packet::HEADER_LEN..=PAYLOAD_MAX).contains(&train.payload) {
        return Err(Error::OutOfRange {
            what: "payload",
            min: packet::HEADER_LEN,
            max: PAYLOAD_MAX,
            asked: train.payload,
        });
    }
    let number = TRAINS.fetch_add(1, Ordering::Relaxed);
    let drops_before = receiver_drops(receiver)?;
    let line = Line { last_call_ns: AtomicU64::new(u64::MAX), reached: AtomicUsize::new(0) };
    let (sent, received) = thread::scope(|scope| {
        let receiving = scope.spawn(|| receive::train(receiver, number, train, &line));
        let sent = send::train(sender, number, train, &line);
        // A failed sender leaves nothing to wait for.
        let drain_ns = if sent.is_ok() { nanos(train.drain) } else { 0 };
        line.last_call_ns.store(now_ns().saturating_add(drain_ns), Ordering::Release);
        (sent, receiving.join().expect("the receiving thread does not panic"))
    });
    let (sent, received) = (sent?, received?);
    Ok(Report {
        departures_ns: sent.departures_ns,
        refused: sent.refused,
        arrivals: received.arrivals,
        damaged: received.damaged,
        receiver_drops: receiver_drops(receiver)?.wrapping_sub(drops_before),
    })
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
        for (interval_us, window) in [(0, None), (20, None), (0, Some(32))] {
            let interval = Duration::from_micros(interval_us);
            let train = Train { count: 500, payload: 18, interval, window, ..Train::default() };
            let report = run(&sender, &receiver, &train).unwrap();
            let fates = (report.sent(), report.lost(), report.reordered(), report.damaged);
            assert_eq!(fates, (500, 0, 0, 0), "{interval:?} {window:?}");
        }
    }
}
