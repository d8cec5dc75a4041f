//! Buffers that CUPTI fills with records.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::os;

/// Bytes of a buffer: some 5000 kernels.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;
/// Buffers at most. Beyond, the oldest that nobody has read is given up: the program comes first.
const MOST: usize = 64;
/// Bytes of the buffer of last resort.
const SCRATCH_BYTES: usize = 64 << 10;

/// Where records go that nobody will read, if there is no memory left: CUPTI before CUDA 13 ends the program if it is given no
/// buffer at all.
#[repr(align(64))]
struct Scratch(UnsafeCell<[u8; SCRATCH_BYTES]>);

// SAFETY: nothing here reads or writes it: it is CUPTI's, however many of its threads have it.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; SCRATCH_BYTES]));

/// A buffer to be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Empty {
    pub(crate) memory: NonNull<u8>,
    pub(crate) bytes: usize,
}

impl Empty {
    /// The buffer of last resort, however many have it already.
    pub(crate) fn scratch() -> Self {
        Self { memory: NonNull::from(&SCRATCH.0).cast(), bytes: SCRATCH_BYTES }
    }

    fn whole(memory: NonNull<u8>) -> Self {
        Self { memory, bytes: BUFFER_BYTES }
    }
}

/// A buffer, and how much of it is records.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) memory: NonNull<u8>,
    pub(crate) used: usize,
}

// SAFETY: memory of this crate's own, which one thread has at a time.
unsafe impl Send for Filled {}

/// All buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    made: usize,
    /// Small ones that were made for records which nobody will read; they go as they come back.
    spare: Vec<Filled>,
    free: Vec<Filled>,
    /// Those with records, the oldest first.
    filled: Vec<Filled>,
    /// Buffers whose records were given up.
    given_up: u64,
}

impl Buffers {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer for CUPTI: one to be read, if there is any.
    pub(crate) fn take(&self) -> Empty {
        let mut state = self.state();
        if let Some(free) = state.free.pop() {
            return Empty::whole(free.memory);
        }
        if state.made < MOST
            && let Some(memory) =
                os::memory::pages(BUFFER_BYTES).and_then(|it| NonNull::new(it.cast()))
        {
            state.made += 1;
            return Empty::whole(memory);
        }
        if state.filled.is_empty() {
            let spare = os::memory::pages(SCRATCH_BYTES).and_then(|it| NonNull::new(it.cast()));
            let Some(memory) = spare else { return Empty::scratch() };
            state.spare.push(Filled { memory, used: 0 });
            return Empty { memory, bytes: SCRATCH_BYTES };
        }
        state.given_up += 1;
        let memory = state.filled.remove(0).memory;
        drop(state);
        // SAFETY: the buffer has so many bytes, and is in no list now.
        unsafe { memory.as_ptr().write_bytes(0, BUFFER_BYTES) };
        Empty::whole(memory)
    }

    /// A buffer comes back with records.
    pub(crate) fn put_filled(&self, memory: NonNull<u8>, used: usize) {
        let mut state = self.state();
        let spare = state.spare.iter().position(|it| it.memory == memory);
        if spare.is_none() && memory != Empty::scratch().memory {
            state.filled.push(Filled { memory, used: used.min(BUFFER_BYTES) });
            return;
        }
        state.given_up += u64::from(used > 0);
        if let Some(at) = spare {
            state.spare.swap_remove(at);
            // SAFETY: made with this size in `take`; CUPTI has just given it back.
            unsafe { os::memory::give_back_pages(memory.as_ptr(), SCRATCH_BYTES) };
        }
    }

    /// What has come back, the oldest first.
    pub(crate) fn take_filled(&self) -> Vec<Filled> {
        core::mem::take(&mut self.state().filled)
    }

    /// A buffer has been read.
    pub(crate) fn put_free(&self, memory: NonNull<u8>) {
        self.state().free.push(Filled { memory, used: 0 });
    }

    /// Buffers whose records were given up so far.
    pub(crate) fn given_up(&self) -> u64 {
        self.state().given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_always_gets_a_buffer() {
        let buffers = Buffers::default();
        for n in 0..MOST {
            buffers.put_filled(buffers.take().memory, n);
        }
        assert_eq!(buffers.given_up(), 0);
        let oldest = buffers.take().memory;
        assert_eq!(buffers.given_up(), 1);
        let filled = buffers.take_filled();
        assert_eq!(
            filled.iter().map(|it| it.used).collect::<Vec<_>>(),
            (1..MOST).collect::<Vec<_>>()
        );
        buffers.put_free(oldest);
        assert_eq!(buffers.take(), Empty::whole(oldest));
    }

    #[test]
    fn where_all_are_being_filled_records_are_given_up_and_counted() {
        let buffers = Buffers::default();
        let taken: Vec<Empty> = (0..MOST).map(|_| buffers.take()).collect();
        let (last, other) = (buffers.take(), buffers.take());
        assert_eq!((last.bytes, other.bytes), (SCRATCH_BYTES, SCRATCH_BYTES));
        assert_ne!(last.memory, other.memory, "two that are filled at once are two");
        buffers.put_filled(last.memory, 0);
        assert_eq!((buffers.given_up(), buffers.take_filled().len()), (0, 0), "it holds nothing");
        buffers.put_filled(other.memory, 80);
        assert_eq!((buffers.given_up(), buffers.take_filled().len()), (1, 0));
        buffers.put_filled(taken[0].memory, 80);
        assert_eq!(buffers.take_filled().len(), 1);
    }
}
