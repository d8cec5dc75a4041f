//! The head of a chunk and the walk over a file's chunks.

use core::sync::atomic::{AtomicU32, AtomicU64};

use super::{CHUNK_HEAD_BYTES, GRANULE, HEADER_BYTES, u32_at, u64_at};

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ChunkKind {
    /// One annotated place in the source.
    Site = 1,
    /// The text of a `key`.
    Key = 2,
    /// A slab of calling-context-tree nodes.
    Nodes = 3,
    /// A slab of duration histograms.
    Histograms = 4,
    /// The tree of one thread, or of several threads that came one after the other under one name.
    Tree = 5,
    /// Pairs of ticks and monotonic nanoseconds.
    Anchors = 6,
    /// One capability of the machine, with the reason where it is missing.
    Capability = 7,
    /// What `cargo bottleneck` knew about the run, in JSON.
    Run = 8,
    /// The tasks that snapshots name.
    Tasks = 9,
    /// What every task did at certain moments.
    Snapshots = 10,
    /// Which instructions were sampled.
    Samples = 11,
    /// What the machine and the control group took from the process.
    Conditions = 12,
    /// Where the code of the program comes from.
    Maps = 13,
    /// The instructions around those that were sampled.
    Code = 14,
    /// How to compute the addresses of data.
    Recipes = 15,
    /// Data that sampled instructions waited for, and timed loads of them.
    Accesses = 16,
    /// What devices did, and the host for them.
    DeviceWork = 17,
    /// The name of a kernel.
    DeviceName = 18,
    /// What is known of a device.
    Device = 19,
}

impl ChunkKind {
    /// The kind with this number, or `None` for one that this version does not know.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Site,
            2 => Self::Key,
            3 => Self::Nodes,
            4 => Self::Histograms,
            5 => Self::Tree,
            6 => Self::Anchors,
            7 => Self::Capability,
            8 => Self::Run,
            9 => Self::Tasks,
            10 => Self::Snapshots,
            11 => Self::Samples,
            12 => Self::Conditions,
            13 => Self::Maps,
            14 => Self::Code,
            15 => Self::Recipes,
            16 => Self::Accesses,
            17 => Self::DeviceWork,
            18 => Self::DeviceName,
            19 => Self::Device,
            _ => return None,
        })
    }
}

/// The first bytes of a chunk, as the writer sees them.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct ChunkHead {
    /// A [`ChunkKind`], stored last with Release; 0 until then.
    pub kind: AtomicU32,
    /// Meaning depends on the kind.
    pub aux: AtomicU32,
    /// Bytes of the chunk with this head.
    pub len: AtomicU64,
}

/// One chunk of a file, as the reader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The number of the kind; see [`ChunkKind::from_number`].
    pub kind: u32,
    /// The second word of the head.
    pub aux: u32,
    /// File offset of the payload's first byte.
    pub payload_offset: usize,
    /// The bytes behind the head, cut where the file ends.
    pub payload: &'a [u8],
    /// Whether the file ends before the chunk does.
    pub is_cut: bool,
}

/// Walks over the chunks of `file` (all of its bytes, header page included). Ends at the end of the file, at a length of
/// zero, or at a length that cannot be; it never loops and never reads outside.
pub fn chunks(file: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = HEADER_BYTES;
    core::iter::from_fn(move || {
        let head = file.get(at..at.checked_add(CHUNK_HEAD_BYTES)?)?;
        let len = usize::try_from(u64_at(head, 8)?).ok()?;
        if len < CHUNK_HEAD_BYTES || len % GRANULE != 0 {
            return None;
        }
        let payload_offset = at + CHUNK_HEAD_BYTES;
        let end = at.checked_add(len)?;
        let chunk = Chunk {
            kind: u32_at(head, 0)?,
            aux: u32_at(head, 4)?,
            payload_offset,
            payload: &file[payload_offset..end.min(file.len())],
            is_cut: end > file.len(),
        };
        at = end;
        Some(chunk)
    })
}
