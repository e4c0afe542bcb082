//! Bulk transfer over TCP: goodput as the receiver sees it, and what the sender had to repeat.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt, socket,
    sockopt,
};

use super::Error;
use super::clock::{nanos, now_ns, sleep_until};
use super::sys::{self, set_buffer};

const SOCKET: &str = "TCP";
/// Bytes per call: large enough that calls cost little, small enough to fit a send buffer of default size.
const CHUNK: usize = 128 << 10;
/// How soon a thread blocked on a stalled connection sees that the transfer is over.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Socket buffers in bytes, as asked of the kernel (which doubles them for its own bookkeeping); `None` leaves the
/// kernel's auto-tuning on. Beyond the system's limits they take `CAP_NET_ADMIN`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffers {
    /// `SO_SNDBUF`.
    pub send: Option<usize>,
    /// `SO_RCVBUF`.
    pub receive: Option<usize>,
}

/// The receiving end of any number of flows.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens in the calling thread's network namespace at `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address is not of this namespace.
    pub fn open(address: SocketAddr, buffers: Buffers) -> Result<Self, Error> {
        let socket = open_socket(address, buffers)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
            .map_err(|source| Error::Bind { address, source })?;
        listen(&socket, Backlog::MAXCONN).map_err(|source| Error::Bind { address, source })?;
        let socket = TcpListener::from(socket);
        let address = socket
            .local_addr()
            .map_err(|error| Error::Option { option: "getsockname", source: errno(&error) })?;
        Ok(Self { socket, address })
    }

    /// Returns where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The sending end of one flow, not yet connected.
#[derive(Debug)]
pub struct Caller {
    socket: OwnedFd,
}

impl Caller {
    /// Opens the socket in the calling thread's network namespace, for a listener of `address`'s family.
    ///
    /// # Errors
    /// [`Error::Open`] when the kernel lacks the family.
    pub fn open(address: SocketAddr, buffers: Buffers) -> Result<Self, Error> {
        Ok(Self { socket: open_socket(address, buffers)? })
    }
}

/// How long to transfer.
#[derive(Clone, Copy, Debug)]
pub struct Bulk {
    /// Time before measuring begins: slow start, auto-tuning, a full bottleneck queue.
    pub warm_up: Duration,
    /// Time measured.
    pub duration: Duration,
}

/// What one flow achieved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Bits per second that the receiver read after the warm-up.
    pub goodput_bits_per_sec: f64,
    /// Segments sent again, in the whole life of the flow.
    pub retransmits: u32,
    /// Segments sent again after the warm-up.
    pub retransmits_measured: u32,
    /// Data segments sent, those sent again included, in the whole life of the flow.
    pub segments_sent: u32,
    /// Congestion window at the end, in segments.
    pub cwnd_segments: u32,
    /// Bytes per segment.
    pub mss: u32,
    /// Smoothed round-trip time as TCP saw it at the end.
    pub rtt_us: u32,
    /// Least round-trip time as TCP saw it.
    pub rtt_min_us: u32,
    /// Receive window that the receiver last offered, in bytes; zero before Linux 6.2.
    pub window_bytes: u32,
}

/// What a transfer achieved.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each flow.
    pub flows: Vec<Flow>,
}

impl Report {
    /// Bits per second of all flows together.
    pub fn goodput_bits_per_sec(&self) -> f64 {
        self.flows.iter().map(|flow| flow.goodput_bits_per_sec).sum()
    }

    /// Share of the data segments that were repeats, 0 to 1.
    pub fn retransmit_share(&self) -> f64 {
        let sent: u64 = self.flows.iter().map(|flow| u64::from(flow.segments_sent)).sum();
        let again: u64 = self.flows.iter().map(|flow| u64::from(flow.retransmits)).sum();
        if sent == 0 { 0.0 } else { again as f64 / sent as f64 }
    }
}

/// Connects each caller, sends on all of them at once, and returns what the receiving ends got.
///
/// # Errors
/// [`Error::Connect`] and [`Error::Accept`] when a flow does not come about; [`Error::Send`] and [`Error::Receive`] when one
/// breaks.
pub fn run(listener: &Listener, callers: Vec<Caller>, bulk: &Bulk) -> Result<Report, Error> {
    let pairs = callers
        .into_iter()
        .map(|caller| connect_pair(listener, caller))
        .collect::<Result<Vec<_>, Error>>()?;
    let stop = AtomicBool::new(false);
    let measure_from_ns = now_ns() + nanos(bulk.warm_up);
    let measure_to_ns = measure_from_ns + nanos(bulk.duration);
    let flows = thread::scope(|scope| {
        let running: Vec<_> = pairs
            .iter()
            .map(|(sender, receiver)| {
                let sending = scope.spawn(|| send(sender, &stop));
                let receiving = scope.spawn(|| receive(receiver, measure_from_ns, measure_to_ns, &stop));
                (sender, sending, receiving)
            })
            .collect();
        sleep_until(measure_from_ns);
        let warm: Vec<_> = running.iter().map(|(sender, ..)| tcp_info(sender)).collect();
        sleep_until(measure_to_ns);
        let done: Vec<_> = running.iter().map(|(sender, ..)| tcp_info(sender)).collect();
        stop.store(true, Ordering::Release);
        running
            .into_iter()
            .zip(warm.into_iter().zip(done))
            .map(|((_, sending, receiving), (warm, done))| {
                let sent = sending.join().expect("a sending thread does not panic");
                let tally = receiving.join().expect("a receiving thread does not panic");
                sent?;
                Ok(flow(&tally?, &warm?, &done?))
            })
            .collect::<Result<Vec<_>, Error>>()
    })?;
    Ok(Report { flows })
}

