//! Which instructions the threads with spans were at: a table in the mapped file, of a fixed size.
//!
//! Threads count their own samples in a signal handler, or when they read their rings. That makes no allocation, takes no lock and
//! waits for no other thread: what finds no slot is counted as lost.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicUsize};

use super::arena::Arena;
use crate::format::samples::{FLAG_ADOPTED, FLAG_SPINS, FLAG_UNREAD, SLOTS};
use crate::format::{ChunkKind, Sample, Samples};
use crate::os;

/// Slots that are tried for an instruction.
const TRIES: usize = 64;
/// A hint this near to the sampled instruction, before or behind, makes it one of a loop that waits.
const NEAR_BYTES: usize = 24;
const HEAD_BYTES: usize = 64;

/// The table of one process.
#[derive(Debug)]
pub(super) struct SampleTable {
    head: &'static Samples,
    slots: &'static [Sample],
    /// Indices of the slots in the order in which they were filled, plus one; 0 for none yet.
    order: Box<[AtomicU32]>,
    filled: AtomicUsize,
    /// How many of them the background thread has looked at.
    seen: AtomicUsize,
}

impl SampleTable {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(arena: &Arena) -> Option<Self> {
        let chunk = arena.spare_chunk(HEAD_BYTES + SLOTS * size_of::<Sample>())?;
        // SAFETY: the payload is 64-aligned, zero, stays mapped for good, and begins with the head, which is atomics.
        let head = unsafe { &*chunk.payload().cast::<Samples>() };
        // SAFETY: behind the head there is room for the slots, which are atomics and 32-aligned.
        let slots = unsafe {
            core::slice::from_raw_parts(chunk.payload().add(HEAD_BYTES).cast::<Sample>(), SLOTS)
        };
        chunk.publish(ChunkKind::Samples, 0);
        Some(Self::of(head, slots))
    }

    fn of(head: &'static Samples, slots: &'static [Sample]) -> Self {
        let order = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self { head, slots, order, filled: AtomicUsize::new(0), seen: AtomicUsize::new(0) }
    }

    /// A thread is sampled every so many nanoseconds of its CPU time.
    pub(super) fn note_period(&self, period_ns: u64) {
        self.head.period_ns.store(period_ns, Relaxed);
    }

    /// Counts a sample of the instruction at `address`, taken while the node with this reference was innermost, in its thread
    /// or in the one that waits for it. May be called in a signal handler.
    pub(super) fn count(&self, node: u32, address: u64, is_adopted: bool) {
        if !self.try_count(node, address, if is_adopted { FLAG_ADOPTED } else { 0 }) {
            self.head.lost.fetch_add(1, Relaxed);
        }
    }

    fn try_count(&self, node: u32, address: u64, adopted: u32) -> bool {
        let first = slot_of(node, address);
        for at in (0..TRIES).map(|step| (first + step) % SLOTS) {
            let Some(slot) = self.slots.get(at) else {
                return false;
            };
            // Acquire: pairs with the Release below; who sees a count sees what is counted.
            if slot.count.load(Acquire) == 0 {
                if slot.reserved.compare_exchange(0, 1, Relaxed, Relaxed).is_ok() {
                    slot.node.store(node, Relaxed);
                    slot.address.store(address, Relaxed);
                    slot.flags.store(adopted, Relaxed);
                    // Release: pairs with the readers, in this process and of the file; the slot is complete.
                    slot.count.store(1, Release);
                    self.note_filled(at);
                    return true;
                }
                // Another thread fills it just now. It may be interrupted: no waiting for it without an end.
                if !is_filled_soon(slot) {
                    return false;
                }
            }
            if slot.node.load(Relaxed) == node
                && slot.address.load(Relaxed) == address
                && slot.flags.load(Relaxed) & FLAG_ADOPTED == adopted
            {
                slot.count.fetch_add(1, Relaxed);
                return true;
            }
        }
        false
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are few slots")]
    fn note_filled(&self, at: usize) {
        let place = self.filled.fetch_add(1, Relaxed);
        if let Some(place) = self.order.get(place) {
            place.store(at as u32 + 1, Release);
        }
    }

    /// Looks at the code around instructions that were sampled for the first time, notes what it says, and hands over their
    /// addresses. For one thread, which is not sampled itself.
    pub(super) fn for_each_new(&self, mut each: impl FnMut(u64)) {
        let mut seen = self.seen.load(Relaxed);
        while let Some(place) = self.order.get(seen) {
            // Acquire: pairs with the Release in `note_filled`.
            let Some(at) = place.load(Acquire).checked_sub(1) else {
                break;
            };
            seen += 1;
            if let Some(slot) = self.slots.get(at as usize) {
                let address = slot.address.load(Relaxed);
                slot.flags.fetch_or(flags_of(address), Relaxed);
                each(address);
            }
        }
        self.seen.store(seen, Relaxed);
    }
}

/// Whether another thread has filled a slot, which takes it some nanoseconds unless it is interrupted.
fn is_filled_soon(slot: &Sample) -> bool {
    (0..64).any(|_| {
        core::hint::spin_loop();
        slot.count.load(Acquire) != 0
    })
}

/// Where the search begins.
fn slot_of(node: u32, address: u64) -> usize {
    let mixed = (address ^ u64::from(node) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize % SLOTS
}

/// What the instructions around an address say. Read by the kernel: they may be gone by now.
fn flags_of(address: u64) -> u32 {
    let mut near = [0_u8; 2 * NEAR_BYTES];
    let (before, behind) = near.split_at_mut(NEAR_BYTES);
    let n_behind = os::memory::read(address, behind);
    if n_behind == 0 {
        return FLAG_UNREAD;
    }
    // Where the page before is missing, what is behind the address is read all the same.
    let n_before = os::memory::read(address.wrapping_sub(NEAR_BYTES as u64), before);
    let from = if n_before == NEAR_BYTES { 0 } else { NEAR_BYTES };
    let code = near.get(from..NEAR_BYTES + n_behind).unwrap_or_default();
    if has_spin_hint(code) { FLAG_SPINS } else { 0 }
}

/// Whether `pause` is among the instructions.
#[cfg(target_arch = "x86_64")]
fn has_spin_hint(code: &[u8]) -> bool {
    code.windows(2).any(|pair| pair == [0xF3, 0x90])
}

/// Whether `yield` or `isb` is among the instructions. `code` begins with one, as sampled addresses do.
#[cfg(target_arch = "aarch64")]
fn has_spin_hint(code: &[u8]) -> bool {
    const YIELD: u32 = 0xD503_203F;
    const ISB: u32 = 0xD503_3FDF;
    code.chunks_exact(4)
        .filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?)))
        .any(|word| word == YIELD || word == ISB)
}

