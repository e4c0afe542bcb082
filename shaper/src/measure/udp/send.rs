//! The sending end of a train.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::{Line, SOCKET, Sender, Train, packet};
use crate::measure::Error;
use crate::measure::clock::{nanos, now_ns, prompt_wakeups, sleep_until};
use crate::measure::sys::{self, BATCH};

/// How often a sender whose window is full looks whether it still is.
const WINDOW_CHECK_NS: u64 = 20_000;
/// How long a window may stay full before its packets count as lost: longer than any machine keeps the receiver from reading.
const WINDOW_STALL_NS: u64 = 100_000_000;

/// What was handed to the kernel.
#[derive(Debug)]
pub(super) struct Sent {
    /// When, by sequence number.
    pub(super) departures_ns: Vec<u64>,
    /// How many of them the kernel refused.
    pub(super) refused: usize,
}

pub(super) fn train(sender: &Sender, number: u32, train: &Train, line: &Line) -> Result<Sent, Error> {
    prompt_wakeups();
    let interval_ns = nanos(train.interval);
    let mut packets = vec![vec![0_u8; train.payload]; BATCH];
    let mut departures_ns = Vec::with_capacity(train.count);
    let mut refused = 0;
    let mut window = train.window.map(|size| Window { size, base: 0 });
    let start_ns = now_ns();
    while departures_ns.len() < train.count {
        let next = departures_ns.len();
        let mut due = (train.count - next).min(BATCH);
        if interval_ns > 0 {
            sleep_until(start_ns + next as u64 * interval_ns);
            let by_now = (now_ns() - start_ns) / interval_ns + 1;
            due = due.min((by_now as usize).saturating_sub(next).max(1));
        }
        if let Some(window) = &mut window {
            due = due.min(window.wait(next, line));
        }
        for (offset, packet) in packets[..due].iter_mut().enumerate() {
            packet::write(packet, number, (next + offset) as u32);
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
    Ok(Sent { departures_ns, refused })
}

/// Keeps no more than so many packets on their way.
#[derive(Debug)]
struct Window {
    size: usize,
    /// Packets before this one have arrived or are given up.
    base: usize,
}

impl Window {
    /// Waits until the window has room for a batch, or half of it where it is smaller than two, and returns the room.
    fn wait(&mut self, next: usize, line: &Line) -> usize {
        let enough = BATCH.min(self.size.div_ceil(2)).max(1);
        let stalled_ns = now_ns() + WINDOW_STALL_NS;
        loop {
            self.base = self.base.max(line.reached.load(Ordering::Acquire));
            let room = (self.base + self.size).saturating_sub(next);
            if room >= enough {
                return room;
            }
            let now_ns = now_ns();
            if now_ns >= stalled_ns {
                self.base = next;
            } else {
                sleep_until(now_ns + WINDOW_CHECK_NS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, AtomicUsize};

    #[test]
    fn a_window_lets_through_what_the_receiver_has_made_room_for() {
        let line = Line { last_call_ns: AtomicU64::new(0), reached: AtomicUsize::new(40) };
        let mut window = Window { size: 100, base: 0 };
        assert_eq!(window.wait(80, &line), 60);
    }

    #[test]
    fn a_window_whose_packets_were_all_lost_opens_again() {
        let line = Line { last_call_ns: AtomicU64::new(0), reached: AtomicUsize::new(0) };
        let mut window = Window { size: 100, base: 0 };
        assert_eq!(window.wait(100, &line), 100);
    }
}
