//! The relay's account of itself, in memory that the classifier and `show` read.

use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use shaper_common::abi::{LATE_BUCKETS, RelayReport};

use crate::bpf::SharedWords;

const WORD_LEN: usize = size_of::<u64>();
const WORDS: NonZeroUsize = NonZeroUsize::new(size_of::<RelayReport>() / WORD_LEN).unwrap();

const _: () = assert!(size_of::<RelayReport>() == WORDS.get() * WORD_LEN);

/// The word of a [`RelayReport`] field.
macro_rules! word {
    ($field:ident) => {
        offset_of!(RelayReport, $field) / WORD_LEN
    };
}

/// The mapped [`RelayReport`]; the relay writes all of it but what it may hold, which is `apply`'s to say.
#[derive(Debug)]
pub(super) struct Report {
    shared: SharedWords,
}

impl Report {
    /// Maps the report, which `apply` has laid out.
    pub(super) fn map(map: BorrowedFd<'_>) -> Result<Self, Errno> {
        let report = Self { shared: SharedWords::map(map, WORDS)? };
        report.set(word!(pid), u64::from(std::process::id()));
        Ok(report)
    }

    /// Frames and bytes that may be held, as `apply` last said.
    pub(super) fn held_max(&self) -> (u64, u64) {
        let word = |word: usize| self.shared.words()[word].load(Ordering::Relaxed);
        (word(word!(held_frames_max)), word(word!(held_bytes_max)))
    }

    /// Says that the relay was alive at `now_ns`.
    pub(super) fn beat(&self, now_ns: u64) {
        self.set(word!(beat_ns), now_ns);
    }

    /// States what is held.
    pub(super) fn held(&self, frames: u64, bytes: u64) {
        self.set(word!(held_frames), frames);
        self.set(word!(held_bytes), bytes);
    }

    /// Counts frames sent on.
    pub(super) fn sent(&self, frames: u64, bytes: u64) {
        self.add(word!(sent_frames), frames);
        self.add(word!(sent_bytes), bytes);
    }

    /// Counts a frame that left `late_ns` after its departure time.
    pub(super) fn late(&self, late_ns: u64) {
        self.add(word!(late) + bucket(late_ns), 1);
        self.add(word!(late_ns_sum), late_ns);
    }

    /// Counts a frame there was no room for.
    pub(super) fn full_drop(&self) {
        self.add(word!(full_drops), 1);
    }

    /// Counts a frame the link refused.
    pub(super) fn send_error(&self) {
        self.add(word!(send_errors), 1);
    }

    fn set(&self, word: usize, value: u64) {
        self.shared.words()[word].store(value, Ordering::Relaxed);
    }

    /// Adds without a locked instruction: there is one writer.
    fn add(&self, word: usize, more: u64) {
        let word = &self.shared.words()[word];
        word.store(word.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }
}

/// Lets a relay that runs hold more frames and bytes; never less, for those that it holds.
///
/// # Errors
///
/// When the report's map cannot be mapped.
pub fn widen(map: BorrowedFd<'_>, held_frames_max: u64, held_bytes_max: u64) -> Result<(), Errno> {
    let report = SharedWords::map(map, WORDS)?;
    report.words()[word!(held_frames_max)].fetch_max(held_frames_max, Ordering::Relaxed);
    report.words()[word!(held_bytes_max)].fetch_max(held_bytes_max, Ordering::Relaxed);
    Ok(())
}

/// The bucket of [`RelayReport::late`] that counts `late_ns`.
fn bucket(late_ns: u64) -> usize {
    ((u64::BITS - late_ns.leading_zeros()) as usize).min(LATE_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::fd::AsFd;

    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::uio::pread;
    use nix::unistd::ftruncate;

    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(1), 1);
        for exponent in 1..LATE_BUCKETS as u32 - 1 {
            assert_eq!(bucket((1 << exponent) - 1), exponent as usize);
            assert_eq!(bucket(1 << exponent), exponent as usize + 1);
        }
        assert_eq!(bucket(u64::MAX), LATE_BUCKETS - 1);
    }

    #[test]
    fn what_is_reported_is_in_the_map() {
        let name = CString::new("report").unwrap();
        let map = memfd_create(name.as_c_str(), MFdFlags::empty()).unwrap();
        ftruncate(&map, size_of::<RelayReport>() as i64).unwrap();
        let report = Report::map(map.as_fd()).unwrap();
        report.beat(77);
        report.held(1, 2);
        report.sent(3, 4);
        report.sent(3, 4);
        report.late(1);
        report.full_drop();
        report.send_error();
        let mut bytes = [0; size_of::<RelayReport>()];
        pread(&map, &mut bytes, 0).unwrap();
        let words: Vec<u64> =
            bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words[..11], [77, std::process::id().into(), 1, 2, 0, 0, 6, 8, 1, 1, 0]);
        assert_eq!(words[word!(late) + 1], 1);
    }
}
