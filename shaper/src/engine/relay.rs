//! `relay`: a TAP takes the packets out of the kernel, and a process gives them back at their time.
//!
//! ```text
//! egress:   eth0 clsact egress: shaper_steer ─▶ TAP egress: shaper_stamp ─▶ relay ─▶ packet socket, below the classifier
//! ingress:  eth0 clsact ingress: shaper_steer ─▶ TAP egress: shaper_stamp ─▶ relay ─▶ TAP ingress: shaper_return ─▶ eth0
//! ```
//!
//! Everything that needs a privilege is opened here and inherited. The TAP goes with the relay that holds it, and the relay
//! ends when its TAP is deleted, so neither needs to find the other.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shaper_common::abi::{self, Direction, Link as Record, RelayReport, program};

use crate::attachment::{self, Attachment, FILTER_HANDLE, PREF};
use crate::bpf::object::Programs;
use crate::bpf::{self, Maps, Object};
use crate::netlink::link::{self, AddrGenMode, Device, Settings};
use crate::plan::Needs;
use crate::plan::limits::Room;
use crate::relay::{packet, tap};
use crate::shape::{self, Named as _};
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::qdisc::{Kind, Qdisc};
use crate::tc::{Handle, Verb};

use super::inverse::Inverse;
use super::{Error, Request, Session, add, clear};

/// The largest a TAP takes: 64 KiB less its link header. `bpf_skb_change_head` needs the room for frames of a link with a
/// large MTU.
const TAP_MTU: u32 = 65_521;
/// Frames that may wait for the relay to be scheduled: 10 ms of a million packets per second.
const TAP_QUEUE_FRAMES: u32 = 10_000;
/// Mapping files and a thousand syscalls take milliseconds; a relay that takes longer has failed.
const START_TIMEOUT_MS: u16 = 5_000;
/// The relay sends at once what it holds when its TAP goes.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// Why process 1 starts none.
const ENDS_WITH_US: &str = "this command is process 1 of its container, and with it the relay would end; \
                            `shaper agent` stays, and so does a container whose process 1 is another program";
/// The relay's name for itself (`/proc/PID/comm`).
pub const PROCESS_NAME: &CStr = c"shaper-relay";

/// Makes the TAP with its programs, and the relay that reads it.
pub(super) fn start(
    session: &mut Session,
    request: &Request,
    needs: &Needs,
    maps: &Maps,
    programs: &Programs,
) -> Result<Device, Error> {
    let name = attachment::tap_name(request.direction, request.link.ifindex);
    if session.is_dry() {
        let dev = Device { ifindex: 0, name };
        session.effect(|| format!("ip tuntap add dev {} mode tap (held open by the relay)", dev.name));
        set_up_tap(session, request.direction, &dev, programs)?;
        session.effect(|| format!("shaper relay for `{}`", request.link.name));
        return Ok(dev);
    }
    if std::process::id() == 1 {
        return Err(Error::StartRelay { reason: ENDS_WITH_US.to_owned() });
    }
    let failed = |source| Error::Tap { name: name.clone(), source };
    let step = session.begin(|source| failed(tap::Error::Create { name: name.clone(), source }))?;
    let tap = step.done(session.netns().run(|| tap::open(&name)))?.map_err(failed)?;
    let dev = link::by_name(session.socket(), &name)?.device();
    set_up_tap(session, request.direction, &dev, programs)?;

    // Egress leaves through it; by it, a relay of either direction knows whether its link is still there.
    let packet = session.netns().run(packet::open)?.map_err(Error::Packet)?;
    let room = Room::of(needs);
    let report = RelayReport {
        held_frames_max: u64::from(room.packets),
        held_bytes_max: room.bytes,
        ..RelayReport::default()
    };
    session.begin(bpf::object::Error::write(abi::map::RELAY))?.done(maps.set_relay_report(&report))?;
    spawn(session, request, &tap.fd, &packet, maps)?;
    Ok(dev)
}

