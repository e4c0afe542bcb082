//! Mutual exclusion per namespace.

use std::fs::{File, TryLockError};
use std::os::fd::{AsFd, AsRawFd};

use super::{Error, Netns};

/// A locked namespace; unlocked when dropped, or when the process ends however it ends.
#[derive(Debug)]
#[must_use = "dropping this unlocks the namespace"]
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn wait(netns: &Netns) -> Result<Self, Error> {
        let file = reopen(netns)?;
        file.lock().map_err(|error| Error::io(format!("lock {netns}"), &error))?;
        Ok(Self { _file: file })
    }

    pub(super) fn attempt(netns: &Netns) -> Result<Option<Self>, Error> {
        let file = reopen(netns)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(format!("lock {netns}"), &error)),
        }
    }
}

/// Opens the namespace's file anew: a lock belongs to an open file, and those that share one do not exclude each other.
fn reopen(netns: &Netns) -> Result<File, Error> {
    let path = format!("/proc/self/fd/{}", netns.as_fd().as_raw_fd());
    File::open(&path).map_err(|error| Error::io(format!("open {netns} to lock it"), &error))
}
