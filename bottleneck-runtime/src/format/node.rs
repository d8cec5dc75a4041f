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
        /// Reference of the histogram; 0 until the second call.
        histogram: u32 @ 24,
        /// The child that was entered last: a hint for the writer.
        recent_child: u32 @ 28,
        /// Spans above this one; the root has 0.
        depth: u32 @ 32,
        /// `FLAG_*`.
        flags: u32 @ 36,
        /// Ticks when the span that is open now began; 0 when none is.
        open_since: u64 @ 40,
        /// Calls that ended.
        count: u64 @ 48,
        /// Ticks inside them, children included; for an asynchronous site the ticks inside polls.
        total: u64 @ 56,
        /// Shortest call, in ticks; the life of a future from first poll to its end.
        min: u64 @ 64,
        /// Longest call, in ticks.
        max: u64 @ 72,
        /// Calls folded into this node because of recursion; their time is in the calls around them.
        folded: u64 @ 80,
        /// Time off the CPU while this node was innermost and the thread waited, in ns.
        blocked_ns: u64 @ 88,
        /// Time off the CPU while this node was innermost and the thread could have run, in ns.
        preempted_ns: u64 @ 96,
        /// Waits in `blocked_ns`.
        blocked_count: u64 @ 104,
        /// Interruptions in `preempted_ns`.
        preempted_count: u64 @ 112,
        /// The part of `blocked_ns` after the wake-up, waiting for a CPU, in ns.
        wakeup_ns: u64 @ 120,
        /// Page faults served without I/O, children included; only under `FLAG_THREAD_CLOCK`.
        minor_faults: u64 @ 128,
        /// Page faults that read from a disk, children included; only under `FLAG_THREAD_CLOCK`.
        major_faults: u64 @ 136,
        /// CPU time of the measured calls, children included, in ns.
        cpu_ns: u64 @ 144,
        /// Ticks of the calls that `cpu_ns` covers.
        cpu_ticks: u64 @ 152,
        /// Declared floating-point (or integer) operations, as the bits of an `f64`.
        flops: u64 @ 160,
        /// Declared compulsory bytes, as the bits of an `f64`.
        bytes: u64 @ 168,
        /// Calls (or `work()`s) that declared work.
        work_count: u64 @ 176,
        /// Type of the declared operations, as in `SiteRecord::dtype`; that of the last declaration.
        work_dtype: u64 @ 184,
        /// Polls of an asynchronous site.
        polls: u64 @ 192,
        /// Ticks between polls.
        waiting: u64 @ 200,
        /// Futures that were first polled here.
        started: u64 @ 208,
        /// Futures that were dropped before they were ready.
        cancelled: u64 @ 216,
        /// Calls that ended by a panic.
        panicked: u64 @ 224,
        /// Reserved, zero.
        reserved: u64 @ 232,
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
