//! The table of accesses in the mapped file: an even sample of the whole run, of a fixed size. Written by signal handlers.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::fence;

use super::super::arena::Arena;
use crate::format::accesses::{BLOCK_ENTRIES, ENTRIES};
use crate::format::{Access, AccessData, Accesses, ChunkKind};

const HEAD_BYTES: usize = 128;
const BLOCKS: u64 = (ENTRIES / BLOCK_ENTRIES) as u64;

/// The table of one process.
#[derive(Debug)]
pub(super) struct AccessTable {
    pub(super) head: &'static Accesses,
    entries: &'static [Access],
}

impl AccessTable {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(arena: &Arena, period_ns: u64) -> Option<Self> {
        let chunk = arena.spare_chunk(HEAD_BYTES + ENTRIES * size_of::<Access>())?;
        // SAFETY: the payload is 64-aligned, zero, stays mapped for good, and begins with the head, which is atomics.
        let head = unsafe { &*chunk.payload().cast::<Accesses>() };
        // SAFETY: behind the head there is room for the entries, which are atomics and 16-aligned.
        let entries = unsafe {
            core::slice::from_raw_parts(chunk.payload().add(HEAD_BYTES).cast::<Access>(), ENTRIES)
        };
        head.period_ns.store(period_ns, Relaxed);
        chunk.publish(ChunkKind::Accesses, 0);
        Some(Self { head, entries })
    }

    /// Appends an entry, which may take the place of an older one, or none. For the signal handler.
    pub(super) fn append(&self, data: &AccessData) {
        let begun = self.head.begun.fetch_add(1, Relaxed);
        let Some(entry) = place_of(begun).and_then(|at| self.entries.get(at)) else {
            return;
        };
        entry.ticks.store(0, Relaxed);
        // Nothing below may be seen before the zero above.
        fence(Release);
        entry.node.store(data.node, Relaxed);
        entry.thread.store(data.thread, Relaxed);
        entry.sampled.store(data.sampled, Relaxed);
        entry.address.store(data.address, Relaxed);
        entry.open_since.store(data.open_since, Relaxed);
        entry.probed_0.store(data.probed_0, Relaxed);
        entry.probed_1.store(data.probed_1, Relaxed);
        entry.latency_0.store(data.latency_0, Relaxed);
        entry.latency_1.store(data.latency_1, Relaxed);
        entry.faults.store(data.faults, Relaxed);
        entry.kernel_us.store(data.kernel_us, Relaxed);
        entry.cpu_us.store(data.cpu_us, Relaxed);
        entry.flags.store(data.flags, Relaxed);
        // Release: pairs with the reader; the entry is complete.
        entry.ticks.store(data.ticks, Release);
    }
}

/// Where the entry with this number goes. Vitter's algorithm R by blocks; the choice depends on the block's number alone, so
/// that all threads that write to it agree.
#[expect(clippy::cast_possible_truncation, reason = "below the number of entries")]
fn place_of(begun: u64) -> Option<usize> {
    let block = begun / BLOCK_ENTRIES as u64;
    let chosen = if block < BLOCKS { block } else { mixed(block) % (block + 1) };
    (chosen < BLOCKS).then_some(chosen as usize * BLOCK_ENTRIES + begun as usize % BLOCK_ENTRIES)
}

/// A number without a pattern (the finalizer of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entries_fill_the_table_in_order() {
        for at in 0..ENTRIES {
            assert_eq!(place_of(at as u64), Some(at));
        }
    }

    #[test]
    fn what_is_left_of_a_long_run_is_an_even_sample() {
        const RUN: u64 = 100 * ENTRIES as u64;
        let mut left = vec![0_u64; ENTRIES];
        for begun in 0..RUN {
            if let Some(at) = place_of(begun) {
                left[at] = begun;
            }
        }
        // Each tenth of the run has a tenth of what is left: 9.6 of 96 blocks, give or take 3 standard deviations.
        for tenth in 0..10 {
            let of_it = left.iter().filter(|&&begun| begun / (RUN / 10) == tenth).count();
            assert!((0..=19 * BLOCK_ENTRIES).contains(&of_it), "{tenth}: {of_it}");
        }
        let mean = left.iter().sum::<u64>() as f64 / ENTRIES as f64 / RUN as f64;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
