//! Accesses: what data sampled threads were about to use, and how long loads of such data take.
//!
//! One chunk of kind [`super::ChunkKind::Accesses`] holds an [`Accesses`] record and behind it [`ENTRIES`] entries of
//! [`Access`] in blocks of [`BLOCK_ENTRIES`]. Each sample of an instruction with a recipe is one entry, written by the
//! sampled thread in its signal handler; entries of several threads are interleaved. When all blocks are full, a new block
//! takes the place of one chosen at random, or none: what is left is an even sample of the whole run.

use super::record;

/// Entries of the table.
pub const ENTRIES: usize = 6144;
/// Entries that are kept or given up together.
pub const BLOCK_ENTRIES: usize = 64;

/// [`Access::flags`]: the node is not the thread's own but that of the span which waits for it.
pub const FLAG_ADOPTED: u32 = 1;

/// [`Access::flags`]: no call before used these addresses: they lie ahead of the sample's own, as far as its instruction gets at
/// the even rate at which it went through memory.
pub const FLAG_EXTRAPOLATED: u32 = 2;

record! {
    /// The head of the table.
    Accesses,
    /// A copy of an [`Accesses`].
    AccessesData, 128, 64,
    {
        /// Entries that were begun, with those given up since.
        begun: u64 @ 0,
        /// Set to 1 by `cargo bottleneck` once it hands out recipes; nothing is probed before.
        partner: u32 @ 8,
        /// Set to 1 by the program when the data of sampled instructions may be probed.
        is_probing: u32 @ 12,
        /// CPU time of a thread between two of its samples, in ns, as asked for.
        period_ns: u64 @ 16,
        /// Samples taken, with a recipe or without.
        samples: u64 @ 24,
        /// Ticks inside the signal handler, all threads together.
        handler_ticks: u64 @ 32,
        /// Timed loads.
        probes: u64 @ 40,
        /// Addresses that were not probed because their memory is not of a probed sort, or came and went lately.
        not_eligible: u64 @ 48,
        /// Addresses that were not probed because their page was not resident.
        not_resident: u64 @ 56,
        /// Probes that hit memory which had gone away, and were put right.
        faults: u64 @ 64,
        /// Samples of threads without a span that no span waits for.
        unadopted: u64 @ 72,
        /// Reserved, zero.
        reserved: u64 @ 80,
    }
}

/// One sample of an instruction with a recipe.
pub mod access {
    use super::super::record;

    record! {
        /// The data that a thread was about to use, and up to two timed loads of what it is about to need.
        Access,
        /// A copy of an [`Access`].
        AccessData, 80, 16,
        {
            /// When, in ticks. Zero while the entry is written; stored last, with Release.
            ticks: u64 @ 0,
            /// Reference of the innermost open node.
            node: u32 @ 8,
            /// Which sampled thread, counted from 0; a thread's number is used again after its end.
            thread: u32 @ 12,
            /// The sampled address.
            sampled: u64 @ 16,
            /// Address of the data; 0 where it cannot be computed.
            address: u64 @ 24,
            /// When the node's open span began, in ticks: entries with the same one are of one call. 0 where it is unknown.
            open_since: u64 @ 32,
            /// Addresses that were probed; 0 for none.
            probed_0: u64 @ 40,
            /// The second one.
            probed_1: u64 @ 48,
            /// Ticks that a load of each took, the fences around it included.
            latency_0: u32 @ 56,
            /// Of the second one.
            latency_1: u32 @ 60,
            /// Page faults of the thread since its entry before, minor and major; saturating.
            faults: u32 @ 64,
            /// `FLAG_*`.
            flags: u32 @ 68,
            /// CPU time of the thread inside the kernel since its entry before, in µs; by the kernel's ticks. Saturating.
            kernel_us: u32 @ 72,
            /// All of its CPU time since then, in µs. Saturating.
            cpu_us: u32 @ 76,
        }
    }
}

pub use access::{Access, AccessData};
