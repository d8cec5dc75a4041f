//! The record of a task: a thread of the process as snapshots name it, annotated or not.
//!
//! A chunk of kind [`super::ChunkKind::Tasks`] holds up to [`TASKS`] of them, as many as its `aux` says.

use super::record;

/// Records in one chunk of tasks.
pub const TASKS: usize = 256;
/// [`Task::flags`]: the recorder's own thread: not a part of the program.
pub const FLAG_RECORDER: u32 = 1;
/// [`Task::flags`]: the thread that the process began with.
pub const FLAG_MAIN: u32 = 2;

record! {
    /// A thread, or several that came one after the other: those with spans share the record of their tree, the others
    /// one of their name without digits, if none of them lives still.
    Task,
    /// A copy of a [`Task`].
    TaskData, 64, 64,
    {
        /// Reference of the root node of its tree; 0 where it has no span.
        root: u32 @ 0,
        /// Thread id of the newest thread.
        tid: u32 @ 4,
        /// `FLAG_*`.
        flags: u32 @ 8,
        /// Reserved, zero.
        reserved: u32 @ 12,
        /// First 8 bytes of the name, zero padded.
        name_0: u64 @ 16,
        /// Last 8 bytes of the name.
        name_1: u64 @ 24,
        /// Threads that had the record so far.
        threads: u64 @ 32,
        /// CPU time of those that ended and of the present one, as last seen, in ns; 0 where a tree has it.
        cpu_ns: u64 @ 40,
    }
}

impl TaskData {
    /// The thread's name; what is not UTF-8 is replaced.
    pub fn name(&self) -> String {
        super::tree::name_of(self.name_0, self.name_1)
    }
}
