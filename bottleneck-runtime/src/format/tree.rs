//! The record of one thread's tree.

use super::record;

/// [`Tree::source`]: off-CPU time comes from the kernel's context-switch records.
pub const SOURCE_SWITCHES: u32 = 1;
/// [`Tree::source`]: off-CPU time comes from the thread's CPU clock around longer spans.
pub const SOURCE_THREAD_CLOCK: u32 = 2;
/// [`Tree::flags`]: a thread writes to the tree now; without it, the tree waits for the next thread of its name.
pub const FLAG_IN_USE: u32 = 1;
/// [`Tree::flags`]: the recorder's own tree (calibration): not a part of the program.
pub const FLAG_RECORDER: u32 = 2;
/// [`Tree::flags`]: the thread that the process began with.
pub const FLAG_MAIN: u32 = 4;

record! {
    /// A thread's tree. Threads that end leave it to the next thread of the same name (digits removed), so a server
    /// that starts a thread per request needs one tree.
    Tree,
    /// A copy of a [`Tree`].
    TreeData, 256, 64,
    {
        /// Reference of the root node.
        root: u32 @ 0,
        /// Thread id of the thread that has the tree now, or had it last.
        tid: u32 @ 4,
        /// `SOURCE_*`.
        source: u32 @ 8,
        /// `FLAG_*`.
        flags: u32 @ 12,
        /// Threads that had the tree so far.
        threads: u64 @ 16,
        /// First 8 bytes of the thread's name, zero padded.
        name_0: u64 @ 24,
        /// Last 8 bytes of the thread's name.
        name_1: u64 @ 32,
        /// `CLOCK_MONOTONIC` of the first attachment, in ns.
        first_ns: u64 @ 40,
        /// `CLOCK_MONOTONIC` when the present (or last) thread attached, in ns.
        attached_ns: u64 @ 48,
        /// Its CPU clock then, in ns.
        attached_cpu_ns: u64 @ 56,
        /// `CLOCK_MONOTONIC` when the last thread detached, in ns; 0 while one is attached.
        detached_ns: u64 @ 64,
        /// Lives of the threads that ended, first span to end, in ns.
        lived_ns: u64 @ 72,
        /// CPU time of the threads that ended, in ns, by their own clocks.
        lived_cpu_ns: u64 @ 80,
        /// Beginning of the wait that the thread is in now, `CLOCK_MONOTONIC` ns; 0 when none is known.
        off_since_ns: u64 @ 88,
        /// 1 when that wait is a preemption.
        off_preempted: u64 @ 96,
        /// Switch records that were lost for this tree.
        lost_switches: u64 @ 104,
        /// `errno` of the refused `perf_event_open`, or of its `mmap`; 0 when it was had.
        refused_errno: u64 @ 112,
        /// Which call that was: 1 `perf_event_open`, 2 `mmap`.
        refused_call: u64 @ 120,
        /// Newest CPU clock that the recorder's thread saw of this thread, in ns.
        seen_cpu_ns: u64 @ 128,
        /// `CLOCK_MONOTONIC` of that look, in ns.
        seen_ns: u64 @ 136,
        /// Reserved, zero.
        reserved: u64 @ 144,
    }
}

impl TreeData {
    /// The thread's name; what is not UTF-8 is replaced.
    pub fn name(&self) -> String {
        name_of(self.name_0, self.name_1)
    }
}

/// The name in two zero-padded halves; what is not UTF-8 is replaced.
pub(super) fn name_of(name_0: u64, name_1: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&name_0.to_ne_bytes());
    bytes[8..].copy_from_slice(&name_1.to_ne_bytes());
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
