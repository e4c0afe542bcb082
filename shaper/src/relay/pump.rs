//! The relay's loop: read what arrives, hold it, send what is due.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signalfd::SignalFd;

use super::arena::Arena;
use super::damage;
use super::hold::{Held, Queue};
use super::intake::Intake;
use super::pace::{Pace, Rest};
use super::packet::{self, BATCH};
use super::report::Report;
use super::tap::{self, Read};
use super::tether::{self, Tether};
use super::vnet::{self, READ_LEN_MAX};
use super::wait::{self, Timer, Woken, now_ns};

/// Longest time between two heartbeats.
const BEAT_NS: u64 = 50_000_000;
/// Time between two looks at whether the link is there and somebody has the namespace.
const LOOK_NS: u64 = 1_000_000_000;
/// Most frames read before those due are sent.
const READ_BATCH: usize = 64;
/// Time after which a frame that the link had no room for is tried again.
const RETRY_NS: u64 = 100_000;
/// Longest time a link may refuse all frames: the relay stands in for the link's queue this long, and a link without carrier gets no backlog.
const RETRY_MAX_NS: u64 = 20_000_000;

/// Where due frames go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Out of the link.
    Link(packet::Sender),
    /// Back into the TAP, whose classifier gives them to the link as received.
    Tap,
}

/// What became of the frames due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// None was due, or the link has no room yet.
    None,
    /// Some went.
    Some,
    /// The link is gone.
    Gone,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The TAP is gone.
    TapGone,
    /// The link is gone.
    LinkGone,
    /// A signal, or nobody else is in the namespace.
    Told,
}

/// The relay at work.
pub(super) struct Pump {
    /// The clock when it was last looked at: after waking, after reading and after sending.
    now_ns: u64,
    intake: Intake,
    outlet: Outlet,
    link: Option<packet::Link>,
    signals: SignalFd,
    tether: tether::Watch,
    report: Report,
    timer: Timer,
    pace: Pace,
    arena: Arena,
    queue: Queue,
    /// Frames taken from the queue to be sent; those before `due_sent` have been.
    due: Vec<Held>,
    due_sent: usize,
    held_bytes: u64,
    retry_at_ns: u64,
    /// Since when the link has refused every frame.
    refused_since_ns: Option<u64>,
    beat_at_ns: u64,
    look_at_ns: u64,
    /// Departure times no longer count: everything held is due.
    flushing: bool,
}

/// What a [`Pump`] works on.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) tap: OwnedFd,
    pub(super) outlet: Outlet,
    /// The link, to see that it is there.
    pub(super) link: Option<packet::Link>,
    pub(super) signals: SignalFd,
    pub(super) tether: Tether,
    pub(super) report: Report,
}

impl Pump {
    pub(super) fn new(parts: Parts) -> Result<Self, Errno> {
        let Parts { tap, outlet, link, signals, tether, report } = parts;
        let now_ns = now_ns();
        let call_ns = wait::call_ns();
        Ok(Self {
            now_ns,
            intake: Intake::new(tap, call_ns),
            outlet,
            link,
            signals,
            tether: tether::Watch::new(tether),
            report,
            timer: Timer::new()?,
            pace: Pace::new(now_ns, call_ns),
            arena: Arena::new()?,
            queue: Queue::default(),
            due: Vec::with_capacity(BATCH),
            due_sent: 0,
            held_bytes: 0,
            retry_at_ns: 0,
            refused_since_ns: None,
            beat_at_ns: 0,
            look_at_ns: now_ns + LOOK_NS,
            flushing: false,
        })
    }

    /// Works until the TAP or the link is gone or a signal says to end; then sends what is held, at once and in order.
    pub(super) fn run(mut self) -> Result<(), Errno> {
        let mut readable = true;
        loop {
            if let Some(end) = self.beat() {
                return self.finish(end);
            }
            match self.send_due() {
                Sent::Gone => return self.finish(End::LinkGone),
                // While frames were sent others may have arrived: looking is cheaper than a sleep that ends at once.
                Sent::Some => readable = true,
                Sent::None => {}
            }
            if readable {
                match self.read()? {
                    Read::Frame(_) | Read::Unreadable => {
                        self.now_ns = now_ns();
                        continue;
                    }
                    Read::Empty => readable = false,
                    Read::Gone => return self.finish(End::TapGone),
                }
            }
            match self.rest()? {
                Woken::Gone => return self.finish(End::TapGone),
                Woken::ByClock => {}
                Woken::ToRead => readable = true,
            }
        }
    }

