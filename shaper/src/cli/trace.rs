//! `shaper trace`: what becomes of each packet, as it happens.

mod line;

use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::args::TraceArgs;
use super::exit::{Code, Failure};
use super::{failure, output};
use crate::attachment::{Attachment, Survey};
use crate::measure::clock;
use crate::netlink::Socket;
use crate::probe::{self, Cap};
use crate::shape::{Direction, Named as _};
use crate::signals;
use crate::target::Target;
use crate::trace::{self, LEASE_NS, Packet, Renewed, Tracer, Wall};
use crate::units::Delay;

/// A quarter of the lease: it survives three that come too late.
const RENEW_NS: u64 = LEASE_NS / 4;
/// Events to read before looking at anything else.
const BATCH: usize = 1024;

pub(super) fn run(args: TraceArgs) -> Result<(), Failure> {
    let Some(target) = args.target.target() else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("say which namespace: --ns, --pid or --self")));
    };
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let signals = signals::take().map_err(failed)?;
    let tracers = attachments(&args, &target)?
        .into_iter()
        .map(|found| Tracer::start(found).map_err(of_trace))
        .collect::<Result<Vec<_>, _>>()?;
    for tracer in &tracers {
        output::narrate(format_args!("tracing {} in `{target}`", line::what(tracer)));
    }
    let mut trace = Trace {
        json: args.json,
        printed: 0,
        left: args.count,
        missed: 0,
        lines: Vec::new(),
        wall: Wall::read(),
    };
    let result = trace.follow(&args, tracers, &signals);
    output::narrate(format_args!("{} packets traced, {} missed", trace.printed, trace.missed));
    result
}

/// What the flags choose of what is shaped.
fn attachments(args: &TraceArgs, target: &Target) -> Result<Vec<Attachment>, Failure> {
    let netns = target.open().map_err(failure::netns)?;
    let mut socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
    let mut survey = Survey::take(&mut socket).map_err(failure::netlink)?;
    if let Some(dev) = &args.dev {
        crate::target::link::choose(&survey.links, Some(dev))
            .map_err(|error| Failure::new(Code::Usage, error).context(format!("namespace `{target}`")))?;
    }
    survey.attachments.retain(|found| {
        args.direction.each().contains(&found.direction)
            && args.dev.as_ref().is_none_or(|dev| *dev == found.link.name)
    });
    if survey.attachments.is_empty() {
        let direction = match args.direction {
            Direction::Both => String::new(),
            one => format!("{} of ", one.name()),
        };
        let link = args.dev.as_ref().map_or("no link".to_owned(), |dev| format!("`{dev}`"));
        let verb = if args.dev.is_some() { "is not shaped" } else { "is shaped" };
        let error = anyhow::anyhow!("{direction}{link} in `{target}` {verb}");
        return Err(Failure::new(Code::Failed, error)
            .hint("`shaper apply` shapes it, `shaper show` says what is shaped"));
    }
    Ok(survey.attachments)
}

/// What was printed so far, and how to go on.
struct Trace {
    json: bool,
    printed: u64,
    left: Option<u64>,
    missed: u64,
    /// With the time to sort by: several rings, and several processors that write to each, are read in turn.
    lines: Vec<(u64, String)>,
    wall: Wall,
}

impl Trace {
    fn follow(
        &mut self,
        args: &TraceArgs,
        mut tracers: Vec<Tracer>,
        signals: &SignalFd,
    ) -> Result<(), Failure> {
        let mut renew_at_ns = clock::now_ns() + RENEW_NS;
        loop {
            let mut is_behind = false;
            for tracer in &mut tracers {
                is_behind |= self.read(args, tracer)?;
            }
            self.lines.sort_by_key(|(at_ns, _)| *at_ns);
            let text: String = self.lines.drain(..).map(|(_, line)| line).collect();
            let is_read = output::stream(&text)?;
            let ended = signals.read_signal().map_err(failed)?.is_some();
            if ended || !is_read || self.left == Some(0) {
                return Ok(());
            }
            let now_ns = clock::now_ns();
            if now_ns >= renew_at_ns {
                renew_at_ns = now_ns + RENEW_NS;
                self.renew(&mut tracers, now_ns)?;
                if tracers.is_empty() {
                    return Ok(());
                }
            }
            let timeout_ns = if is_behind { 0 } else { renew_at_ns.saturating_sub(now_ns) };
            wait(&tracers, signals, timeout_ns).map_err(failed)?;
        }
    }

    /// Reads a batch of events; says whether there may be more.
    fn read(&mut self, args: &TraceArgs, tracer: &mut Tracer) -> Result<bool, Failure> {
        let missed = tracer.missed();
        if missed > 0 {
            self.missed += missed;
            self.note(tracer, line::Note::Missed(missed))?;
        }
        for _ in 0..BATCH {
            if self.left == Some(0) {
                return Ok(false);
            }
            let Some(event) = tracer.take().map_err(of_trace)? else {
                return Ok(false);
            };
            let packet = Packet::read(&event, self.wall);
            if !args.fates.is_empty() && !packet.has_any(&args.fates) {
                continue;
            }
            let line = if self.json { line::json(tracer, &packet)? } else { line::text(tracer, &packet) };
            self.lines.push((event.arrival_ns, line));
            self.printed += 1;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(true)
    }

    /// Asks for more, of what is still there.
    fn renew(&mut self, tracers: &mut Vec<Tracer>, now_ns: u64) -> Result<(), Failure> {
        for tracer in &mut *tracers {
            if let Renewed::AfterNs(ns) = tracer.renew(now_ns).map_err(of_trace)? {
                self.note(tracer, line::Note::Blind(Delay::from_ns(ns)))?;
            }
        }
        tracers.retain(|tracer| {
            let is_attached = tracer.is_attached();
            if !is_attached {
                output::narrate(format_args!("{} is shaped no more, or anew", line::what(tracer)));
            }
            is_attached
        });
        Ok(())
    }

    fn note(&mut self, tracer: &Tracer, note: line::Note) -> Result<(), Failure> {
        if self.json {
            self.lines.push((clock::now_ns(), line::json(tracer, &note)?));
        } else {
            output::narrate(format_args!("{}: {note}", line::what(tracer)));
        }
        Ok(())
    }
}

/// Waits for an event or a signal.
fn wait(tracers: &[Tracer], signals: &SignalFd, timeout_ns: u64) -> Result<(), Errno> {
    let fds = tracers.iter().map(Tracer::fd).chain([signals.as_fd()]);
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let timeout = PollTimeout::try_from(Duration::from_nanos(timeout_ns)).unwrap_or(PollTimeout::ZERO);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn failed(errno: Errno) -> Failure {
    Failure::new(Code::Failed, errno).context("cannot wait for packets")
}

fn of_trace(error: trace::Error) -> Failure {
    match error {
        trace::Error::Bpf(error) => failure::bpf(error),
        trace::Error::Held { .. } => Failure::new(Code::Failed, error)
            .hint("one process at a time can; one that was killed is forgotten after 2s"),
        trace::Error::Displaced { .. } => Failure::new(Code::Failed, error),
    }
}
