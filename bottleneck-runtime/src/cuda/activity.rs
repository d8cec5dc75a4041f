//! Records of CUPTI, read by the places of their fields. Pure.
//!
//! Since CUDA 12.0 records only grow: a field that is in one version is at the same place in all later ones. So places are fixed
//! here, lengths are not, and the bindings of no version are needed. `tests/tests/cupti_layouts.rs` holds these places against the headers of
//! twelve versions.

use crate::format::{u32_at, u64_at};

/// Kinds of records, by CUPTI's numbers.
pub mod kind {
    /// A copy.
    pub const MEMCPY: u32 = 1;
    /// Memory that is set.
    pub const MEMSET: u32 = 2;
    /// A call of the driver.
    pub const DRIVER: u32 = 4;
    /// A call of the runtime.
    pub const RUNTIME: u32 = 5;
    /// A kernel; the other kind lets none run beside another.
    pub const CONCURRENT_KERNEL: u32 = 10;
    /// Time of CUPTI, a compiler or a loader.
    pub const OVERHEAD: u32 = 17;
    /// A copy between devices.
    pub const MEMCPY2: u32 = 22;
    /// An event that is recorded.
    pub const CUDA_EVENT: u32 = 36;
    /// A stream that is made.
    pub const STREAM: u32 = 37;
    /// A wait.
    pub const SYNCHRONIZATION: u32 = 38;
    /// What was pushed when a call was made.
    pub const EXTERNAL_CORRELATION: u32 = 39;
    /// Memory that is taken or given back.
    pub const MEMORY2: u32 = 49;
    /// A graph as a whole.
    pub const GRAPH_TRACE: u32 = 51;
}

/// When something was, in ticks of the clock that CUPTI was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Its beginning; 0 where CUPTI does not know.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// Where work ran, and the call that submitted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the device.
    pub device: u32,
    /// Number of the context.
    pub context: u32,
    /// Number of the stream.
    pub stream: u32,
    /// The same number as in the record of the call.
    pub correlation: u32,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A kernel has run.
    Kernel {
        /// When.
        times: Times,
        /// Where.
        place: Place,
        /// Blocks in each direction.
        grid: [u32; 3],
        /// Threads of a block in each direction.
        block: [u32; 3],
        /// Registers of a thread.
        registers: u16,
        /// Shared memory of a block in bytes, both sorts.
        shared_bytes: u32,
        /// Address of its name, a C string.
        name: u64,
        /// The graph that it is of; 0 for none.
        graph: u32,
        /// The node of that graph.
        graph_node: u64,
    },
    /// A copy.
    Copy {
        /// When.
        times: Times,
        /// Where.
        place: Place,
        /// CUPTI's number: 1 to the device, 2 to the host, 8 within a device, 10 between devices.
        direction: u8,
        /// Memory that it came from: 1 pageable, 2 pinned, 3 of a device, 5 managed.
        from: u8,
        /// Memory that it went to.
        to: u8,
        /// The call did not wait for it.
        is_async: bool,
        /// How much.
        bytes: u64,
        /// The graph that it is of; 0 for none.
        graph: u32,
        /// The node of that graph.
        graph_node: u64,
    },
    /// Memory was set.
    Set {
        /// When.
        times: Times,
        /// Where.
        place: Place,
        /// How much.
        bytes: u64,
        /// The node of the graph that it is of; 0 for none.
        graph_node: u64,
    },
    /// A wait: CUPTI's number 1 for an event, 2 of a stream for an event, 3 for a stream, 4 for a context.
    Wait {
        /// When the call was made, not when the device waited.
        times: Times,
        /// Device is not told; stream `u32::MAX` where there is none.
        place: Place,
        /// For what.
        sort: u32,
        /// Number of the event.
        event: u32,
        /// Number of its recording, from 12.8 on; else 0. An event's own number is used again.
        recording: u64,
    },
    /// An event was recorded.
    Event {
        /// Where.
        place: Place,
        /// Number of the event.
        event: u32,
        /// Number of this recording, from 12.8 on; else 0.
        recording: u64,
    },
    /// A stream was made.
    Stream {
        /// Device is not told.
        place: Place,
        /// CUPTI's number: 1 blocking, 2 non-blocking, 3 the default stream; 0 where it does not know.
        sort: u32,
    },
    /// A call of the driver or of the runtime.
    Call {
        /// When.
        times: Times,
        /// A number for the function.
        cbid: u32,
        /// A function of the runtime.
        is_runtime: bool,
        /// The system's number of the thread, if CUPTI was asked for that.
        thread: u32,
        /// The same number as in the records of what it submitted.
        correlation: u32,
        /// What it returned.
        returned: u32,
    },
    /// What was pushed when a call was made.
    External {
        /// Whose identifier.
        kind: u32,
        /// The identifier.
        id: u64,
        /// The call.
        correlation: u32,
    },
    /// Time that something else than the program's work took.
    Overhead {
        /// When.
        times: Times,
        /// CUPTI's number for what.
        sort: u32,
    },
    /// Memory of the device was taken (1) or given back (2).
    Memory {
        /// When.
        at: u64,
        /// Where.
        place: Place,
        /// Which of the two.
        operation: u32,
        /// How much.
        bytes: u64,
    },
    /// A graph was run as a whole.
    Graph {
        /// When.
        times: Times,
        /// Where.
        place: Place,
        /// Its number.
        graph: u32,
    },
}

