//! One node of a calling-context tree: a path of sites, and everything counted on it.

use super::record;

/// [`Node::flags`]: the node's site is an asynchronous function; `count` counts calls, `polls` the polls.
pub const FLAG_ASYNC: u32 = 1;
/// [`Node::flags`]: the on-CPU time comes from `CLOCK_THREAD_CPUTIME_ID` at both ends (`cpu_ns`, `cpu_ticks`).
pub const FLAG_THREAD_CLOCK: u32 = 2;
/// [`Node::flags`]: a part of the blocked time is a difference of clocks, because switch records were lost.
pub const FLAG_CLOCK_DELTA: u32 = 4;

record! {
    /// A path of sites within one thread's tree. One thread writes it at a time, with Relaxed stores; the links are
    /// published with Release. 256 bytes, so that the fields of the hot path share the first two cache lines.
    ///
    /// The fields that begin with `own_` are addresses in the writing process, there to save it a multiplication and a
    /// look into another cache line; they say nothing to a reader.
    Node,
    /// A copy of a [`Node`].
    NodeData, 256, 64,
    {
        /// Index of the site; 0 in the root of a tree.
        site: u32 @ 0,
        /// Reference of the parent; 0 in the root.
        parent: u32 @ 4,
        /// Reference of the oldest child.
        first_child: u32 @ 8,
        /// Reference of the next younger sibling.
        next_sibling: u32 @ 12,
        /// Hash of the `key`; 0 without one.
        key: u64 @ 16,
        /// Ticks when the span that is open now began; 0 when none is.
        open_since: u64 @ 24,
        /// The thread's recorder.
        own_recorder: u64 @ 32,
        /// The parent; in the root the root itself.
        own_parent: u64 @ 40,
        /// The child that was entered last; an empty node where there is none.
        own_recent_child: u64 @ 48,
        /// The histogram; 0 until the second call.
        own_histogram: u64 @ 56,
        /// Calls that ended.
        count: u64 @ 64,
        /// Ticks inside them, children included; for an asynchronous site the ticks inside polls.
        total: u64 @ 72,
        /// Shortest call, in ticks; the life of a future from first poll to its end.
        min: u64 @ 80,
        /// Longest call, in ticks.
        max: u64 @ 88,
        /// Reference of the histogram; 0 until the second call.
        histogram: u32 @ 96,
        /// Spans above this one; the root has 0.
        depth: u32 @ 100,
        /// `FLAG_*`.
        flags: u32 @ 104,
        /// Type of the operations that `work()` declared, as in `SiteRecord::dtype` and one; 0 where none did.
        work_dtype: u32 @ 108,
        /// Calls folded into this node because of recursion; their time is in the calls around them.
        folded: u64 @ 112,
        /// Time off the CPU while this node was innermost and the thread waited, in ns.
        blocked_ns: u64 @ 120,
        /// Time off the CPU while this node was innermost and the thread could have run, in ns.
        preempted_ns: u64 @ 128,
        /// Waits in `blocked_ns`.
        blocked_count: u64 @ 136,
        /// Interruptions in `preempted_ns`.
        preempted_count: u64 @ 144,
        /// The part of `blocked_ns` after the wake-up, waiting for a CPU, in ns.
        wakeup_ns: u64 @ 152,
        /// Page faults served without I/O, children included; only under `FLAG_THREAD_CLOCK`.
        minor_faults: u64 @ 160,
        /// Page faults that read from a disk, children included; only under `FLAG_THREAD_CLOCK`.
        major_faults: u64 @ 168,
        /// CPU time of the measured calls, children included, in ns.
        cpu_ns: u64 @ 176,
        /// Ticks of the calls that `cpu_ns` covers.
        cpu_ticks: u64 @ 184,
        /// Declared floating-point (or integer) operations, as the bits of an `f64`.
        flops: u64 @ 192,
        /// Declared compulsory bytes, as the bits of an `f64`.
        bytes: u64 @ 200,
        /// Calls (or `work()`s) that declared work.
        work_count: u64 @ 208,
        /// Polls of an asynchronous site.
        polls: u64 @ 216,
        /// Ticks between polls.
        waiting: u64 @ 224,
        /// Futures that were first polled here.
        started: u64 @ 232,
        /// Futures that were dropped before they were ready.
        cancelled: u64 @ 240,
        /// Futures that ended by a panic.
        panicked: u64 @ 248,
    }
}

impl NodeData {
    /// Declared operations.
    pub fn declared_flops(&self) -> f64 {
        f64::from_bits(self.flops)
    }

    /// Declared bytes.
    pub fn declared_bytes(&self) -> f64 {
        f64::from_bits(self.bytes)
    }
}
