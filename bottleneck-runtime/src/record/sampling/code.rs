//! Copies the program's code around the instructions that were sampled into the file, and says where the code comes from.

use core::sync::atomic::Ordering::Release;
use std::collections::HashSet;

use super::super::arena::Arena;
use crate::format::code::{BLOCK_BYTES, BLOCKS, ENTRY_BYTES};
use crate::format::{CHUNK_HEAD_BYTES, ChunkHead, ChunkKind};
use crate::os::address_space::Line;
use crate::os::memory;

/// Blocks before and behind an instruction that are copied with its own.
const AROUND: u64 = 1;
/// Lists of mappings that are written at most.
const LISTS: u32 = 64;

/// The blocks of one process.
#[derive(Debug)]
pub(super) struct Blocks {
    head: &'static ChunkHead,
    payload: *mut u8,
    used: usize,
    known: HashSet<u64>,
}

// SAFETY: the payload is memory that this value alone writes, on whichever thread it is.
unsafe impl Send for Blocks {}

impl Blocks {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(arena: &Arena) -> Option<Self> {
        let chunk = arena.spare_chunk(BLOCKS * ENTRY_BYTES)?;
        let payload = chunk.payload();
        // SAFETY: the head lies right before the payload; it is made of atomics.
        let head = unsafe { &*payload.sub(CHUNK_HEAD_BYTES).cast::<ChunkHead>() };
        chunk.publish(ChunkKind::Code, 0);
        Some(Self { head, payload, used: 0, known: HashSet::new() })
    }

    /// Copies the blocks around an instruction that are not there yet.
    pub(super) fn copy_around(&mut self, address: u64) {
        let own = address / BLOCK_BYTES as u64;
        // Its own block first, for the case that there is room for one only.
        let others = (1..=AROUND).flat_map(|by| [own.checked_sub(by), own.checked_add(by)]);
        for block in core::iter::once(Some(own)).chain(others).flatten() {
            if self.used < BLOCKS && self.known.insert(block) {
                self.copy(block.wrapping_mul(BLOCK_BYTES as u64));
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "few blocks, of few bytes")]
    fn copy(&mut self, address: u64) {
        let mut code = [0_u8; BLOCK_BYTES];
        // A block never crosses a page: it can be read, or not at all.
        let length = memory::read(address, &mut code);
        if length == 0 {
            return;
        }
        let mut entry = [0_u8; ENTRY_BYTES];
        let (head, rest) = entry.split_at_mut(ENTRY_BYTES - BLOCK_BYTES);
        head[..8].copy_from_slice(&address.to_ne_bytes());
        head[12..16].copy_from_slice(&(length as u32).to_ne_bytes());
        rest.copy_from_slice(&code);
        // SAFETY: `used` is below `BLOCKS`, for which the payload has room; readers look no further than the count below.
        unsafe {
            let place = self.payload.add(self.used * ENTRY_BYTES);
            place.copy_from_nonoverlapping(entry.as_ptr(), ENTRY_BYTES);
        }
        self.used += 1;
        // Release: pairs with the reader's look at the count; the entry is complete.
        self.head.aux.store(self.used as u32, Release);
    }
}

/// The stretches of executable memory that the file has a list of.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    known: Vec<(u64, u64)>,
    lists: u32,
}

impl Mappings {
    /// Whether an address lies in none of the listed stretches, so that another list would tell more.
    pub(super) fn lacks(&self, address: u64) -> bool {
        let behind = self.known.partition_point(|&(start, _)| start <= address);
        let found = behind.checked_sub(1).and_then(|at| self.known.get(at));
        self.lists < LISTS && found.is_none_or(|&(_, end)| end <= address)
    }

    /// Writes the executable lines of `/proc/self/maps`, which `text` is, into the file.
    pub(super) fn write(&mut self, arena: &Arena, text: &str) {
        self.lists += 1;
        let lines = || {
            let lines = text.lines().filter_map(|text| Some((text, Line::parse(text)?)));
            lines.filter(|(_, line)| line.is_executable())
        };
        self.known = lines().map(|(_, line)| (line.start, line.end)).collect();
        let bytes = lines().map(|(text, _)| text.len() + 1).sum();
        arena.text_chunk(ChunkKind::Maps, bytes, |put| {
            for (text, _) in lines() {
                put(text.as_bytes());
                put(b"\n");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_outside_of_every_list_asks_for_another() {
        let mut mappings = Mappings::default();
        assert!(mappings.lacks(5));
        mappings.known = vec![(0x1000, 0x2000), (0x4000, 0x5000)];
        let lacking = [0xFFF, 0x1000, 0x1FFF, 0x2000, 0x4800, 0x5000].map(|at| mappings.lacks(at));
        assert_eq!(lacking, [true, false, false, true, false, true]);
        mappings.lists = LISTS;
        assert!(!mappings.lacks(5));
    }
}
