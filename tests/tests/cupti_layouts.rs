//! The places at which records of CUPTI are read, against the headers of twelve versions (`data/cupti_layouts.json`: of each
//! record the newest form in that version, each field with its place and its bytes).
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use serde_json::Value;

/// What the module needs of its crate.
mod format {
    pub(crate) use bottleneck_runtime::format::{u32_at, u64_at};
}

// The module itself, so that the test needs no feature of the runtime.
#[path = "../../bottleneck-runtime/src/cuda/activity.rs"]
#[expect(unreachable_pub, reason = "a module of another crate")]
mod activity;

use activity::{Activity, Place, Times, kind, parse};

fn layouts() -> Value {
    serde_json::from_str(include_str!("../data/cupti_layouts.json")).unwrap()
}

/// A record of a version whose every field has a value of its own.
struct Written<'a> {
    fields: &'a Value,
    bytes: Vec<u8>,
}

impl<'a> Written<'a> {
    fn new(layout: &'a Value, kind: u32) -> Self {
        let size = usize::try_from(layout["size"].as_u64().unwrap()).unwrap();
        let mut bytes = vec![0; size];
        let fields = &layout["fields"];
        for (number, (_, place)) in fields.as_object().unwrap().iter().enumerate() {
            let at = usize::try_from(place[0].as_u64().unwrap()).unwrap();
            let length = usize::try_from(place[1].as_u64().unwrap()).unwrap();
            let value = (0x0101_0101_0101_0101 * (number as u64 + 1)).to_ne_bytes();
            let end = (at + length.min(8)).min(size);
            bytes[at..end].copy_from_slice(&value[..end - at]);
        }
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        Self { fields, bytes }
    }

    /// The value of a field, by the header.
    fn get(&self, name: &str) -> u64 {
        let place = &self.fields[name];
        assert!(place.is_array(), "no field {name}");
        let at = usize::try_from(place[0].as_u64().unwrap()).unwrap();
        let length = usize::try_from(place[1].as_u64().unwrap()).unwrap().min(8);
        let mut value = [0; 8];
        value[..length].copy_from_slice(&self.bytes[at..at + length]);
        u64::from_ne_bytes(value)
    }

    fn half(&self, name: &str) -> u32 {
        u32::try_from(self.get(name)).unwrap()
    }

    fn times(&self) -> Times {
        Times { start: self.get("start"), end: self.get("end") }
    }

    fn place(&self) -> Place {
        Place { device: self.half("deviceId"), ..self.place_in_context() }
    }

    /// Where the device is not told.
    fn place_in_context(&self) -> Place {
        Place {
            device: 0,
            context: self.half("contextId"),
            stream: self.half("streamId"),
            correlation: self.half("correlationId"),
        }
    }
}

fn number(version: &str) -> u32 {
    let (major, minor) = version.split_once('.').unwrap();
    1000 * major.parse::<u32>().unwrap() + 10 * minor.parse::<u32>().unwrap()
}

