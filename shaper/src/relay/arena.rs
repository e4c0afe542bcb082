//! Memory for held frames: read into, sent from and given back without an allocation per frame.
//!
//! ```text
//! chunk 0  [ frame | frame | (gone) | frame | … ]   3 live
//! chunk 1  [ (gone) | (gone) | … ]                  0 live: idle, to be filled again
//! chunk 2  [ frame | room for the next read … ]     1 live, filling
//! ```

use std::num::NonZeroUsize;
use std::ops::Range;

use nix::errno::Errno;

use super::memory::Mapping;
use super::vnet::READ_LEN_MAX;

/// Bytes of a chunk: small enough that a few of them stay in the CPU's cache, large enough that the tail too short for another
/// read (`READ_LEN_MAX`) is a small part.
const CHUNK_LEN: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();

/// Empty chunks kept for reuse; more are given back to the kernel.
const IDLE_CHUNKS_MAX: usize = 8;

/// Memory that may be mapped beyond what live frames need, before it is worth moving them together.
const SPARSE_BYTES_MIN: usize = 64 << 20;

const _: () = assert!(READ_LEN_MAX * 8 < CHUNK_LEN.get());

/// Where in the arena a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Index of the chunk.
    pub(super) chunk: u32,
    /// First byte in the chunk.
    pub(super) offset: u32,
    /// Number of bytes.
    pub(super) len: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        let offset = self.offset as usize;
        offset..offset + self.len as usize
    }
}

#[derive(Debug)]
struct Chunk {
    memory: Mapping,
    live_frames: u32,
    live_bytes: u32,
}

/// Chunks of memory filled one after the other.
#[derive(Debug)]
pub(super) struct Arena {
    chunks: Vec<Option<Chunk>>,
    /// Indices of `chunks` that are `None`.
    vacant: Vec<u32>,
    idle: Vec<Chunk>,
    filling: u32,
    filled: usize,
    /// Where the room last returned starts, in the chunk being filled.
    room_at: usize,
    live_bytes: usize,
}

impl Arena {
    /// Maps the first chunk.
    pub(super) fn new() -> Result<Self, Errno> {
        let first = Chunk { memory: Mapping::anonymous(CHUNK_LEN)?, live_frames: 0, live_bytes: 0 };
        Ok(Self {
            chunks: vec![Some(first)],
            vacant: Vec::new(),
            idle: Vec::new(),
            filling: 0,
            filled: 0,
            room_at: 0,
            live_bytes: 0,
        })
    }

