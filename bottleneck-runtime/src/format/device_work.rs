//! Work of devices, and what the host did for it, as CUPTI tells it or as events around spans were measured.
//!
//! A chunk of kind [`super::ChunkKind::DeviceWork`] holds up to [`WORKS`] of them, as many as its `aux` says, in the order in
//! which they became known, which is not that of their times. A chunk of kind [`super::ChunkKind::DeviceName`] holds one name:
//! its number (`u32`), then the text in UTF-8. A chunk of kind [`super::ChunkKind::Device`] holds what is known of a device,
//! lines of `name=value` in UTF-8.

use super::record;

/// Records in one chunk.
pub const WORKS: usize = 512;

/// What a record is about: [`DeviceWork::class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Class {
    /// A kernel; `what` is the number of its name.
    Kernel = 1,
    /// A copy; `what` is made of bytes: direction, memory from, memory to, and 1 where the call did not wait.
    Copy = 2,
    /// Memory that was set.
    Set = 3,
    /// A wait; `what` says for what: 1 the host for an event, 2 a stream for an event, 3 the host for a stream, 4 for all.
    Wait = 4,
    /// An event that was recorded; `bytes` is the number of the recording.
    Event = 5,
    /// A call of the driver (`what` is CUPTI's number) or of the runtime (that and `1 << 31`).
    Call = 6,
    /// Time that CUPTI, a compiler or a loader took; `what` is CUPTI's number.
    Overhead = 7,
    /// Memory that was taken (`what` is 1) or given back (2).
    Memory = 8,
    /// A graph that was run as a whole; `detail` is its number.
    Graph = 9,
    /// The time between two events around a call of a span.
    Span = 10,
    /// Records that were lost so far, in `bytes`: dropped by CUPTI, or without a place here.
    Lost = 11,
    /// The last record: the log has its full length. What ended before `end` is in it, of what came later only a part.
    Full = 12,
    /// A stream that was made; `what` is CUPTI's number of its sort: 1 blocking, 2 non-blocking, 3 the default stream.
    Stream = 13,
    /// Kernels that were captured into graphs in a span so far, in `bytes`.
    Captured = 14,
}

impl Class {
    /// The class with this number, or `None` for one that this version does not know.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Kernel,
            2 => Self::Copy,
            3 => Self::Set,
            4 => Self::Wait,
            5 => Self::Event,
            6 => Self::Call,
            7 => Self::Overhead,
            8 => Self::Memory,
            9 => Self::Graph,
            10 => Self::Span,
            11 => Self::Lost,
            12 => Self::Full,
            13 => Self::Stream,
            14 => Self::Captured,
            _ => return None,
        })
    }
}

record! {
    /// One thing that a device did, or that the host did for it.
    DeviceWork,
    /// A copy of a [`DeviceWork`].
    DeviceWorkData, 96, 32,
    {
        /// A [`Class`]; stored last, with Release.
        class: u32 @ 0,
        /// Reference of the innermost node that was open on the thread when the call was made; 0 where it is unknown.
        node: u32 @ 4,
        /// Thread id of the call; 0 where it is unknown.
        thread: u32 @ 8,
        /// Ties a call and what it submitted together.
        correlation: u32 @ 12,
        /// Number of the device.
        device: u32 @ 16,
        /// Number of the context.
        context: u32 @ 20,
        /// Number of the stream; `u32::MAX` for none.
        stream: u32 @ 24,
        /// Depends on the class.
        what: u32 @ 28,
        /// When it began, in ticks; 0 where that is unknown.
        start: u64 @ 32,
        /// When it ended, in ticks.
        end: u64 @ 40,
        /// Bytes; or the number of a recording, for an event or a wait for one.
        bytes: u64 @ 48,
        /// Number of the event, or of the graph; 0 for none.
        detail: u32 @ 56,
        /// What the call returned.
        returned: u32 @ 60,
        /// Blocks in each direction.
        grid_x: u32 @ 64,
        /// In the second one.
        grid_y: u32 @ 68,
        /// In the third one.
        grid_z: u32 @ 72,
        /// Threads of a block in each direction.
        block_x: u32 @ 76,
        /// In the second one.
        block_y: u32 @ 80,
        /// In the third one.
        block_z: u32 @ 84,
        /// Shared memory of a block, in bytes.
        shared_bytes: u32 @ 88,
        /// Registers of a thread.
        registers: u32 @ 92,
    }
}
