//! The loop at work on a socket in place of a TAP: what it is given with a departure time comes back at that time.

use std::ffi::CString;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SfdFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{ftruncate, read, write};
use proptest::prelude::*;
use shaper_common::abi::RelayReport;

use super::*;
use crate::relay::vnet::VNET_LEN;

const MSEC: u64 = 1_000_000;

struct World {
    /// The far side of what the pump takes for a TAP.
    network: OwnedFd,
    report: OwnedFd,
    pump: JoinHandle<Result<(), Errno>>,
}

fn world(held_frames_max: u64, held_bytes_max: u64) -> World {
    let (tap, network) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    fcntl(&tap, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let name = CString::new("report").unwrap();
    let report = memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC).unwrap();
    ftruncate(&report, size_of::<RelayReport>() as i64).unwrap();
    for (offset, max) in [
        (offset_of!(RelayReport, held_frames_max), held_frames_max),
        (offset_of!(RelayReport, held_bytes_max), held_bytes_max),
    ] {
        pwrite(&report, &max.to_ne_bytes(), offset as i64).unwrap();
    }
    // No signal is in the set: those of the test runner stay its own.
    let signals =
        SignalFd::with_flags(&SigSet::empty(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).unwrap();
    let shared = report.try_clone().unwrap();
    let pump = thread::spawn(move || {
        let report = Report::map(shared.as_fd())?;
        let parts = Parts { tap, outlet: Outlet::Tap, link: None, signals, tether: Tether::None, report };
        Pump::new(parts)?.run()
    });
    World { network, report, pump }
}

impl World {
    fn give(&self, departure_ns: u64, number: u32, len: usize) {
        let mut frame = vec![0; VNET_LEN];
        frame.extend_from_slice(&departure_ns.to_ne_bytes());
        frame.extend_from_slice(&[0; 8]);
        let start = frame.len();
        frame.resize(start + len, 0xa5);
        frame[start..start + 4].copy_from_slice(&number.to_ne_bytes());
        assert_eq!(write(&self.network, &frame), Ok(frame.len()));
    }

    /// Returns the number and length of the next frame, and when it came; `None` when none comes for half a second.
    fn take(&self) -> Option<(u32, usize, u64)> {
        let mut fds = [PollFd::new(self.network.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(500_u16)) == Ok(0) {
            return None;
        }
        let mut buffer = vec![0; 70_000];
        let len = read(&self.network, &mut buffer).unwrap();
        let at_ns = now_ns();
        let frame = &buffer[VNET_LEN..len];
        let number = u32::from_ne_bytes(*frame.first_chunk()?);
        assert!(frame[4..].iter().all(|&byte| byte == 0xa5), "frame {number} was changed");
        Some((number, frame.len(), at_ns))
    }

    fn reported(&self) -> Vec<u64> {
        let mut bytes = [0; size_of::<RelayReport>()];
        pread(&self.report, &mut bytes, 0).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
    }

    /// Takes the network away, as when the TAP is deleted, and waits for the pump to end.
    fn end(self) {
        drop(self.network);
        assert_eq!(self.pump.join().unwrap(), Ok(()));
    }
}

#[test]
fn a_frame_comes_back_whole_and_not_before_its_time() {
    let world = world(100, 1 << 20);
    for (number, len) in [60, 1514, 65_000].into_iter().enumerate() {
        let departure_ns = now_ns() + 20 * MSEC;
        world.give(departure_ns, number as u32, len);
        let (came, came_len, at_ns) = world.take().unwrap();
        assert_eq!((came, came_len), (number as u32, len));
        assert!(at_ns >= departure_ns, "{} ns early", departure_ns - at_ns);
    }
    world.end();
}

#[test]
fn beyond_what_it_may_hold_the_newest_are_dropped_and_counted() {
    let world = world(10, 1 << 20);
    let departure_ns = now_ns() + 100 * MSEC;
    for number in 0..25 {
        world.give(departure_ns, number, 100);
    }
    let came: Vec<u32> = std::iter::from_fn(|| world.take()).map(|(number, ..)| number).collect();
    assert_eq!(came, (0..10).collect::<Vec<_>>());
    let report = world.reported();
    let [
        _,
        _,
        held_frames,
        held_bytes,
        frames_max,
        bytes_max,
        sent_frames,
        sent_bytes,
        full_drops,
        send_errors,
        ..,
    ] = report[..]
    else {
        panic!()
    };
    assert_eq!((held_frames, held_bytes, frames_max, bytes_max), (0, 0, 10, 1 << 20));
    assert_eq!((sent_frames, sent_bytes, full_drops, send_errors), (10, 10 * (100 + VNET_LEN as u64), 15, 0));
    world.end();
}

#[test]
fn bytes_are_bounded_too() {
    let world = world(100, 3000);
    let departure_ns = now_ns() + 100 * MSEC;
    for number in 0..5 {
        world.give(departure_ns, number, 1000);
    }
    let came = std::iter::from_fn(|| world.take()).count();
    assert_eq!(came, 2);
    world.end();
}

#[test]
fn what_is_not_ours_is_counted_and_nothing_stops() {
    let world = world(100, 1 << 20);
    write(&world.network, b"short").unwrap();
    world.give(now_ns(), 7, 100);
    assert_eq!(world.take().map(|(number, len, _)| (number, len)), Some((7, 100)));
    assert_eq!(world.reported()[9], 1);
    world.end();
}

#[test]
fn what_the_link_refuses_for_long_is_given_up_and_no_longer_held() {
    let world = world(100, 1 << 20);
    // Nobody reads: a socket's send buffer has room for a few frames of this size.
    let frames = 20;
    for number in 0..frames {
        world.give(now_ns(), number, 60_000);
    }
    let until_ns = now_ns() + 10_000 * MSEC;
    loop {
        let report = world.reported();
        let (held_frames, held_bytes, sent, refused) = (report[2], report[3], report[6], report[9]);
        if sent + refused == u64::from(frames) {
            assert!(sent > 0 && refused > 0, "{sent} sent, {refused} refused");
            assert_eq!((held_frames, held_bytes), (0, 0));
            break;
        }
        assert!(now_ns() < until_ns, "{sent} sent, {refused} refused, {held_frames} held");
        thread::sleep(Duration::from_millis(1));
    }
    world.end();
}

#[test]
fn the_heart_beats_without_traffic() {
    let world = world(100, 1 << 20);
    let until_ns = now_ns() + 10_000 * MSEC;
    let mut beats = Vec::new();
    while beats.len() < 4 {
        assert!(now_ns() < until_ns, "{beats:?}");
        let beat_ns = world.reported()[0];
        if beats.last() != Some(&beat_ns) {
            beats.push(beat_ns);
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(beats.is_sorted(), "{beats:?}");
    world.end();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn frames_come_back_in_order_of_departure(
        // Short ones: all of them fit the socket's buffer, should this thread not get to read them for long.
        delays_us in prop::collection::vec((0_u64..3000, 14_usize..300), 1..100),
    ) {
        let world = world(1000, 1 << 20);
        let base_ns = now_ns() + 50 * MSEC;
        for (number, (delay_us, len)) in delays_us.iter().enumerate() {
            world.give(base_ns + delay_us * 1000, number as u32, *len);
        }
        // Only what is held can be put in order: a pump that did not get to run before the first departure sends what it reads first.
        let mut all_held = false;
        while !all_held && now_ns() < base_ns {
            all_held = world.reported()[2] == delays_us.len() as u64;
        }
        let mut came = Vec::new();
        for _ in &delays_us {
            let (number, len, at_ns) = world.take().expect("no frame is lost");
            let (delay_us, given_len) = delays_us[number as usize];
            prop_assert_eq!(len, given_len);
            prop_assert!(at_ns >= base_ns + delay_us * 1000);
            came.push(number as usize);
        }
        let mut expected: Vec<_> = (0..delays_us.len()).collect();
        expected.sort_by_key(|&number| delays_us[number].0);
        if !all_held {
            came.sort_unstable();
            expected.sort_unstable();
        }
        prop_assert_eq!(came, expected);
        world.end();
    }
}
