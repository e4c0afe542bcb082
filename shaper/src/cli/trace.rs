//! `shaper trace`: what becomes of each packet, as it happens.

mod form;
mod line;
mod sink;

use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::args::TraceArgs;
use super::exit::{Code, Failure};
use super::{failure, output, target};
use crate::attachment::{Attachment, Survey};
use crate::measure::clock;
use crate::netlink::Socket;
use crate::probe::{self, Cap};
use crate::shape::{Direction, Named as _};
use crate::signals;
use crate::target::Target;
use crate::target::netns::Netns;
use crate::trace::{self, LEASE_NS, Packet, Renewed, Tracer, Wall};
use crate::units::Delay;
use form::Form;
use line::Note;
use sink::Sink;

/// A quarter of the lease: it survives three that come too late.
const RENEW_NS: u64 = LEASE_NS / 4;
/// Events to read before looking at anything else.
const BATCH: usize = 1024;

pub(super) fn run(args: TraceArgs) -> Result<(), Failure> {
    let Some(target) = target::of(&args.target)? else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!(target::WHICH)));
    };
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let netns = target.open().map_err(failure::netns)?;
    let attachments = attachments(&args, &target, &netns)?;
    // While signals still end the process: a pipe is waited for.
    let sink = args.pcapng.as_deref().map_or(Ok(Sink::Stdout), Sink::open)?;
    let signals = signals::take().map_err(failed)?;
    let mut sources = Vec::new();
    for (interface, found) in (0..).zip(attachments) {
        let tracer = Tracer::start(found).map_err(of_trace)?;
        sources.push(Source { tracer, interface, missed: 0 });
    }
    sink.begin()?;
    for source in &sources {
        output::narrate(format_args!("tracing {} in `{target}`", line::what(&source.tracer)));
    }
    let form = Form::of(&args);
    let mut trace = Trace {
        form,
        sink,
        told: 0,
        left: args.count,
        missed: 0,
        waiting: vec![(0, form.opening(&sources))],
        wall: Wall::read(),
        netns,
    };
    let followed = trace.follow(&args, &mut sources, &signals);
    let ended = trace.end(&mut sources);
    output::narrate(format_args!("{} packets traced, {} missed", trace.told, trace.missed));
    followed.and(ended)
}

/// What the flags choose of what is shaped.
fn attachments(args: &TraceArgs, target: &Target, netns: &Netns) -> Result<Vec<Attachment>, Failure> {
    let mut survey = survey(netns)?;
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

fn survey(netns: &Netns) -> Result<Survey, Failure> {
    let mut socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
    Survey::take(&mut socket).map_err(failure::netlink)
}

/// One direction of one link.
struct Source {
    tracer: Tracer,
    /// Its place among all that were there at the beginning.
    interface: u32,
    missed: u64,
}

/// What was told so far, and how to go on.
struct Trace {
    form: Form,
    sink: Sink,
    told: u64,
    left: Option<u64>,
    missed: u64,
    /// With the time to sort by: several rings, and several processors that write to each, are read in turn.
    waiting: Vec<(u64, Vec<u8>)>,
    wall: Wall,
    netns: Netns,
}

impl Trace {
    fn follow(
        &mut self,
        args: &TraceArgs,
        sources: &mut Vec<Source>,
        signals: &SignalFd,
    ) -> Result<(), Failure> {
        let mut renew_at_ns = clock::now_ns() + RENEW_NS;
        loop {
            let mut is_behind = false;
            for source in &mut *sources {
                is_behind |= self.read(args, source)?;
            }
            let is_read = self.write()?;
            let ended = signals.read_signal().map_err(failed)?.is_some();
            if ended || !is_read || self.left == Some(0) {
                return Ok(());
            }
            let now_ns = clock::now_ns();
            if now_ns >= renew_at_ns {
                renew_at_ns = now_ns + RENEW_NS;
                self.renew(sources, now_ns)?;
                if sources.is_empty() {
                    return Ok(());
                }
            }
            let timeout_ns = if is_behind { 0 } else { renew_at_ns.saturating_sub(now_ns) };
            wait(sources, signals, timeout_ns).map_err(failed)?;
        }
    }

    /// Writes what waits, in the order of time; says whether anybody still reads.
    fn write(&mut self) -> Result<bool, Failure> {
        self.waiting.sort_by_key(|(at_ns, _)| *at_ns);
        let bytes: Vec<u8> = self.waiting.drain(..).flat_map(|(_, bytes)| bytes).collect();
        self.sink.write(&bytes)
    }

    /// Reads a batch of events; says whether there may be more.
    fn read(&mut self, args: &TraceArgs, source: &mut Source) -> Result<bool, Failure> {
        self.count_missed(source)?;
        for _ in 0..BATCH {
            if self.left == Some(0) {
                return Ok(false);
            }
            let Some(event) = source.tracer.take().map_err(of_trace)? else {
                return Ok(false);
            };
            let packet = Packet::read(&event, self.wall, source.tracer.rule(event.slot));
            if !args.fates.is_empty() && !packet.has_any(&args.fates) {
                continue;
            }
            let told = self.form.packet(source, &event, &packet, self.wall)?;
            self.waiting.push((event.arrival_ns, told));
            self.told += 1;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(true)
    }

    fn count_missed(&mut self, source: &mut Source) -> Result<(), Failure> {
        let missed = source.tracer.missed();
        if missed > 0 {
            self.missed += missed;
            source.missed += missed;
            self.note(source, Note::Missed(missed))?;
        }
        Ok(())
    }

    /// Asks for more, of what is still there.
    fn renew(&mut self, sources: &mut Vec<Source>, now_ns: u64) -> Result<(), Failure> {
        for source in &mut *sources {
            if let Renewed::AfterNs(ns) = source.tracer.renew(now_ns).map_err(of_trace)? {
                self.note(source, Note::Blind(Delay::from_ns(ns)))?;
            }
        }
        if sources.iter().any(|source| !source.tracer.is_attached()) {
            let survey = survey(&self.netns)?;
            for source in sources.iter_mut().filter(|source| !source.tracer.is_attached()) {
                source.tracer.follow(&survey);
            }
        }
        for mut source in sources.extract_if(.., |source| !source.tracer.is_attached()) {
            output::narrate(format_args!("{} is shaped no more, or anew", line::what(&source.tracer)));
            self.close(&mut source)?;
        }
        Ok(())
    }

    fn note(&mut self, source: &Source, note: Note) -> Result<(), Failure> {
        let told = self.form.note(source, note)?;
        self.waiting.push((clock::now_ns(), told));
        Ok(())
    }

    /// Says what there is to say of a source of which nothing more is told.
    fn close(&mut self, source: &mut Source) -> Result<(), Failure> {
        self.count_missed(source)?;
        let now_ns = clock::now_ns();
        self.waiting.push((now_ns, self.form.ending(source, self.wall.unix_ns(now_ns))));
        Ok(())
    }

    fn end(&mut self, sources: &mut [Source]) -> Result<(), Failure> {
        for source in sources {
            self.close(source)?;
        }
        self.write().map(drop)
    }
}

/// Waits for an event or a signal.
fn wait(sources: &[Source], signals: &SignalFd, timeout_ns: u64) -> Result<(), Errno> {
    let fds = sources.iter().map(|source| source.tracer.fd()).chain([signals.as_fd()]);
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
