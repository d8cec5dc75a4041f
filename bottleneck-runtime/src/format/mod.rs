//! The profile file: what the runtime writes into mapped memory and `cargo bottleneck` reads by `pread`.
//!
//! This module holds the layout and nothing else: no I/O, no clock, no dependency. Writer and reader share it, so
//! they cannot drift apart. A reader must expect a file that was cut anywhere: the writer may have been killed.
//!
//! # The file
//!
//! ```text
//! offset 0      Header, one page of 4096 bytes (`header::Header`)
//! offset 4096   chunks, each at a multiple of 64 bytes, until `Header::used`
//! ```
//!
//! Every number has the byte order of the machine that wrote it; `Header::endian` tells a reader that differs. A
//! *reference* is a file offset divided by 64 (`u32`, so a file ends below 256 GiB); 0 means none.
//!
//! # A chunk
//!
//! ```text
//! 0   u32  kind       one of `ChunkKind`; 0 = being written, skip it
//! 4   u32  aux        meaning depends on the kind
//! 8   u64  len        bytes with this head, a multiple of 64; 0 = end of the chunks
//! 16  48 bytes, zero
//! 64  payload
//! ```
//!
//! `len` is stored before the chunk can be seen (`Header::used` is published with Release), `kind` after the payload is
//! complete. A reader skips kinds that it does not know.
//!
//! | kind | chunk | aux | payload |
//! |---|---|---|---|
//! | 1 | sites | – | one `site::SiteRecord`, see there |
//! | 2 | key | bytes of payload | key hash (u64), then the text in UTF-8 |
//! | 3 | nodes | – | `len / 256` slots of [`Node`], unused ones are zero |
//! | 4 | histograms | – | slots of [`HISTOGRAM_BYTES`], each [`histogram::BUCKETS`] saturating `u32` |
//! | 5 | tree | – | one [`Tree`] |
//! | 6 | anchors | entries written | pairs (ticks u64, `CLOCK_MONOTONIC` ns u64) |
//! | 7 | capability | bytes of text | `name \n available(0/1) \n reason` in UTF-8 |
//! | 8 | run | bytes of text | JSON that `cargo bottleneck` appends after the run: command, exit, machine |
//! | 9 | tasks | records written | up to [`task::TASKS`] of [`Task`]; the chunks of this kind count on from one another |
//! | 10 | snapshots | – | see [`snapshot`] |
//! | 11 | samples | – | see [`samples`] |
//! | 12 | conditions | – | one [`Conditions`] |
//! | 13 | maps | bytes of text | see [`code`] |
//! | 14 | code | entries written | see [`code`] |
//! | 15 | recipes | – | see [`recipes`]; filled in by `cargo bottleneck` while the program runs |
//! | 16 | accesses | – | see [`accesses`] |
//! | 17 | device work | entries written | see [`device_work`] |
//! | 18 | device name | bytes of payload | see [`device_work`] |
//! | 19 | device | bytes of text | see [`device_work`] |
//!
//! # Versions
//!
//! [`MINOR`] grows with every addition that an old reader may skip; [`MAJOR`] with every change that it may not. A reader
//! refuses an unknown major version and names the version to install.

pub mod accesses;
pub mod chunk;
pub mod code;
pub mod conditions;
pub mod device_work;
pub mod header;
pub mod histogram;
pub mod node;
pub mod recipes;
pub mod samples;
pub mod site;
pub mod snapshot;
pub mod task;
pub mod tree;

pub use accesses::{Access, AccessData, Accesses, AccessesData};
pub use chunk::{ChunkHead, ChunkKind};
pub use conditions::{Conditions, ConditionsData};
pub use device_work::{DeviceWork, DeviceWorkData};
pub use header::{Header, HeaderData};
pub use node::{Node, NodeData};
pub use recipes::{Recipe, RecipeData};
pub use samples::{Sample, SampleData, Samples, SamplesData};
pub use site::SiteRecord;
pub use snapshot::{Snapshots, SnapshotsData};
pub use task::{Task, TaskData};
pub use tree::{Tree, TreeData};

/// The first eight bytes of a profile. The line ends and the control character betray a transfer as text.
pub const MAGIC: [u8; 8] = *b"BNECK\r\n\x1a";
/// Version of the layout: a reader refuses any other.
pub const MAJOR: u16 = 1;
/// Additions within [`MAJOR`].
pub const MINOR: u16 = 3;
/// What [`Header::endian`] reads as on a machine of the same byte order.
pub const ENDIAN: u32 = 0x0102_0304;
/// Bytes of the header page; the first chunk begins here.
pub const HEADER_BYTES: usize = 4096;
/// Alignment of chunks, and the unit of a reference.
pub const GRANULE: usize = 64;
/// Bytes of a chunk's head; its payload begins behind them.
pub const CHUNK_HEAD_BYTES: usize = 64;
/// Bytes of one [`Node`].
pub const NODE_BYTES: usize = 256;
/// Bytes of one histogram slot.
pub const HISTOGRAM_BYTES: usize = histogram::BUCKETS * 4;
/// Most distinct paths that one process records; calls on further paths are counted in [`Header::refused`].
pub const MAX_NODES: u64 = 100_000;

/// Reads a `u64` in native byte order, or `None` behind the end.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(part.try_into().ok()?))
}

/// Reads a `u32` in native byte order, or `None` behind the end.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(part.try_into().ok()?))
}

/// Defines a `#[repr(C)]` record of atomics for the writer and a plain copy of it for the reader.
macro_rules! record {
    (
        $(#[$meta:meta])* $name:ident, $(#[$data_meta:meta])* $data:ident, $bytes:expr, $align:literal,
        { $( $(#[$field_meta:meta])* $field:ident : $kind:ident @ $offset:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[repr(C, align($align))]
        #[derive(Debug)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: record!(@atomic $kind), )*
        }

        $(#[$data_meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $data {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        impl $data {
            /// Copies the record out of the bytes of a file; `None` if there are too few.
            pub fn read(bytes: &[u8]) -> Option<Self> {
                if bytes.len() < $bytes {
                    return None;
                }
                Some(Self { $( $field: record!(@read $kind)(bytes, $offset)?, )* })
            }
        }

        #[cfg(test)]
        #[test]
        fn layout_is_the_documented_one() {
            $( assert_eq!(core::mem::offset_of!($name, $field), $offset, stringify!($field)); )*
            assert!(core::mem::size_of::<$name>() <= $bytes);
        }
    };
    (@atomic u64) => { core::sync::atomic::AtomicU64 };
    (@atomic u32) => { core::sync::atomic::AtomicU32 };
    (@read u64) => { crate::format::u64_at };
    (@read u32) => { crate::format::u32_at };
}
pub(crate) use record;