/// The kind of a record.
pub fn kind_of(record: &[u8]) -> Option<u32> {
    u32_at(record, 0)
}

/// Reads a record. `record` may go on behind its end: nothing is read there but fields that the record has in every version, or
/// that are known to be absent. `None` for a kind that is not used, or for too few bytes.
pub fn parse(record: &[u8], version: u32) -> Option<Activity> {
    let u32 = |at| u32_at(record, at);
    let u64 = |at| u64_at(record, at);
    let times = |at| Some(Times { start: u64(at)?, end: u64(at + 8)? });
    let triple = |at| Some([u32(at)?, u32(at + 4)?, u32(at + 8)?]);
    // Device, context and stream, and the correlation at a place of its own.
    let place = |at: usize, correlation: usize| {
        Some(Place {
            device: u32(at)?,
            context: u32(at + 4)?,
            stream: u32(at + 8)?,
            correlation: u32(correlation)?,
        })
    };
    let has_recordings = RECORDINGS <= version;
    Some(match kind_of(record)? {
        kind::CONCURRENT_KERNEL => Activity::Kernel {
            times: times(16)?,
            place: place(40, 92)?,
            grid: triple(52)?,
            block: triple(64)?,
            registers: u16::from_ne_bytes([*record.get(6)?, *record.get(7)?]),
            shared_bytes: u32(76)?.saturating_add(u32(80)?),
            name: u64(104)?,
            graph: u32(156)?,
            graph_node: u64(144)?,
        },
        kind @ (kind::MEMCPY | kind::MEMCPY2) => Activity::Copy {
            times: times(16)?,
            // Between devices both of them come before it.
            place: place(32, if kind == kind::MEMCPY { 44 } else { 60 })?,
            direction: *record.get(4)?,
            from: *record.get(5)?,
            to: *record.get(6)?,
            is_async: record.get(7)? & 1 == 1,
            bytes: u64(8)?,
            graph: u32(if kind == kind::MEMCPY { 72 } else { 80 })?,
            graph_node: u64(if kind == kind::MEMCPY { 64 } else { 72 })?,
        },
        kind::MEMSET => Activity::Set {
            times: times(16)?,
            place: place(32, 44)?,
            bytes: u64(8)?,
            graph_node: u64(64)?,
        },
        kind::SYNCHRONIZATION => Activity::Wait {
            times: times(8)?,
            place: Place { device: 0, context: u32(28)?, stream: u32(32)?, correlation: u32(24)? },
            sort: u32(4)?,
            event: u32(36)?,
            recording: if has_recordings { u64(40)? } else { 0 },
        },
        kind::CUDA_EVENT => Activity::Event {
            place: Place {
                device: if has_recordings { u32(24)? } else { 0 },
                context: u32(8)?,
                stream: u32(12)?,
                correlation: u32(4)?,
            },
            event: u32(16)?,
            recording: if has_recordings { u64(48)? } else { 0 },
        },
        kind::STREAM => Activity::Stream {
            place: Place { device: 0, context: u32(4)?, stream: u32(8)?, correlation: u32(20)? },
            sort: u32(16)? & STREAM_SORT,
        },
        kind @ (kind::DRIVER | kind::RUNTIME) => Activity::Call {
            times: times(8)?,
            cbid: u32(4)?,
            is_runtime: kind == kind::RUNTIME,
            thread: u32(28)?,
            correlation: u32(32)?,
            returned: u32(36)?,
        },
        kind::EXTERNAL_CORRELATION => {
            Activity::External { kind: u32(4)?, id: u64(8)?, correlation: u32(16)? }
        }
        kind::OVERHEAD => Activity::Overhead { times: times(24)?, sort: u32(4)? },
        kind::MEMORY2 => Activity::Memory {
            at: u64(32)?,
            place: place(52, 12)?,
            operation: u32(4)?,
            bytes: u64(24)?,
        },
        kind::GRAPH_TRACE => Activity::Graph {
            times: times(8)?,
            place: Place {
                device: u32(24)?,
                context: u32(32)?,
                stream: u32(36)?,
                correlation: u32(4)?,
            },
            graph: u32(28)?,
        },
        _ => return None,
    })
}