/// Calls `check` with a record of every version, its number, and what is read of it.
#[track_caller]
fn for_all(record: &str, kind: u32, check: impl Fn(&Written<'_>, u32, Activity)) {
    let layouts = layouts();
    let versions = layouts.as_object().unwrap();
    assert_eq!(versions.len(), 12);
    for (version, records) in versions {
        let written = Written::new(&records[record], kind);
        let number = number(version);
        let read = parse(&written.bytes, number).unwrap_or_else(|| panic!("{record} of {version}"));
        check(&written, number, read);
    }
}

#[test]
fn kernels_are_read_at_their_places() {
    for_all("Kernel", kind::CONCURRENT_KERNEL, |written, _, read| {
        let Activity::Kernel {
            times,
            place,
            grid,
            block,
            registers,
            shared_bytes,
            name,
            graph,
            graph_node,
        } = read
        else {
            panic!("{read:?}");
        };
        assert_eq!((times, place), (written.times(), written.place()));
        assert_eq!(grid, ["gridX", "gridY", "gridZ"].map(|it| written.half(it)));
        assert_eq!(block, ["blockX", "blockY", "blockZ"].map(|it| written.half(it)));
        assert_eq!(u64::from(registers), written.get("registersPerThread"));
        let shared =
            written.half("staticSharedMemory").saturating_add(written.half("dynamicSharedMemory"));
        assert_eq!((shared_bytes, name), (shared, written.get("name")));
        assert_eq!((graph, graph_node), (written.half("graphId"), written.get("graphNodeId")));
    });
}

#[test]
fn copies_are_read_at_their_places() {
    for (record, kind) in [("Memcpy", kind::MEMCPY), ("MemcpyPtoP", kind::MEMCPY2)] {
        for_all(record, kind, |written, _, read| {
            let Activity::Copy {
                times,
                place,
                direction,
                from,
                to,
                is_async,
                bytes,
                graph,
                graph_node,
            } = read
            else {
                panic!("{read:?}");
            };
            assert_eq!(
                (times, place, bytes),
                (written.times(), written.place(), written.get("bytes"))
            );
            let ends = ["copyKind", "srcKind", "dstKind"].map(|it| written.get(it));
            assert_eq!([direction, from, to].map(u64::from), ends);
            assert_eq!(
                (u64::from(is_async), graph, graph_node),
                (written.get("flags") & 1, written.half("graphId"), written.get("graphNodeId"))
            );
        });
    }
}

#[test]
fn what_is_set_and_what_is_allocated_is_read_at_its_place() {
    for_all("Memset", kind::MEMSET, |written, _, read| {
        let expected = Activity::Set {
            times: written.times(),
            place: written.place(),
            bytes: written.get("bytes"),
            graph_node: written.get("graphNodeId"),
        };
        assert_eq!(read, expected);
    });
    for_all("Memory", kind::MEMORY2, |written, _, read| {
        let expected = Activity::Memory {
            at: written.get("timestamp"),
            place: written.place(),
            operation: written.half("memoryOperationType"),
            bytes: written.get("bytes"),
        };
        assert_eq!(read, expected);
    });
}

#[test]
fn waits_and_events_are_read_at_their_places() {
    for_all("Synchronization", kind::SYNCHRONIZATION, |written, version, read| {
        let Activity::Wait { times, place, sort, event, recording } = read else {
            panic!("{read:?}");
        };
        assert_eq!((times, sort), (written.times(), written.half("type")));
        assert_eq!(
            (place.context, place.stream),
            (written.half("contextId"), written.half("streamId"))
        );
        assert_eq!(
            (place.correlation, event),
            (written.half("correlationId"), written.half("cudaEventId"))
        );
        let has_recordings = 12_080 <= version;
        assert_eq!(recording, if has_recordings { written.get("cudaEventSyncId") } else { 0 });
    });
    for_all("CudaEvent", kind::CUDA_EVENT, |written, version, read| {
        let Activity::Event { place, event, recording } = read else { panic!("{read:?}") };
        assert_eq!(
            (place.context, place.stream),
            (written.half("contextId"), written.half("streamId"))
        );
        assert_eq!(
            (place.correlation, event),
            (written.half("correlationId"), written.half("eventId"))
        );
        let has_recordings = 12_080 <= version;
        assert_eq!(recording, if has_recordings { written.get("cudaEventSyncId") } else { 0 });
    });
}

#[test]
fn calls_are_read_at_their_places() {
    for (kind, is_runtime) in [(kind::DRIVER, false), (kind::RUNTIME, true)] {
        for_all("API", kind, |written, _, read| {
            let expected = Activity::Call {
                times: written.times(),
                cbid: written.half("cbid"),
                is_runtime,
                thread: written.half("threadId"),
                correlation: written.half("correlationId"),
                returned: written.half("returnValue"),
            };
            assert_eq!(read, expected);
        });
    }
    for_all("ExternalCorrelation", kind::EXTERNAL_CORRELATION, |written, _, read| {
        let expected = Activity::External {
            kind: written.half("externalKind"),
            id: written.get("externalId"),
            correlation: written.half("correlationId"),
        };
        assert_eq!(read, expected);
    });
}

#[test]
fn graphs_and_overheads_are_read_at_their_places() {
    for_all("GraphTrace", kind::GRAPH_TRACE, |written, _, read| {
        let expected = Activity::Graph {
            times: written.times(),
            place: written.place(),
            graph: written.half("graphId"),
        };
        assert_eq!(read, expected);
    });
    for_all("Overhead", kind::OVERHEAD, |written, _, read| {
        let expected =
            Activity::Overhead { times: written.times(), sort: written.half("overheadKind") };
        assert_eq!(read, expected);
    });
}

#[test]
fn streams_are_read_at_their_places() {
    for_all("Stream", kind::STREAM, |written, _, read| {
        let Activity::Stream { place, sort } = read else { panic!("{read:?}") };
        assert_eq!(sort, written.half("flag") & 0xFFFF);
        assert_eq!(place, written.place_in_context());
    });
}
