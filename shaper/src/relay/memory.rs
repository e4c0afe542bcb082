//! Memory mappings: anonymous ones for held frames, and the report's, which the kernel and `show` read.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// A readable and writable mapping, zero at first, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

impl Mapping {
    /// Maps `len` bytes of new memory, which the kernel may back with huge pages.
    pub(super) fn anonymous(len: NonZeroUsize) -> Result<Self, Errno> {
        // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            mmap_anonymous(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
        }?;
        let mapping = Self { start: start.cast(), len };
        // SAFETY: the range is the mapping just made; this advice changes no content.
        match unsafe { madvise(start, len.get(), MmapAdvise::MADV_HUGEPAGE) } {
            // A kernel without transparent huge pages answers EINVAL; small pages do.
            Ok(()) | Err(_) => Ok(mapping),
        }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `len` readable bytes, lives as long as `self`, and is private to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len.get()) }
    }

    /// The bytes, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len.get()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, and no borrow of it outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// 64-bit words shared with the kernel and other processes.
#[derive(Debug)]
pub(super) struct SharedWords {
    start: NonNull<AtomicU64>,
    bytes: NonZeroUsize,
    words: usize,
}

impl SharedWords {
    /// Maps the first `words` of a mappable BPF array, or of a file, that is at least that long.
    pub(super) fn map(file: BorrowedFd<'_>, words: NonZeroUsize) -> Result<Self, Errno> {
        let bytes = words
            .checked_mul(const { NonZeroUsize::new(size_of::<u64>()).unwrap() })
            .ok_or(Errno::EOVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, file, 0)
        }?;
        Ok(Self { start: start.cast(), bytes, words: words.get() })
    }

    /// The words; atomic, because others read and may write them at any time.
    pub(super) fn words(&self) -> &[AtomicU64] {
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
