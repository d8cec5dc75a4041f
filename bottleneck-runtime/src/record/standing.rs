//! What a thread with spans is at, seen from outside, without a system call where it has a ring. Reads, and consumes nothing.

use core::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, TryLockError};

use super::off_cpu::{Drain, Standing};
use super::recorder::Recorder;

/// A look at a thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) standing: Standing,
    /// Tells, by [`Recorder::has_moved`], whether the thread was switched since.
    pub(super) head: u64,
    /// Reference of its innermost open node; 0 where none is open.
    pub(super) node: u32,
}

impl Recorder {
    /// What the thread does; `None` if the recorder is not that thread's any more.
    ///
    /// A thread off the CPU cannot change its node meanwhile: it would account for the switch first, and wait for the lock.
    pub(super) fn look(&self, tid: u32) -> Option<Look> {
        let Some(mut drain) = self.drain_unless_used() else {
            return Some(Look { standing: Standing::OnCpu, head: 0, node: self.open_node() });
        };
        if drain.tid() != tid {
            return None;
        }
        let (standing, head) = drain.look();
        Some(Look { standing, head, node: self.open_node() })
    }

    /// Whether the thread was switched since a look that had this head.
    pub(super) fn has_moved(&self, head: u64) -> bool {
        self.drain_unless_used().is_none_or(|drain| drain.has_moved(head))
    }

    /// Reference of the innermost open node; 0 where none is open.
    pub(crate) fn open_node(&self) -> u32 {
        let node = self.current();
        if node.depth.load(Relaxed) == 0 { 0 } else { self.reference(node) }
    }

    /// `None` if the thread itself is accounting now.
    fn drain_unless_used(&self) -> Option<MutexGuard<'_, Drain>> {
        match self.drain.try_lock() {
            Ok(drain) => Some(drain),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