    /// Returns room for at least one read of `READ_LEN_MAX` bytes.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Errno> {
        self.make_room(READ_LEN_MAX)?;
        self.room_at = self.filled;
        Ok(self.last_room())
    }

    /// The room last returned, once more.
    pub(super) fn last_room(&mut self) -> &mut [u8] {
        let room_at = self.room_at;
        &mut self.chunk_mut(self.filling).memory.bytes_mut()[room_at..]
    }

    /// Keeps `range` of the room last returned as a frame; it lies behind those kept before.
    ///
    /// A frame that leaves more than its own length unused in front of it is moved down, so that at most half of a chunk is lost.
    pub(super) fn keep(&mut self, range: Range<usize>) -> Span {
        let len = u32::try_from(range.len()).expect("a frame is shorter than a chunk");
        let read_at = self.room_at + range.start;
        let filled = self.filled;
        assert!(read_at >= filled && read_at + range.len() <= CHUNK_LEN.get());
        let chunk = self.chunk_mut(self.filling);
        chunk.live_frames += 1;
        chunk.live_bytes += len;
        let at = if read_at - filled > range.len() {
            chunk.memory.bytes_mut().copy_within(read_at..read_at + range.len(), filled);
            filled
        } else {
            read_at
        };
        self.filled = at + range.len();
        self.live_bytes += range.len();
        Span { chunk: self.filling, offset: u32::try_from(at).expect("a chunk is shorter than 4 GiB"), len }
    }

    /// The bytes of a frame that was kept and not yet freed.
    pub(super) fn frame(&self, span: Span) -> &[u8] {
        &self.chunk(span.chunk).memory.bytes()[span.range()]
    }

    /// Ends a frame: its bytes may be overwritten.
    pub(super) fn free(&mut self, span: Span) {
        self.live_bytes -= span.len as usize;
        let filling = span.chunk == self.filling;
        let chunk = self.chunk_mut(span.chunk);
        chunk.live_frames -= 1;
        chunk.live_bytes -= span.len;
        if chunk.live_frames > 0 {
            return;
        }
        if filling {
            // Starting over keeps a relay with little to hold within memory that is in the CPU's cache.
            self.filled = 0;
        } else if let Some(chunk) = self.chunks[span.chunk as usize].take() {
            self.vacant.push(span.chunk);
            if self.idle.len() < IDLE_CHUNKS_MAX {
                self.idle.push(chunk);
            }
        }
    }

    /// Says whether chunks that a few long-held frames keep from reuse take much more memory than the frames do.
    pub(super) fn is_sparse(&self) -> bool {
        self.mapped_bytes() > SPARSE_BYTES_MIN + 4 * self.live_bytes
    }

    /// Moves a frame out of its chunk if that is mostly dead; to be called for every frame.
    pub(super) fn relocate(&mut self, span: &mut Span) -> Result<(), Errno> {
        if span.chunk == self.filling || self.chunk(span.chunk).live_bytes as usize > CHUNK_LEN.get() / 2 {
            return Ok(());
        }
        self.make_room(span.len as usize)?;
        let from = span.chunk as usize;
        let to = self.filling as usize;
        let filled = self.filled;
        let [Some(from), Some(to)] = self.chunks.get_disjoint_mut([from, to]).expect("two chunks") else {
            unreachable!("a chunk with a live frame, and the one being filled, are there");
        };
        to.memory.bytes_mut()[filled..filled + span.len as usize]
            .copy_from_slice(&from.memory.bytes()[span.range()]);
        self.room_at = filled;
        let moved = self.keep(0..span.len as usize);
        self.free(*span);
        *span = moved;
        Ok(())
    }

    fn mapped_bytes(&self) -> usize {
        (self.chunks.len() - self.vacant.len() + self.idle.len()) * CHUNK_LEN.get()
    }

    /// Opens another chunk when the one being filled has less than `len` bytes left.
    fn make_room(&mut self, len: usize) -> Result<(), Errno> {
        if self.filled + len <= CHUNK_LEN.get() {
            return Ok(());
        }
        let chunk = match self.idle.pop() {
            Some(chunk) => chunk,
            None => Chunk { memory: Mapping::anonymous(CHUNK_LEN)?, live_frames: 0, live_bytes: 0 },
        };
        self.filling = match self.vacant.pop() {
            Some(index) => {
                self.chunks[index as usize] = Some(chunk);
                index
            }
            None => {
                self.chunks.push(Some(chunk));
                u32::try_from(self.chunks.len() - 1).expect("fewer than 2^32 chunks fit the address space")
            }
        };
        self.filled = 0;
        Ok(())
    }

    fn chunk(&self, index: u32) -> &Chunk {
        self.chunks[index as usize].as_ref().expect("a chunk with a live frame is there")
    }

    fn chunk_mut(&mut self, index: u32) -> &mut Chunk {
        self.chunks[index as usize].as_mut().expect("a chunk with a live frame is there")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a frame whose bytes tell its number.
    fn keep(arena: &mut Arena, number: usize, len: usize) -> Span {
        arena.room().unwrap()[16..16 + len].fill(number as u8);
        arena.keep(16..16 + len)
    }

    fn assert_whole(arena: &Arena, number: usize, span: Span) {
        assert!(arena.frame(span).iter().all(|&byte| byte == number as u8), "frame {number} was overwritten");
    }

    #[test]
    fn an_empty_arena_starts_over_in_the_same_chunk() {
        let mut arena = Arena::new().unwrap();
        for number in 0..100_000 {
            let span = keep(&mut arena, number, 1500);
            arena.free(span);
        }
        assert_eq!(arena.mapped_bytes(), CHUNK_LEN.get());
    }

    #[test]
    fn memory_of_a_peak_is_given_back() {
        let mut arena = Arena::new().unwrap();
        let spans: Vec<_> = (0..1000).map(|number| keep(&mut arena, number, 65_000)).collect();
        assert!(arena.mapped_bytes() >= 65_000_000);
        for (number, span) in spans.into_iter().enumerate() {
            assert_whole(&arena, number, span);
            arena.free(span);
        }
        assert!(arena.mapped_bytes() <= (IDLE_CHUNKS_MAX + 1) * CHUNK_LEN.get());
        assert_eq!(arena.live_bytes, 0);
    }

    #[test]
    fn a_few_long_held_frames_do_not_pin_all_memory() {
        let mut arena = Arena::new().unwrap();
        let mut long_held = Vec::new();
        for number in 0..10_000 {
            let span = keep(&mut arena, number, 60_000);
            if number % 50 == 0 {
                long_held.push((number, span));
            } else {
                arena.free(span);
            }
            if arena.is_sparse() {
                for (_, span) in &mut long_held {
                    arena.relocate(span).unwrap();
                }
                assert!(!arena.is_sparse());
            }
        }
        // 200 frames live: 12 MB.
        assert!(arena.mapped_bytes() < 2 * SPARSE_BYTES_MIN);
        for (number, span) in long_held {
            assert_whole(&arena, number, span);
            arena.free(span);
        }
        assert_eq!(arena.live_bytes, 0);
    }

    proptest! {
        // Each case writes megabytes.
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn frames_keep_their_bytes_and_all_memory_returns(steps in prop::collection::vec((1_usize..65_000, any::<u16>()), 1..300)) {
            let mut arena = Arena::new().unwrap();
            let mut live: Vec<(usize, Span)> = Vec::new();
            for (number, (len, choice)) in steps.into_iter().enumerate() {
                let span = keep(&mut arena, number, len);
                live.push((number, span));
                if choice % 3 == 0 {
                    let (number, span) = live.swap_remove(choice as usize % live.len());
                    assert_whole(&arena, number, span);
                    arena.free(span);
                }
                if choice % 41 == 0 {
                    for (_, span) in &mut live {
                        arena.relocate(span).unwrap();
                    }
                }
            }
            prop_assert_eq!(arena.live_bytes, live.iter().map(|(_, span)| span.len as usize).sum::<usize>());
            for (number, span) in live {
                assert_whole(&arena, number, span);
                arena.free(span);
            }
            prop_assert_eq!(arena.live_bytes, 0);
            prop_assert_eq!(arena.chunks.len() - arena.vacant.len(), 1);
            prop_assert!(arena.idle.len() <= IDLE_CHUNKS_MAX);
        }
    }
}
