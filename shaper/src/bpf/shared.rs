//! Maps as memory, which the kernel programs and other processes read and write at the same time.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// 64-bit words shared with the kernel and other processes.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    bytes: NonZeroUsize,
    words: usize,
}

impl SharedWords {
    /// Maps the first `words` of a mappable BPF map, or of a file, that is at least that long.
    pub fn map(file: BorrowedFd<'_>, words: NonZeroUsize) -> Result<Self, Errno> {
        Self::map_as(file, words, 0, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)
    }

    /// Maps `words` from byte `offset` on, a multiple of the page size, to be loaded only: a store would end the process.
    pub(super) fn map_to_load(
        file: BorrowedFd<'_>,
        words: NonZeroUsize,
        offset: usize,
    ) -> Result<Self, Errno> {
        Self::map_as(file, words, offset, ProtFlags::PROT_READ)
    }

    fn map_as(
        file: BorrowedFd<'_>,
        words: NonZeroUsize,
        offset: usize,
        protection: ProtFlags,
    ) -> Result<Self, Errno> {
        let bytes = words
            .checked_mul(const { NonZeroUsize::new(size_of::<u64>()).unwrap() })
            .ok_or(Errno::EOVERFLOW)?;
        let offset = offset.try_into().or(Err(Errno::EOVERFLOW))?;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, file, offset) }?;
        Ok(Self { start: start.cast(), bytes, words: words.get() })
    }

    /// The words; atomic, because others read and may write them at any time.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, at least `words` long and lives as long as `self`; an `AtomicU64` may be shared.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and no borrow of it outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.bytes.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
