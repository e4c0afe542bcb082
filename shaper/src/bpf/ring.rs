//! The reading end of a BPF ring buffer (`BPF_MAP_TYPE_RINGBUF`), laid out as kernel/bpf/ringbuf.c maps it:
//!
//! ```text
//! page 0   the reader's position, the only page that may be written
//! page 1   the writers' position
//! page 2…  the records, and the same pages once more, so that no record is cut in two
//! ```
//!
//! A record is a word (its length and two flags in the low half) and its bytes, filled up to whole words.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};
use shaper_common::abi::Plain;

use super::SharedWords;

const WORD: usize = size_of::<u64>();
const HEADER: u64 = WORD as u64;
/// `BPF_RINGBUF_BUSY_BIT`: the writer has not finished the record.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: the writer changed its mind.
const DISCARD: u32 = 1 << 30;

/// A ring buffer, mapped.
#[derive(Debug)]
pub struct Ring {
    reader: SharedWords,
    /// From the writers' page on.
    writers: SharedWords,
    /// Words before the records in `writers`.
    records: usize,
    bytes: usize,
}

/// What [`Ring::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The oldest record.
    Record(T),
    /// There is none.
    Nothing,
    /// Another reader took it meanwhile, which there must not be.
    ByAnother,
}

impl Ring {
    /// Maps a ring buffer of `bytes`, which must be those of the map.
    pub fn map(map: BorrowedFd<'_>, bytes: usize) -> Result<Self, Errno> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|page| usize::try_from(page).ok());
        let page = page.ok_or(Errno::EINVAL)?;
        let words = NonZeroUsize::new((page + 2 * bytes) / WORD).ok_or(Errno::EINVAL)?;
        Ok(Self {
            reader: SharedWords::map(map, NonZeroUsize::MIN)?,
            writers: SharedWords::map_to_load(map, words, page)?,
            records: page / WORD,
            bytes,
        })
    }

    /// Takes the oldest record. One that is not as long as `T` is passed over.
    pub fn take<T: Plain>(&self) -> Taken<T> {
        let position = &self.reader.words()[0];
        loop {
            let at = position.load(Ordering::Acquire);
            if at >= self.writers.words()[0].load(Ordering::Acquire) {
                return Taken::Nothing;
            }
            let start = self.records + at as usize % self.bytes / WORD;
            let header = self.writers.words()[start].load(Ordering::Acquire) as u32;
            if header & BUSY != 0 {
                return Taken::Nothing;
            }
            let len = header & !DISCARD;
            let record = (header as usize == size_of::<T>()).then(|| self.read(start + 1));
            let next = at + (HEADER + u64::from(len)).next_multiple_of(HEADER);
            // What was read counts only if it was still there to be read: another reader would have freed it.
            if position.compare_exchange(at, next, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return Taken::ByAnother;
            }
            if let Some(record) = record {
                return Taken::Record(record);
            }
        }
    }

    fn read<T: Plain>(&self, start: usize) -> T {
        const { assert!(size_of::<T>().is_multiple_of(WORD) && align_of::<T>() == WORD) };
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: as many words as `T` has, aligned as they are, all zero before.
        let words = unsafe {
            std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u64>(), size_of::<T>() / WORD)
        };
        for (word, shared) in words.iter_mut().zip(&self.writers.words()[start..]) {
            *word = shared.load(Ordering::Relaxed);
        }
        // SAFETY: every bit pattern is a valid `Plain` value.
        unsafe { value.assume_init() }
    }
}