/// No hint is known for this architecture.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_spin_hint(_code: &[u8]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    fn table() -> SampleTable {
        let layout = |bytes| std::alloc::Layout::from_size_align(bytes, 64).unwrap();
        let (head, slots) = (layout(64), layout(SLOTS * size_of::<Sample>()));
        // SAFETY: leaked zeros of the right size and alignment, which are valid for atomics.
        unsafe {
            SampleTable::of(
                &*std::alloc::alloc_zeroed(head).cast(),
                core::slice::from_raw_parts(std::alloc::alloc_zeroed(slots).cast(), SLOTS),
            )
        }
    }

    fn sum(table: &SampleTable) -> u64 {
        table.slots.iter().map(|slot| slot.count.load(Relaxed)).sum()
    }

    #[test]
    fn an_instruction_has_a_slot_for_every_path() {
        let table = table();
        for _ in 0..3 {
            table.count(5, 0x1000, false);
            table.count(6, 0x1000, false);
            table.count(5, 0x1001, false);
        }
        let found: Vec<_> = table.slots.iter().filter(|it| it.count.load(Relaxed) != 0).collect();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|slot| slot.count.load(Relaxed) == 3));
        // Nothing is mapped at these addresses.
        let mut addresses = Vec::new();
        table.for_each_new(|address| addresses.push(address));
        assert_eq!(addresses, [0x1000, 0x1000, 0x1001]);
        table.for_each_new(|_| panic!("all were new before"));
        assert!(found.iter().all(|slot| slot.flags.load(Relaxed) == FLAG_UNREAD));
    }

    #[test]
    fn what_finds_no_slot_is_counted_and_nothing_else_is_lost() {
        let table = table();
        for at in 0..12_000 {
            table.count(1, 8 * at, false);
        }
        let lost = table.head.lost.load(Relaxed);
        assert_eq!(sum(&table) + lost, 12_000);
        assert!((3_000..5_000).contains(&lost), "{lost}");
    }

    #[test]
    fn many_threads_count_at_once() {
        static DONE: AtomicU64 = AtomicU64::new(0);
        let table = table();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..20_000_u64 {
                        table.count(1, at % 64, false);
                        DONE.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(sum(&table) + table.head.lost.load(Relaxed), DONE.load(Relaxed));
        let filled = table.slots.iter().filter(|slot| slot.count.load(Relaxed) != 0).count();
        assert_eq!(filled, 64);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_hint_is_found_near_the_instruction_only() {
        let mut code = vec![0x48_u8; 4096];
        code[1000..1002].copy_from_slice(&[0xF3, 0x90]);
        let at = |offset: u64| flags_of(code.as_ptr() as u64 + offset);
        for near in [1000, 1002, 1022, 980] {
            assert_eq!(at(near), FLAG_SPINS, "{near}");
        }
        assert_eq!((at(900), at(1100)), (0, 0));
    }
}
