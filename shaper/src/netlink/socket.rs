//! The one netlink socket: requests, batches and dumps, with every answer matched to its question.

use std::io;

use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::attr::Attributes;
use super::error::Error;
use super::message::{HEADER_LEN, Message, Reply};
use super::uapi::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLMSGERR_ATTR_MSG};

const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
const NLM_F_DUMP: u16 = libc::NLM_F_DUMP as u16;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;

/// The kernel fills up to 32 KiB per datagram of a dump when the reader has room for it.
const BUFFER_LEN: usize = 32 * 1024;

/// A batch must fit in the send queue, and its acknowledgements, of up to 1 KiB each, in the receive queue, because all
/// of them are there before the first is read: this is room for some thousands of messages.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// How often a dump that changed underway is read again.
const DUMP_TRIES: usize = 10;

/// A route netlink socket, bound to the namespace in which it was opened, whatever thread uses it later.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`Error::Open`].
    ///
    /// # Kernel
    ///
    /// Extended acks need 4.12 and strict checking 4.20; both are used where they exist.
    pub fn open() -> Result<Self, Error> {
        let open = |error: io::Error| Error::Open { errno: errno_of(&error) };
        let mut inner = netlink_sys::Socket::new(NETLINK_ROUTE).map_err(open)?;
        inner.bind_auto().map_err(open)?;
        inner.connect(&SocketAddr::new(0, 0)).map_err(open)?;
        // Absent from old kernels, which then answer with less text and more bytes: nothing here depends on them.
        let _ = inner.set_ext_ack(true);
        let _ = inner.set_cap_ack(true);
        let _ = inner.set_netlink_get_strict_chk(true);
        // Only the privileged may pass the system's limit; the others get up to it.
        if setsockopt(&inner, sockopt::RcvBufForce, &QUEUE_BYTES).is_err() {
            let _ = setsockopt(&inner, sockopt::RcvBuf, &QUEUE_BYTES);
        }
        if setsockopt(&inner, sockopt::SndBufForce, &QUEUE_BYTES).is_err() {
            let _ = setsockopt(&inner, sockopt::SndBuf, &QUEUE_BYTES);
        }
        Ok(Self { inner, sequence: 0, buffer: vec![0; BUFFER_LEN] })
    }

    /// Sends one message and waits until the kernel has done it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the kernel's reason, [`Error::Send`], [`Error::Receive`].
    pub fn request(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.batch(vec![message])
    }

    /// Sends messages in one system call, so that nothing, not even SIGKILL, comes between them.
    ///
    /// The kernel does them in order and does **not** stop at one that it refuses.
    ///
    /// # Errors
    ///
    /// The first refusal, as [`Error::Refused`] with its index, after all acknowledgements were read;
    /// [`Error::Send`] (nothing was done), [`Error::Receive`].
    pub fn batch(&mut self, messages: Vec<Message<'_>>) -> Result<(), Error> {
        let Some(first_message) = messages.first() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        let first_sequence = self.sequence.wrapping_add(1);
        for message in &messages {
            self.sequence = self.sequence.wrapping_add(1);
            message.encode(NLM_F_REQUEST | NLM_F_ACK, self.sequence, &mut bytes);
        }
        self.send(&bytes, first_message)?;

        let mut first_error = None;
        let mut unanswered = messages.len();
        while unanswered > 0 {
            for frame in self.receive(first_message)? {
                let index = frame.sequence.wrapping_sub(first_sequence) as usize;
                let Some(message) = messages.get(index) else {
                    continue;
                };
                let Some(verdict) = frame.verdict() else { continue };
                unanswered -= 1;
                if let Err(refusal) = verdict
                    && first_error.is_none()
                {
                    first_error = Some(refusal.into_error(message, index));
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Asks for one object.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `ENODEV` or `ENOENT` when there is none, [`Error::Send`], [`Error::Receive`].
    pub fn get(&mut self, message: Message<'_>) -> Result<Reply, Error> {
        let sequence = self.send_one(NLM_F_REQUEST, &message)?;
        loop {
            for frame in self.receive(&message)? {
                if frame.sequence != sequence {
                    continue;
                }
                match frame.verdict() {
                    None => {
                        return Ok(Reply { kind: frame.kind, body: frame.body });
                    }
                    Some(Err(refusal)) => return Err(refusal.into_error(&message, 0)),
                    Some(Ok(())) => {
                        let operation = message.operation().to_owned();
                        return Err(Error::Receive { operation, errno: Errno::ENODATA });
                    }
                }
            }
        }
    }

    /// Asks for all objects of a kind, as one consistent list.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Send`], [`Error::Receive`]; [`Error::Unstable`] when the kernel reported at each
    /// of ten tries that the list changed while it was read.
    pub fn dump(&mut self, message: Message<'_>) -> Result<Vec<Reply>, Error> {
        for _ in 0..DUMP_TRIES {
            if let Some(replies) = self.dump_once(&message)? {
                return Ok(replies);
            }
        }
        Err(Error::Unstable { operation: message.operation().to_owned() })
    }

    /// Reads a dump to its end; `None` when it was inconsistent.
    fn dump_once(&mut self, message: &Message<'_>) -> Result<Option<Vec<Reply>>, Error> {
        let sequence = self.send_one(NLM_F_REQUEST | NLM_F_DUMP, message)?;
        let mut replies = Vec::new();
        let mut interrupted = false;
        loop {
            for frame in self.receive(message)? {
                if frame.sequence != sequence {
                    continue;
                }
                interrupted |= frame.flags & NLM_F_DUMP_INTR != 0;
                match frame.verdict() {
                    None => replies.push(Reply { kind: frame.kind, body: frame.body }),
                    Some(Ok(())) => return Ok((!interrupted).then_some(replies)),
                    Some(Err(refusal)) => return Err(refusal.into_error(message, 0)),
                }
            }
        }
    }

    fn send_one(&mut self, flags: u16, message: &Message<'_>) -> Result<u32, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        message.encode(flags, self.sequence, &mut bytes);
        self.send(&bytes, message)?;
        Ok(self.sequence)
    }

    fn send(&self, bytes: &[u8], message: &Message<'_>) -> Result<(), Error> {
        match retry(|| self.inner.send(bytes, 0)) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Error::Send { operation: message.operation().to_owned(), errno }),
        }
    }

    /// Reads one datagram, however large it is.
    fn receive(&mut self, message: &Message<'_>) -> Result<Vec<Frame>, Error> {
        let failed = |errno| Error::Receive { operation: message.operation().to_owned(), errno };
        let inner = &self.inner;
        let buffer = &mut self.buffer;
        let waiting =
            retry(|| inner.recv(&mut &mut buffer[..], libc::MSG_PEEK | libc::MSG_TRUNC)).map_err(failed)?;
        if waiting > buffer.len() {
            buffer.resize(waiting.next_power_of_two(), 0);
        }
        let len = retry(|| inner.recv(&mut &mut buffer[..], 0)).map_err(failed)?;
        Ok(frames(&self.buffer[..len]))
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match call() {
            Ok(len) => return Ok(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(errno_of(&error)),
        }
    }
}

/// One netlink message of a datagram.
struct Frame {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: Vec<u8>,
}

impl Frame {
    /// Returns how the exchange ended, when this frame ends it.
    fn verdict(&self) -> Option<Result<(), Refusal>> {
        if self.kind != NLMSG_ERROR && self.kind != NLMSG_DONE {
            return None;
        }
        let (code, rest) = self.body.split_first_chunk().unwrap_or((&[0; 4], &[]));
        match i32::from_ne_bytes(*code) {
            code if code < 0 => {
                let errno = Errno::from_raw(code.saturating_neg());
                Some(Err(Refusal { errno, ext_ack: self.ext_ack(rest) }))
            }
            _ => Some(Ok(())),
        }
    }

    fn ext_ack(&self, rest: &[u8]) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        // An error repeats the request, cut to its header when capped; the end of a dump repeats nothing.
        let repeated = match self.kind {
            NLMSG_DONE => 0,
            _ if self.flags & NLM_F_CAPPED != 0 => HEADER_LEN,
            _ => u32::from_ne_bytes(*rest.first_chunk()?) as usize,
        };
        let attributes = Attributes::new(rest.get(repeated.next_multiple_of(4)..)?);
        attributes.find_kind(NLMSGERR_ATTR_MSG).map(|text| text.text())
    }
}

/// A verdict of no.
struct Refusal {
    errno: Errno,
    ext_ack: Option<String>,
}

impl Refusal {
    fn into_error(self, message: &Message<'_>, index: usize) -> Error {
        let Refusal { errno, ext_ack } = self;
        Error::Refused { operation: message.operation().to_owned(), errno, ext_ack, index }
    }
}

/// Cuts a datagram into its messages; what is cut short at the end is left out.
fn frames(datagram: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = datagram;
    while let Some((header, _)) = rest.split_first_chunk::<HEADER_LEN>() {
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(body) = rest.get(HEADER_LEN..len) else {
            break;
        };
        frames.push(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body: body.to_vec(),
        });
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    frames
}