    /// Waits for a departure, an arrival or the next heartbeat.
    fn rest(&mut self) -> Result<Woken, Errno> {
        match self.pace.rest(self.now_ns, self.next_departure_ns(), self.beat_at_ns) {
            Rest::Spin(until_ns) => {
                self.now_ns = wait::spin(until_ns);
                Ok(Woken::ByClock)
            }
            Rest::Wait(until_ns) => {
                let woken = self.timer.sleep(self.intake.tap(), until_ns)?;
                self.now_ns = now_ns();
                if woken == Woken::ByClock {
                    self.pace.woke(until_ns, self.now_ns);
                }
                Ok(woken)
            }
            Rest::Doze(until_ns) => {
                wait::doze(until_ns)?;
                self.now_ns = now_ns();
                Ok(Woken::ToRead)
            }
        }
    }

    /// When the next frame is to be sent, or tried again.
    fn next_departure_ns(&self) -> Option<u64> {
        if self.due_sent < self.due.len() { Some(self.retry_at_ns) } else { self.queue.next_departure_ns() }
    }

    /// Tells that the relay lives and, now and then, looks whether it should end.
    fn beat(&mut self) -> Option<End> {
        let now_ns = self.now_ns;
        self.report.beat(now_ns);
        if now_ns < self.beat_at_ns {
            return None;
        }
        self.beat_at_ns = now_ns + BEAT_NS;
        if matches!(self.signals.read_signal(), Ok(Some(_))) {
            return Some(End::Told);
        }
        if now_ns >= self.look_at_ns {
            self.look_at_ns = now_ns + LOOK_NS;
            self.queue.shrink();
            if self.link.as_ref().is_some_and(|link| !link.is_there()) {
                return Some(End::LinkGone);
            }
            if self.tether.is_cut() {
                return Some(End::Told);
            }
        }
        None
    }

    /// Reads a batch of frames: `Frame` when there may be more.
    fn read(&mut self) -> Result<Read, Errno> {
        let mut last = Read::Empty;
        let mut left = READ_BATCH;
        let (frames_max, bytes_max) = self.report.held_max();
        while left > 0 {
            for (slot, read) in self.intake.read(self.arena.room()?).iter().enumerate() {
                last = *read;
                let Read::Frame(len) = last else {
                    if last == Read::Unreadable {
                        self.report.send_error();
                    }
                    continue;
                };
                left = left.saturating_sub(1);
                let start = slot * READ_LEN_MAX;
                let frame = &mut self.arena.last_room()[start..start + len];
                let Some(stripped) = vnet::strip(frame) else {
                    self.report.send_error();
                    continue;
                };
                if stripped.corrupt != 0 {
                    damage::flip(&mut frame[stripped.range.clone()], stripped.corrupt);
                }
                let len = stripped.range.len() as u64;
                let held = (self.queue.len() + self.due.len() - self.due_sent) as u64;
                if held >= frames_max || self.held_bytes + len > bytes_max {
                    self.report.full_drop();
                    continue;
                }
                let span = self.arena.keep(start + stripped.range.start..start + stripped.range.end);
                self.held_bytes += len;
                self.queue.push(Held { departure_ns: stripped.departure_ns, span });
            }
            if !matches!(last, Read::Frame(_)) {
                break;
            }
        }
        if self.arena.is_sparse() {
            let mut moved = Ok(());
            for held in &mut self.due[self.due_sent..] {
                moved = moved.and(self.arena.relocate(&mut held.span));
            }
            self.queue.relocate_all(|span| moved = moved.and_then(|()| self.arena.relocate(span)));
            moved?;
        }
        self.report_held();
        Ok(last)
    }

