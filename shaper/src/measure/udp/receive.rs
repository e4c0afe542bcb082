//! The receiving end of a train.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::{TimeSpec, TimeValLike};

use super::packet::{self, Content};
use super::{Arrival, Line, Receiver, SOCKET, Train};
use crate::measure::Error;
use crate::measure::clock::{nanos, now_ns, prompt_wakeups};
use crate::measure::sys::Inbox;

/// How often a receiver without packets looks whether the sender is through.
const IDLE_CHECK_NS: i64 = 2_000_000;

/// What came out of the socket.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) damaged: usize,
}

pub(super) fn train(receiver: &Receiver, number: u32, train: &Train, line: &Line) -> Result<Received, Error> {
    prompt_wakeups();
    // One byte more than a packet has, to see one that is too long.
    let mut inbox = Inbox::new(train.payload + 1);
    let mut received = Received { arrivals: Vec::with_capacity(train.count), damaged: 0 };
    let mut seen = vec![false; train.count];
    let mut missing = train.count;
    let mut end_ns = if missing == 0 { 0 } else { u64::MAX };
    while now_ns() < end_ns.min(line.last_call_ns.load(Ordering::Acquire)) {
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
            let sequence = match packet::read(packet, number, train.payload) {
                Content::Intact { sequence } => sequence,
                Content::Damaged => {
                    received.damaged += 1;
                    continue;
                }
                Content::Straggler => continue,
            };
            let Some(seen) = seen.get_mut(sequence as usize) else {
                continue;
            };
            missing -= usize::from(!*seen);
            *seen = true;
            received.arrivals.push(Arrival { sequence, at_ns });
            line.reached.fetch_max(sequence as usize + 1, Ordering::Release);
        }
        if missing == 0 && end_ns == u64::MAX {
            end_ns = now_ns().saturating_add(nanos(train.linger));
        }
    }
    Ok(received)
}