fn flow(tally: &Tally, warm: &libc::tcp_info, done: &libc::tcp_info) -> Flow {
    Flow {
        goodput_bits_per_sec: tally.bits_per_sec(),
        retransmits: done.tcpi_total_retrans,
        retransmits_measured: done.tcpi_total_retrans.wrapping_sub(warm.tcpi_total_retrans),
        segments_sent: done.tcpi_data_segs_out,
        cwnd_segments: done.tcpi_snd_cwnd,
        mss: done.tcpi_snd_mss,
        rtt_us: done.tcpi_rtt,
        rtt_min_us: done.tcpi_min_rtt,
        window_bytes: done.tcpi_snd_wnd,
    }
}

/// Connects before the next pair does, so that each accepted connection belongs to the caller before it.
fn connect_pair(listener: &Listener, caller: Caller) -> Result<(TcpStream, TcpStream), Error> {
    let address = listener.address;
    connect(caller.socket.as_raw_fd(), &SockaddrStorage::from(address))
        .map_err(|source| Error::Connect { address, source })?;
    let (receiver, _) = listener.socket.accept().map_err(|error| Error::Accept { source: errno(&error) })?;
    let sender = TcpStream::from(caller.socket);
    for (result, option) in [
        (sender.set_write_timeout(Some(STOP_CHECK)), "SO_SNDTIMEO"),
        (receiver.set_read_timeout(Some(STOP_CHECK)), "SO_RCVTIMEO"),
    ] {
        result.map_err(|error| Error::Option { option, source: errno(&error) })?;
    }
    // What is still queued at the end is dropped by a reset: a slow link would otherwise be busy with it for long.
    setsockopt(&sender, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })
        .map_err(|source| Error::Option { option: "SO_LINGER", source })?;
    Ok((sender, receiver))
}

fn send(mut stream: &TcpStream, stop: &AtomicBool) -> Result<(), Error> {
    let chunk = vec![0x5a; CHUNK];
    while !stop.load(Ordering::Acquire) {
        match stream.write(&chunk) {
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => {
                return Err(Error::Send { socket: SOCKET, source: errno(&error) });
            }
        }
    }
    Ok(())
}

/// Bytes read at two arrivals: the first after the warm-up and the last of the measured time.
///
/// Measured between arrivals and not between deadlines, so that a slow link's reading is not rounded to whole chunks.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    first: Option<(u64, u64)>,
    last: Option<(u64, u64)>,
}

impl Tally {
    fn bits_per_sec(&self) -> f64 {
        match (self.first, self.last) {
            (Some((from_ns, before)), Some((to_ns, after))) if to_ns > from_ns => {
                (after - before) as f64 * 8.0 / ((to_ns - from_ns) as f64 / 1e9)
            }
            _ => 0.0,
        }
    }
}

fn receive(mut stream: &TcpStream, from_ns: u64, to_ns: u64, stop: &AtomicBool) -> Result<Tally, Error> {
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    let mut tally = Tally::default();
    while !stop.load(Ordering::Acquire) {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => bytes += len as u64,
            Err(error) if is_timeout(&error) => continue,
            Err(error) => {
                return Err(Error::Receive { socket: SOCKET, source: errno(&error) });
            }
        }
        let now = now_ns();
        if now >= from_ns && now <= to_ns {
            tally.first.get_or_insert((now, bytes));
            tally.last = Some((now, bytes));
        }
    }
    Ok(tally)
}

fn tcp_info(stream: &TcpStream) -> Result<libc::tcp_info, Error> {
    sys::tcp_info(stream.as_fd()).map_err(|source| Error::Option { option: "TCP_INFO", source })
}

fn open_socket(address: SocketAddr, buffers: Buffers) -> Result<OwnedFd, Error> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|source| Error::Open { socket: SOCKET, source })?;
    // Set before the handshake, which fixes the window scale.
    if let Some(bytes) = buffers.send {
        set_buffer(&socket, sockopt::SndBufForce, sockopt::SndBuf, "SO_SNDBUF", bytes)?;
    }
    if let Some(bytes) = buffers.receive {
        set_buffer(&socket, sockopt::RcvBufForce, sockopt::RcvBuf, "SO_RCVBUF", bytes)?;
    }
    Ok(socket)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Returns the address as the standard library has it; `None` for a family other than IPv4 and IPv6.
pub(super) fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_over_loopback_all_move() {
        let buffers = Buffers { send: Some(256 << 10), receive: Some(256 << 10) };
        let listener = Listener::open(SocketAddr::from(([127, 0, 0, 1], 0)), buffers).unwrap();
        let callers = (0..2).map(|_| Caller::open(listener.address(), buffers).unwrap()).collect();
        let bulk = Bulk { warm_up: Duration::from_millis(20), duration: Duration::from_millis(100) };
        let report = run(&listener, callers, &bulk).unwrap();
        assert_eq!(report.flows.len(), 2);
        for flow in &report.flows {
            assert!(flow.goodput_bits_per_sec > 1e6 && flow.segments_sent > 0 && flow.mss > 0, "{flow:?}");
        }
        assert!(report.retransmit_share() < 0.01);
    }

    #[test]
    fn a_tally_measures_between_arrivals() {
        let tally = Tally { first: Some((1_000_000_000, 500)), last: Some((2_000_000_000, 125_500)) };
        assert!((tally.bits_per_sec() - 1e6).abs() < 1e-3);
        assert_eq!(Tally::default().bits_per_sec(), 0.0);
    }
}