    /// Sends what is due.
    fn send_due(&mut self) -> Sent {
        let mut sent = Sent::None;
        loop {
            let now_ns = self.now_ns;
            if self.due_sent == self.due.len() {
                let due_ns = if self.flushing { u64::MAX } else { now_ns };
                self.due.clear();
                self.due_sent = 0;
                self.due.extend(std::iter::from_fn(|| self.queue.pop_due(due_ns)).take(BATCH));
                if self.due.is_empty() {
                    break;
                }
            } else if now_ns < self.retry_at_ns {
                break;
            }
            match self.send_batch() {
                Ok(()) => {
                    self.refused_since_ns = None;
                    sent = Sent::Some;
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) if !self.is_hopeless(now_ns) => {
                    self.retry_at_ns = now_ns + RETRY_NS;
                    break;
                }
                Err(Errno::ENXIO | Errno::ENODEV) => return Sent::Gone,
                Err(_) => {
                    self.report.send_error();
                    self.release(1);
                }
            }
        }
        sent
    }

    /// Says of the next frame, just refused, whether there is no point in trying it again.
    ///
    /// The frame's own lateness does not do: a relay that was itself late would not try once more.
    fn is_hopeless(&mut self, now_ns: u64) -> bool {
        let since_ns = *self.refused_since_ns.get_or_insert(now_ns);
        let departure_ns = self.due[self.due_sent].departure_ns;
        since_ns.max(departure_ns).saturating_add(RETRY_MAX_NS) < now_ns
    }

    /// Sends what it can of `due` in one call (into the TAP: one call each); the error is that of the first frame not sent.
    fn send_batch(&mut self) -> Result<(), Errno> {
        let start_ns = self.now_ns;
        let due = &self.due[self.due_sent..];
        let frames = due.iter().map(|held| self.arena.frame(held.span));
        let (count, result) = match &mut self.outlet {
            Outlet::Link(sender) => match sender.send(frames) {
                Ok(count) => (count, Ok(())),
                Err(errno) => (0, Err(errno)),
            },
            Outlet::Tap => {
                let mut count = 0;
                let mut result = Ok(());
                for frame in frames {
                    result = tap::write(self.intake.tap(), frame);
                    if result.is_err() {
                        break;
                    }
                    count += 1;
                }
                (count, result)
            }
        };
        if count > 0 {
            self.now_ns = now_ns();
            let each_ns = (self.now_ns - start_ns) / count as u64;
            let mut at_ns = start_ns;
            let mut bytes = 0;
            for held in &due[..count] {
                bytes += u64::from(held.span.len);
                self.report.late(at_ns.saturating_sub(held.departure_ns));
                at_ns += each_ns;
            }
            self.report.sent(count as u64, bytes);
            self.release(count);
        }
        result
    }

    /// Ends the next `count` frames of `due`.
    fn release(&mut self, count: usize) {
        for held in &self.due[self.due_sent..self.due_sent + count] {
            self.held_bytes -= u64::from(held.span.len);
            self.arena.free(held.span);
        }
        self.due_sent += count;
        self.report_held();
    }

    fn held_frames(&self) -> u64 {
        (self.queue.len() + self.due.len() - self.due_sent) as u64
    }

    fn report_held(&self) {
        self.report.held(self.held_frames(), self.held_bytes);
    }

    /// Sends what is held, and what still waits in the TAP, at once and in order.
    fn finish(mut self, end: End) -> Result<(), Errno> {
        if end == End::LinkGone {
            return Ok(());
        }
        while end == End::Told && matches!(self.read()?, Read::Frame(_) | Read::Unreadable) {}
        self.flushing = true;
        self.retry_at_ns = 0;
        let until_ns = self.now_ns + RETRY_MAX_NS;
        loop {
            if self.send_due() == Sent::Gone || self.held_frames() == 0 || self.now_ns > until_ns {
                return Ok(());
            }
            wait::doze(self.now_ns + RETRY_NS)?;
            self.now_ns = now_ns();
        }
    }
}

#[cfg(test)]
mod tests;
