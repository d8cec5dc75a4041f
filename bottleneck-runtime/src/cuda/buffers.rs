//! Buffers that CUPTI fills with records.

use core::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::os;

/// Bytes of a buffer: some 5000 kernels.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;
/// Buffers at most. Beyond, the oldest that nobody has read is given up: the program comes first.
const MOST: usize = 64;

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

    /// A buffer for CUPTI; `None` where there is no memory at all.
    pub(crate) fn take(&self) -> Option<NonNull<u8>> {
        let mut state = self.state();
        if let Some(free) = state.free.pop() {
            return Some(free.memory);
        }
        if state.made < MOST
            && let Some(memory) =
                os::memory::pages(BUFFER_BYTES).and_then(|it| NonNull::new(it.cast()))
        {
            state.made += 1;
            return Some(memory);
        }
        if state.filled.is_empty() {
            return None;
        }
        state.given_up += 1;
        Some(state.filled.remove(0).memory)
    }

    /// A buffer comes back with records.
    pub(crate) fn put_filled(&self, memory: NonNull<u8>, used: usize) {
        self.state().filled.push(Filled { memory, used: used.min(BUFFER_BYTES) });
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
            let memory = buffers.take().unwrap();
            buffers.put_filled(memory, n);
        }
        assert_eq!(buffers.given_up(), 0);
        let oldest = buffers.take().unwrap();
        assert_eq!(buffers.given_up(), 1);
        let filled = buffers.take_filled();
        assert_eq!(
            filled.iter().map(|it| it.used).collect::<Vec<_>>(),
            (1..MOST).collect::<Vec<_>>()
        );
        buffers.put_free(oldest);
        assert_eq!(buffers.take(), Some(oldest));
    }
}
