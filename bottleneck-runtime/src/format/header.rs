//! The header page: who wrote the file, by which clock, and what was lost.

use super::{ENDIAN, HEADER_BYTES, MAGIC, MAJOR, record};

/// Number of the time-stamp counter of x86 in [`Header::clock`].
pub const CLOCK_TSC: u32 = 1;
/// Number of the virtual counter of aarch64 in [`Header::clock`].
pub const CLOCK_CNTVCT: u32 = 2;
/// Number of `CLOCK_MONOTONIC` in nanoseconds in [`Header::clock`].
pub const CLOCK_MONOTONIC: u32 = 3;

record! {
    /// The first page of a profile. One process writes it; the counters by atomic addition.
    Header,
    /// A copy of a [`Header`].
    HeaderData, 512, 64,
    {
        /// [`MAGIC`], as a number in native byte order.
        magic: u64 @ 0,
        /// Major version in the low half, minor in the high half.
        version: u32 @ 8,
        /// [`ENDIAN`].
        endian: u32 @ 12,
        /// Bytes of this page, [`HEADER_BYTES`].
        header_bytes: u32 @ 16,
        /// The clock behind every value in ticks: `CLOCK_TSC`, `CLOCK_CNTVCT` or `CLOCK_MONOTONIC`.
        clock: u32 @ 20,
        /// Process id.
        pid: u32 @ 24,
        /// Process id of the parent when recording began.
        parent_pid: u32 @ 28,
        /// The kernel's boot id: monotonic times of two files can be compared only where it is the same.
        boot_id_high: u64 @ 32,
        /// See `boot_id_high`.
        boot_id_low: u64 @ 40,
        /// FNV-1a of the path, length and time of the program's file.
        build_id: u64 @ 48,
        /// Ticks when recording began.
        start_ticks: u64 @ 56,
        /// `CLOCK_MONOTONIC` when recording began, in ns.
        start_ns: u64 @ 64,
        /// Wall clock when recording began, in ns since 1970.
        start_unix_ns: u64 @ 72,
        /// Ticks at the newest anchor. Torn only if the process died between two stores; the reader checks it.
        last_ticks: u64 @ 80,
        /// `CLOCK_MONOTONIC` at the newest anchor, in ns.
        last_ns: u64 @ 88,
        /// `CLOCK_MONOTONIC` at an orderly end, in ns; 0 in a run that was cut.
        end_ns: u64 @ 96,
        /// Bytes of the file that hold chunks, from offset 0. Stored with Release after a new chunk's `len`.
        used: u64 @ 104,
        /// Spans that could not be recorded at all, for example in the last moments of a thread.
        lost: u64 @ 112,
        /// Calls on new paths that were refused because the budget of paths or the disk was used up; their time
        /// is in the self time of the span around them.
        refused: u64 @ 120,
        /// Guards that were dropped in another order than they were made.
        out_of_order: u64 @ 128,
        /// CPU time of the recorder's own thread, in ns.
        recorder_cpu_ns: u64 @ 136,
        /// Cost of one empty span, measured when recording began, in 1/1024 of a tick.
        span_cost: u64 @ 144,
        /// Threads that recorded at least one span.
        threads: u64 @ 152,
        /// Switch records that were overwritten before they could be read.
        lost_switches: u64 @ 160,
        /// 1 when space for another chunk could not be had; `errno` of it in the high half.
        full: u64 @ 168,
        /// CPU time of the whole process at the newest anchor, in ns.
        process_cpu_ns: u64 @ 176,
        /// CPUs that the process could use when recording began; 0 where unknown.
        cpus: u32 @ 184,
        /// 1 where the recorder is told by CUPTI what devices do.
        collects_devices: u32 @ 188,
        /// Address, in the process that writes, of a function that returns the innermost open node of the calling thread
        /// (`extern "C" fn() -> u32`); 0 where there is none.
        open_node: u64 @ 192,
    }
}

/// Why a file is not a profile that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReadable {
    /// Too short, or without the magic bytes.
    NotAProfile,
    /// Written on a machine of the other byte order.
    ForeignEndian,
    /// Written by a version with another layout.
    Version {
        /// Major version of the file.
        major: u16,
    },
}

impl HeaderData {
    /// Reads and checks the header of a file.
    ///
    /// # Errors
    /// The file is shorter than a header, is not a profile, or is one that this version cannot read.
    pub fn open(file: &[u8]) -> Result<Self, NotReadable> {
        let header = Self::read(file).ok_or(NotReadable::NotAProfile)?;
        if header.magic != u64::from_ne_bytes(MAGIC) {
            return Err(if header.magic.swap_bytes() == u64::from_ne_bytes(MAGIC) {
                NotReadable::ForeignEndian
            } else {
                NotReadable::NotAProfile
            });
        }
        if header.endian != ENDIAN {
            return Err(NotReadable::ForeignEndian);
        }
        if header.major() != MAJOR || header.header_bytes as usize != HEADER_BYTES {
            return Err(NotReadable::Version { major: header.major() });
        }
        Ok(header)
    }

    /// Major version of the layout.
    pub fn major(&self) -> u16 {
        (self.version & 0xFFFF) as u16
    }

    /// Additions within the major version.
    pub fn minor(&self) -> u16 {
        (self.version >> 16) as u16
    }
}