/// A new TAP and relay for the filter and the maps that are there: packets pass unshaped until the record names the TAP.
pub(super) fn restart(
    session: &mut Session,
    request: &Request,
    needs: &Needs,
    found: &Attachment,
    maps: &Maps,
    record: &mut Record,
) -> Result<(), Error> {
    end(session, found)?;
    let programs = Object::committed()?.bind(maps)?;
    session.on_failure(Inverse::Holder { ifindex: request.link.ifindex, direction: request.direction });
    let tap = start(session, request, needs, maps, &programs)?;
    session.on_failure(Inverse::record(maps, record)?);
    record.holder_ifindex = tap.ifindex;
    if session.effect(|| "record of the TAP".to_owned()) {
        add::write_record(session, maps, record)?;
    }
    Ok(())
}

/// Gives the relay the room that new rules need; never less, for the packets that it holds.
pub(super) fn widen(maps: &Maps, needs: &Needs) -> Result<(), Error> {
    let name = abi::map::RELAY;
    let error = |source| bpf::object::Error::Map { operation: "map", name: name.to_owned(), source };
    let map = maps.fd(name).ok_or_else(|| error(io::ErrorKind::NotFound.into()))?;
    let room = Room::of(needs);
    crate::relay::widen(map, u64::from(room.packets), room.bytes).map_err(|errno| error(errno.into()))?;
    Ok(())
}

/// The TAP carries no address and no queue of its own, and nothing reaches it but what was steered there.
fn set_up_tap(
    session: &mut Session,
    direction: Direction,
    dev: &Device,
    programs: &Programs,
) -> Result<(), Error> {
    let hook = |side: Direction, name: &str| Filter {
        dev: dev.clone(),
        parent: attachment::hook(side),
        pref: PREF,
        handle: FILTER_HANDLE,
        name: name.to_owned(),
        action: Action::Direct,
    };
    let noqueue = Qdisc { dev: dev.clone(), parent: Handle::ROOT, handle: Handle::NONE, kind: Kind::Noqueue };
    let settings = Settings {
        mtu: Some(TAP_MTU),
        txqlen: Some(TAP_QUEUE_FRAMES),
        addr_gen_mode: Some(AddrGenMode::None),
        ifalias: Some("shaper: packets on their way".to_owned()),
        ..Settings::default()
    };
    let stamp = add::load(session, programs, program::STAMP)?;
    let give_back = match direction {
        Direction::Egress => None,
        Direction::Ingress => Some(add::load(session, programs, program::RETURN)?),
    };
    let mut messages = vec![
        link::set(dev, &settings),
        noqueue.message(Verb::Replace),
        Qdisc::clsact(dev.clone()).message(Verb::Add),
        hook(Direction::Egress, program::STAMP).attach(Verb::Replace, stamp.as_fd()),
    ];
    if let Some(give_back) = &give_back {
        messages.push(hook(Direction::Ingress, program::RETURN).attach(Verb::Replace, give_back.as_fd()));
    }
    messages.push(link::set(dev, &Settings { up: Some(true), ..Settings::default() }));
    session.send(messages)?;
    Ok(())
}

/// Starts the relay, detached, with every descriptor it needs, and waits until it reads the TAP.
fn spawn(
    session: &mut Session,
    request: &Request,
    tap: &OwnedFd,
    packet: &OwnedFd,
    maps: &Maps,
) -> Result<(), Error> {
    let failed = |reason: String| Error::StartRelay { reason };
    let report = maps.fd(abi::map::RELAY).ok_or_else(|| failed("its report map is missing".to_owned()))?;
    let (ready, tell) = nix::unistd::pipe().map_err(|errno| failed(errno.desc().to_owned()))?;
    close_on_exec(ready.as_fd(), true).map_err(|error| failed(error.to_string()))?;

    // What the relay inherits, any other process would that this one starts in this moment: an agent works on many namespaces.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("shaper").arg("relay");
    let mut give = |flag: &str, fd: BorrowedFd<'_>| {
        command.arg(flag).arg(fd.as_raw_fd().to_string());
        close_on_exec(fd, false).map_err(|error| failed(error.to_string()))
    };
    give("--tap-fd", tap.as_fd())?;
    give("--report-fd", report)?;
    give("--ready-fd", tell.as_fd())?;
    give("--packet-fd", packet.as_fd())?;
    let direction = shape::Direction::from(request.direction).name();
    command.args(["--direction", direction, "--ifindex", &request.link.ifindex.to_string()]);
    if let Some(tether) = &request.tether {
        let id = session.netns().id();
        command.arg("--tether").arg(tether);
        command.args(["--netns-dev", &id.dev.to_string(), "--netns-ino", &id.ino.to_string()]);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The child leaves a detached process behind and ends at once.
    let not_run = |error: io::Error| failed(format!("cannot run /proc/self/exe: {error}"));
    let status = session.begin(not_run)?.done(command.status()).map_err(not_run)?;
    for inherited in [tap.as_fd(), report, tell.as_fd(), packet.as_fd()] {
        close_on_exec(inherited, true).map_err(|error| failed(error.to_string()))?;
    }
    drop(tell);
    drop(guard);
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    session.begin(|error| failed(error.to_string()))?.done(wait_until_ready(ready))
}

