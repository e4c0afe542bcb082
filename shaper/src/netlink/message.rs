//! Requests to the kernel and what it sends back.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use super::attr::{Attributes, Writer};

/// `struct nlmsghdr`: length, type, flags, sequence, port.
pub(super) const HEADER_LEN: usize = 16;

/// A request to the kernel, complete except for the sequence number that the socket gives it.
///
/// `'fd` is the life of the file descriptors whose numbers are in the message: they must be open when it is sent.
#[derive(Debug, Clone)]
pub struct Message<'fd> {
    kind: u16,
    flags: u16,
    body: Writer,
    operation: String,
    command: String,
    fds: PhantomData<BorrowedFd<'fd>>,
}

impl Message<'_> {
    /// Starts a message of the type `kind` (`RTM_*`) with `flags` (`NLM_F_*`) besides those the socket adds.
    ///
    /// `operation` completes the sentence "cannot ..."; `command` is the iproute2 command that does the same.
    pub fn new(kind: u16, flags: i32, operation: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            kind,
            flags: u16::try_from(flags).expect("NLM_F_* fit in 16 bits"),
            body: Writer::new(),
            operation: operation.into(),
            command: command.into(),
            fds: PhantomData,
        }
    }

    /// Returns the message type (`RTM_*`).
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Returns the flags (`NLM_F_*`) that the socket does not add by itself.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Returns what is being tried, as it follows "cannot".
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Returns the iproute2 command that does the same.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns everything after the netlink header.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// Gives the writer of everything after the netlink header.
    pub fn body_mut(&mut self) -> &mut Writer {
        &mut self.body
    }

    /// Appends the whole message with its header to `out`.
    pub(super) fn encode(&self, extra_flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let len = u32::try_from(HEADER_LEN + self.body().len()).expect("a message is shorter than 4 GiB");
        out.extend_from_slice(&len.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&(self.flags | extra_flags).to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&0u32.to_ne_bytes());
        out.extend_from_slice(self.body());
    }
}

/// One object as the kernel described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message type (`RTM_*`).
    pub kind: u16,
    /// Everything after the netlink header.
    pub body: Vec<u8>,
}

impl Reply {
    /// Splits the body into its fixed struct of `N` bytes and the attributes; `None` when it is shorter than that.
    pub fn split<const N: usize>(&self) -> Option<(&[u8; N], Attributes<'_>)> {
        let (fixed, rest) = self.body.split_first_chunk()?;
        Some((fixed, Attributes::new(rest)))
    }
}
