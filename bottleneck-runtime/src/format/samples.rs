//! Samples: which instructions the threads with spans were at, where the kernel lets them be sampled.
//!
//! One chunk of kind [`super::ChunkKind::Samples`] holds a [`Samples`] record and behind it [`SLOTS`] slots of [`Sample`],
//! in any order; unused ones are zero. Only instructions of the program itself are sampled, not the kernel's.

use super::record;

/// Slots of the table.
pub const SLOTS: usize = 8192;
/// [`Sample::flags`]: a spin-wait hint (`pause`, `yield`, `isb`) is among the instructions next to the sampled one.
pub const FLAG_SPINS: u32 = 1;
/// [`Sample::flags`]: the instructions next to it could not be read.
pub const FLAG_UNREAD: u32 = 2;
/// [`Sample::flags`]: the samples are of threads without spans, and the node is that of the span which waits for them. Such
/// samples have slots of their own.
pub const FLAG_ADOPTED: u32 = 4;

record! {
    /// The head of the table.
    Samples,
    /// A copy of a [`Samples`].
    SamplesData, 64, 64,
    {
        /// CPU time of a thread between two of its samples, in ns.
        period_ns: u64 @ 0,
        /// Samples that came when no slot was left.
        lost: u64 @ 8,
    }
}

/// One instruction under one path.
pub mod slot {
    use super::super::record;

    record! {
        /// An instruction, and how often it was the one.
        Sample,
        /// A copy of a [`Sample`].
        SampleData, 32, 32,
        {
            /// Reference of the innermost open node; that of a tree's root where no span was open.
            node: u32 @ 0,
            /// `FLAG_*`.
            flags: u32 @ 4,
            /// Address of the instruction.
            address: u64 @ 8,
            /// Samples. Stored last, with Release.
            count: u64 @ 16,
            /// 1 from the moment on that the slot is filled; says nothing to a reader.
            reserved: u64 @ 24,
        }
    }
}

pub use slot::{Sample, SampleData};