fn close_on_exec(fd: BorrowedFd<'_>, close: bool) -> io::Result<()> {
    let flags = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// One byte when it runs, words when it cannot, nothing when it died.
fn wait_until_ready(ready: OwnedFd) -> Result<(), Error> {
    let failed = |reason: String| Error::StartRelay { reason };
    let mut fds = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(START_TIMEOUT_MS)) {
        Ok(0) => return Err(failed(format!("it was not ready after {START_TIMEOUT_MS} ms"))),
        Ok(_) => {}
        Err(errno) => return Err(failed(errno.desc().to_owned())),
    }
    let mut words = [0; 4096];
    let len = File::from(ready).read(&mut words).map_err(|error| failed(error.to_string()))?;
    match &words[..len] {
        [] => Err(failed("it ended before it was ready".to_owned())),
        [_] => Ok(()),
        words => Err(failed(String::from_utf8_lossy(words).into_owned())),
    }
}

/// Whether the relay of an attachment reads its TAP: the device is there and the heartbeat is fresh.
#[must_use]
pub(super) fn is_alive(found: &Attachment) -> bool {
    let (Ok(maps), Ok(record)) = (&found.maps, &found.record) else {
        return false;
    };
    let beat_ns = maps.relay_report().ok().flatten().map_or(0, |report| report.beat_ns);
    let age_ns = crate::measure::clock::now_ns().saturating_sub(beat_ns);
    found.holder.as_ref().is_some_and(|holder| holder.ifindex == record.holder_ifindex)
        && age_ns <= record.stale_after_ns
}

/// Deletes the TAP, with which the relay sends what it holds and ends, and sees it end.
pub(super) fn end(session: &mut Session, found: &Attachment) -> Result<(), Error> {
    let process = process(found);
    if let Some(tap) = &found.holder {
        clear::gone(session.send(vec![link::delete(&tap.device())]))?;
    }
    if let Some(process) = process.filter(|_| !session.is_dry()) {
        process.wait();
    }
    Ok(())
}

/// A relay process as this process sees it.
#[derive(Debug)]
struct Process {
    pid: u64,
}

/// The relay of an attachment; `None` when there is none, or it is in another pid namespace.
fn process(found: &Attachment) -> Option<Process> {
    let report = found.maps.as_ref().ok()?.relay_report().ok()??;
    let process = Process { pid: report.pid };
    process.is_there().then_some(process)
}

impl Process {
    fn is_there(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/comm", self.pid))
            .is_ok_and(|name| name.trim_end().as_bytes() == PROCESS_NAME.to_bytes())
    }

    /// Waits until it has ended, as it does when its TAP is gone; one that is stopped or stuck is killed.
    fn wait(&self) {
        let pid = libc::pid_t::try_from(self.pid).unwrap_or_default();
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let Some(fd) = i32::try_from(fd).ok().filter(|fd| *fd >= 0) else { return };
        // SAFETY: a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Asked again now that the descriptor pins the process: the number may have been another's when it was opened.
        if !self.is_there() || ends(&fd) {
            return;
        }
        // SAFETY: no memory is passed.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), libc::SIGKILL, 0, 0) };
        ends(&fd);
    }
}

/// Whether the process of a pidfd ends in time.
fn ends(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(END_TIMEOUT).unwrap_or(PollTimeout::ZERO);
    poll(&mut fds, timeout).is_ok_and(|count| count > 0)
}
