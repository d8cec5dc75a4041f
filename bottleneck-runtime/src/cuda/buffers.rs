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

/// Where records go that nobody will read: CUPTI before CUDA 13 ends the program if it is given no buffer at all.
#[repr(align(64))]
struct Scratch(UnsafeCell<[u8; SCRATCH_BYTES]>);

// SAFETY: CUPTI alone writes to it, through the pointer that it is given; nothing here reads it.
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
            return Empty::scratch();
        }
        state.given_up += 1;
        Empty::whole(state.filled.remove(0).memory)
    }

    /// A buffer comes back with records.
    pub(crate) fn put_filled(&self, memory: NonNull<u8>, used: usize) {
        let mut state = self.state();
        if memory != Empty::scratch().memory {
            state.filled.push(Filled { memory, used: used.min(BUFFER_BYTES) });
        } else if used > 0 {
            state.given_up += 1;
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
        let last = buffers.take();
        assert_eq!(last.bytes, SCRATCH_BYTES);
        buffers.put_filled(last.memory, 0);
        assert_eq!((buffers.given_up(), buffers.take_filled().len()), (0, 0), "it holds nothing");
        buffers.put_filled(last.memory, 80);
        assert_eq!((buffers.given_up(), buffers.take_filled().len()), (1, 0));
        buffers.put_filled(taken[0].memory, 80);
        assert_eq!(buffers.take_filled().len(), 1);
    }
}
