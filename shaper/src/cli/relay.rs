//! `shaper relay`: holds packets until their departure time.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};

use anyhow::Context as _;
use shaper_common::abi;

use super::args::RelayArgs;
use super::exit::{Code, Failure};
use crate::engine::RELAY_PROCESS_NAME as PROCESS_NAME;
use crate::relay::{self, Config, Tether};
use crate::shape::Direction;

/// Runs on in a process of its own, so that the `apply` that started it can end.
pub(super) fn run(args: RelayArgs) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| Failure::new(Code::Failed, error);
    let ready = inherited(args.ready_fd).map_err(failed)?;
    let config = config(&args, &ready).map_err(failed)?;
    // Standard streams are already those of nobody.
    nix::unistd::daemon(false, true).context("cannot leave the foreground").map_err(failed)?;
    // `clear` and people know it by this name; without it, it would still work.
    let _ = nix::sys::prctl::set_name(PROCESS_NAME);
    match relay::run(config) {
        Ok(()) => Ok(()),
        Err(error) => {
            let failure = Failure::new(Code::Failed, error);
            // Before it runs, `apply` reads this; later nobody does, and nobody needs to.
            let _ = write!(File::from(ready), "{failure}");
            Err(failure)
        }
    }
}

fn config(args: &RelayArgs, ready: &OwnedFd) -> anyhow::Result<Config> {
    let tether = match (&args.tether, args.netns_dev, args.netns_ino) {
        (Some(path), Some(dev), Some(ino)) => Tether::Path { path: path.clone(), dev, ino },
        _ => Tether::None,
    };
    Ok(Config {
        tap: inherited(args.tap_fd)?,
        packet: args.packet_fd.map(inherited).transpose()?,
        report: inherited(args.report_fd)?,
        ready: Some(ready.as_fd().try_clone_to_owned()?),
        direction: match args.direction {
            Direction::Egress | Direction::Both => abi::Direction::Egress,
            Direction::Ingress => abi::Direction::Ingress,
        },
        ifindex: args.ifindex,
        tether,
    })
}

/// Takes an inherited descriptor over, by a duplicate that no later process inherits.
fn inherited(fd: RawFd) -> anyhow::Result<OwnedFd> {
    // SAFETY: only borrowed for the duplication; a number that is not open makes that fail.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    let owned = borrowed.try_clone_to_owned().with_context(|| format!("descriptor {fd} is not open"))?;
    // SAFETY: `apply` gave this number to this process alone; it is not used again.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(owned)
}