/// Recordings of events have numbers since CUDA 12.8.
const RECORDINGS: u32 = 12_080;

/// The part of a stream's flags that says what it is.
const STREAM_SORT: u32 = 0xFFFF;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, bytes: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut res = vec![0; bytes];
        res[..4].copy_from_slice(&kind.to_ne_bytes());
        for (at, value) in fields {
            res[*at..][..value.len()].copy_from_slice(value);
        }
        res
    }

    #[test]
    fn a_copy_between_devices_has_its_correlation_elsewhere() {
        let own =
            record(kind::MEMCPY, 96, &[(44, &7_u32.to_ne_bytes()), (60, &9_u32.to_ne_bytes())]);
        let peer =
            record(kind::MEMCPY2, 96, &[(44, &7_u32.to_ne_bytes()), (60, &9_u32.to_ne_bytes())]);
        let correlation = |record: &[u8]| match parse(record, 12_080) {
            Some(Activity::Copy { place, .. }) => place.correlation,
            other => panic!("{other:?}"),
        };
        assert_eq!((correlation(&own), correlation(&peer)), (7, 9));
    }

    #[test]
    fn older_records_have_no_numbers_of_recordings() {
        // 40 bytes in 12.0, 56 in 12.8; behind an older one comes the next record.
        let wait = record(kind::SYNCHRONIZATION, 56, &[(40, &5_u64.to_ne_bytes())]);
        let recording = |version| match parse(&wait, version) {
            Some(Activity::Wait { recording, .. }) => recording,
            other => panic!("{other:?}"),
        };
        assert_eq!((recording(12_000), recording(12_080)), (0, 5));
        assert!(parse(&wait[..40], 12_000).is_some() && parse(&wait[..40], 12_080).is_none());
    }

    #[test]
    fn what_is_too_short_or_unknown_is_nothing() {
        for kind in 0..64 {
            let whole = record(kind, 256, &[]);
            let is_known = parse(&whole, 13_000).is_some();
            for length in 0..20 {
                assert_eq!(parse(&whole[..length], 13_000), None, "{kind} {length} {is_known}");
            }
        }
        assert_eq!(parse(&record(3, 256, &[]), 13_000), None);
    }
}
