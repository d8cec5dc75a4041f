//! Records as CUPTI writes them: bytes at the places of the real headers. Pure.
//!
//! Since CUDA 12.0 a record only ever grew: what is at a place stays there, and newer versions add fields at the end. So one
//! table of places serves all, and a table of sizes makes the version.

use crate::engine::Interval;

/// A kind of record, by CUPTI's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Kind {
    /// A copy.
    Memcpy = 1,
    /// Memory that was set.
    Memset = 2,
    /// A call of the driver.
    Driver = 4,
    /// A kernel.
    ConcurrentKernel = 10,
    /// Time that profiling, compiling or loading took.
    Overhead = 17,
    /// A copy between devices.
    MemcpyPeer = 22,
    /// An event that was recorded.
    CudaEvent = 36,
    /// A stream that was made.
    Stream = 37,
    /// A wait.
    Synchronization = 38,
    /// An identifier of the profiler for a call.
    ExternalCorrelation = 39,
    /// An allocation or its end.
    Memory2 = 49,
    /// The launch of a graph.
    GraphTrace = 51,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Memcpy,
        Self::Memset,
        Self::Driver,
        Self::ConcurrentKernel,
        Self::Overhead,
        Self::MemcpyPeer,
        Self::CudaEvent,
        Self::Stream,
        Self::Synchronization,
        Self::ExternalCorrelation,
        Self::Memory2,
        Self::GraphTrace,
    ];

    /// The kind of a number.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Bytes of a record in a version of CUDA, as `12080`.
    pub fn bytes(self, version: u32) -> usize {
        let since = |sizes: &[(u32, usize)]| {
            let known = sizes.iter().rev().find(|(from, _)| *from <= version);
            known.or(sizes.first()).map_or(0, |(_, bytes)| *bytes)
        };
        match self {
            Self::Memcpy => since(&[(12_000, 88), (12_080, 96), (13_040, 112)]),
            Self::Memset => since(&[(12_000, 88), (13_040, 104)]),
            Self::Driver => 40,
            Self::ConcurrentKernel => {
                since(&[(12_000, 208), (13_000, 216), (13_010, 224), (13_030, 232), (13_040, 248)])
            }
            Self::Overhead => since(&[(12_000, 40), (12_040, 56)]),
            Self::MemcpyPeer => 96,
            Self::CudaEvent => since(&[(12_000, 24), (12_080, 56), (13_050, 80)]),
            Self::Stream | Self::ExternalCorrelation => 24,
            Self::Synchronization => since(&[(12_000, 40), (12_080, 56)]),
            Self::Memory2 => since(&[(12_000, 120), (12_060, 128)]),
            Self::GraphTrace => since(&[(12_000, 48), (12_040, 56)]),
        }
    }
}

/// What is the same in all records of work on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The device.
    pub device: u32,
    /// The context.
    pub context: u32,
    /// The stream.
    pub stream: u32,
    /// Ties it to the call that submitted it.
    pub correlation: u32,
}

/// The memory of one end of a copy, by CUPTI's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Memory {
    /// Of the host, as it comes.
    Pageable = 1,
    /// Of the host, held in place.
    Pinned = 2,
    /// Of a device.
    Device = 3,
}

/// What a stream is, by CUPTI's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StreamFlag {
    /// The legacy stream and it wait for each other.
    Blocking = 1,
    /// They do not.
    NonBlocking = 2,
    /// It is the legacy stream.
    Legacy = 3,
}

/// What a wait is for, by CUPTI's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitsFor {
    /// The host for an event.
    Event = 1,
    /// A stream for an event.
    StreamForEvent = 2,
    /// The host for a stream.
    Stream = 3,
    /// The host for all streams of a context.
    Context = 4,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Record {
    fn new(kind: Kind, version: u32) -> Self {
        let mut res = Self { kind, bytes: vec![0; kind.bytes(version)] };
        res.put_u32(0, kind as u32);
        res
    }

    /// Its bytes, as they lie in a buffer.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A field that this version does not have is left out.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn put_u8(&mut self, at: usize, value: u8) {
        self.put(at, &[value]);
    }

    fn put_u16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_ne_bytes());
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_ne_bytes());
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_ne_bytes());
    }

    fn put_times(&mut self, at: usize, times: Interval) {
        self.put_u64(at, times.start);
        self.put_u64(at + 8, times.end);
    }

    /// A kernel. `name` is the address of its name, which stays valid; `queued` is when it was submitted.
    pub fn kernel(version: u32, times: Interval, place: Place, launch: Launch) -> Self {
        let mut res = Self::new(Kind::ConcurrentKernel, version);
        res.put_u16(6, launch.registers);
        res.put_times(16, times);
        res.put_u64(32, times.end);
        res.put_u32(40, place.device);
        res.put_u32(44, place.context);
        res.put_u32(48, place.stream);
        for (axis, value) in launch.grid.into_iter().chain(launch.block).enumerate() {
            res.put_u32(52 + 4 * axis, value);
        }
        res.put_u32(80, launch.dynamic_shared_bytes);
        res.put_u32(92, place.correlation);
        res.put_u64(96, u64::from(place.correlation));
        res.put_u64(104, launch.name);
        res.put_u64(144, launch.graph_node);
        res.put_u32(156, launch.graph);
        res
    }

    /// A copy; `kind` is CUPTI's number: 1 to the device, 2 to the host, 8 within the device.
    pub fn memcpy(version: u32, times: Interval, place: Place, copy: Copied) -> Self {
        let mut res = Self::new(Kind::Memcpy, version);
        res.put_u8(4, copy.kind);
        res.put_u8(5, copy.from as u8);
        res.put_u8(6, copy.to as u8);
        res.put_u8(7, u8::from(copy.is_async));
        res.put_u64(8, copy.bytes);
        res.put_times(16, times);
        res.put_place(32, place);
        res.put_node(copy.node);
        res
    }

    /// Memory that was set.
    pub fn memset(version: u32, times: Interval, place: Place, set: SetTo) -> Self {
        let mut res = Self::new(Kind::Memset, version);
        res.put_u32(4, set.value);
        res.put_u64(8, set.bytes);
        res.put_node(set.node);
        res.put_times(16, times);
        res.put_place(32, place);
        res.put_u16(50, Memory::Device as u16);
        res
    }

    /// A wait; `event` is its number and how often it had been recorded, or zeros.
    pub fn wait(
        version: u32,
        for_: WaitsFor,
        times: Interval,
        place: Place,
        event: (u32, u64),
    ) -> Self {
        let mut res = Self::new(Kind::Synchronization, version);
        res.put_u32(4, for_ as u32);
        res.put_times(8, times);
        res.put_u32(24, place.correlation);
        res.put_u32(28, place.context);
        let has_stream = matches!(for_, WaitsFor::Stream | WaitsFor::StreamForEvent);
        res.put_u32(32, if has_stream { place.stream } else { u32::MAX });
        res.put_u32(36, event.0);
        res.put_u64(40, event.1);
        res
    }

    /// An event that was recorded for the `times`-th time of all.
    pub fn event(version: u32, place: Place, event: u32, times: u64) -> Self {
        let mut res = Self::new(Kind::CudaEvent, version);
        res.put_u32(4, place.correlation);
        res.put_u32(8, place.context);
        res.put_u32(12, place.stream);
        res.put_u32(16, event);
        res.put_u32(24, place.device);
        res.put_u64(48, times);
        res
    }

    /// A call of the driver.
    pub fn driver(version: u32, times: Interval, call: Called) -> Self {
        let mut res = Self::new(Kind::Driver, version);
        res.put_u32(4, call.cbid);
        res.put_times(8, times);
        res.put_u32(24, call.process);
        res.put_u32(28, call.thread);
        res.put_u32(32, call.correlation);
        res.put_u32(36, call.returned.cast_unsigned());
        res
    }

    /// An identifier that was pushed for a call.
    pub fn external(version: u32, kind: u32, id: u64, correlation: u32) -> Self {
        let mut res = Self::new(Kind::ExternalCorrelation, version);
        res.put_u32(4, kind);
        res.put_u64(8, id);
        res.put_u32(16, correlation);
        res
    }

    /// An allocation (`operation` 1) or its end (2) at an address.
    pub fn memory(
        version: u32,
        operation: u32,
        at: u64,
        address: u64,
        bytes: u64,
        place: Place,
    ) -> Self {
        let mut res = Self::new(Kind::Memory2, version);
        res.put_u32(4, operation);
        res.put_u32(8, u32::from(Memory::Device as u8));
        res.put_u32(12, place.correlation);
        res.put_u64(16, address);
        res.put_u64(24, bytes);
        res.put_u64(32, at);
        res.put_u32(48, std::process::id());
        res.put_u32(52, place.device);
        res.put_u32(56, place.context);
        res.put_u32(60, place.stream);
        res
    }

    /// Time that something other than the program's work took; `sort` is CUPTI's number.
    pub fn overhead(version: u32, sort: u32, times: Interval, correlation: u32) -> Self {
        let mut res = Self::new(Kind::Overhead, version);
        res.put_u32(4, sort);
        res.put_times(24, times);
        res.put_u32(40, correlation);
        res
    }

    /// The launch of a graph as a whole.
    pub fn graph(version: u32, times: Interval, place: Place, graph: u32) -> Self {
        let mut res = Self::new(Kind::GraphTrace, version);
        res.put_u32(4, place.correlation);
        res.put_times(8, times);
        res.put_u32(24, place.device);
        res.put_u32(28, graph);
        res.put_u32(32, place.context);
        res.put_u32(36, place.stream);
        res
    }

    /// A stream that was made.
    pub fn stream(version: u32, place: Place, sort: StreamFlag) -> Self {
        let mut res = Self::new(Kind::Stream, version);
        res.put_u32(4, place.context);
        res.put_u32(8, place.stream);
        res.put_u32(16, sort as u32);
        res.put_u32(20, place.correlation);
        res
    }

    /// The node of a graph, and the graph, of what is no kernel.
    fn put_node(&mut self, (graph, node): (u32, u64)) {
        self.put_u64(64, node);
        self.put_u32(72, graph);
    }

    /// Device, context, stream and correlation, one behind the other.
    fn put_place(&mut self, at: usize, place: Place) {
        let words = [place.device, place.context, place.stream, place.correlation];
        for (word, value) in words.into_iter().enumerate() {
            self.put_u32(at + 4 * word, value);
        }
    }
}

/// A launch as its record shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Address of the name.
    pub name: u64,
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
    /// Shared memory that the launch asked for.
    pub dynamic_shared_bytes: u32,
    /// Registers of a thread.
    pub registers: u16,
    /// The graph that it is of, or 0.
    pub graph: u32,
    /// The node of the graph, or 0.
    pub graph_node: u64,
}

/// A copy as its record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// CUPTI's number of the direction.
    pub kind: u8,
    /// Where from.
    pub from: Memory,
    /// Where to.
    pub to: Memory,
    /// The call did not promise to wait for it.
    pub is_async: bool,
    /// How much.
    pub bytes: u64,
    /// The graph that it is of, and the node there; zeros for none.
    pub node: (u32, u64),
}

/// Memory that was set as its record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetTo {
    /// To what.
    pub value: u32,
    /// How much.
    pub bytes: u64,
    /// As in [`Copied`].
    pub node: (u32, u64),
}

/// A call of the driver as its record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// CUPTI's number of the function.
    pub cbid: u32,
    /// Of the process.
    pub process: u32,
    /// Of the thread.
    pub thread: u32,
    /// Ties it to what it submitted.
    pub correlation: u32,
    /// What it returned.
    pub returned: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Interval = Interval { start: 7_000, end: 9_000 };
    const PLACE: Place = Place { device: 0, context: 1, stream: 13, correlation: 77 };

    fn u64_at(record: &Record, at: usize) -> u64 {
        u64::from_ne_bytes(record.bytes()[at..at + 8].try_into().unwrap())
    }

    fn u32_at(record: &Record, at: usize) -> u32 {
        u32::from_ne_bytes(record.bytes()[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn records_grow_and_keep_their_places() {
        let launch =
            Launch { name: 0x1234, grid: [2, 3, 4], block: [32, 1, 1], ..Launch::default() };
        for (version, bytes) in [(12_000, 208), (12_080, 208), (13_000, 216), (13_040, 248)] {
            let kernel = Record::kernel(version, TIMES, PLACE, launch);
            assert_eq!(kernel.bytes().len(), bytes, "{version}");
            assert_eq!((u64_at(&kernel, 16), u64_at(&kernel, 24)), (7_000, 9_000));
            assert_eq!((u32_at(&kernel, 56), u32_at(&kernel, 92)), (3, 77));
            assert_eq!(u64_at(&kernel, 104), 0x1234);
        }
        // An event's number of recordings came with 12.8.
        assert_eq!(Record::event(12_000, PLACE, 5, 3).bytes().len(), 24);
        assert_eq!(u64_at(&Record::event(12_080, PLACE, 5, 3), 48), 3);
    }

    #[test]
    fn waits_for_a_context_have_no_stream() {
        let of = |for_| u32_at(&Record::wait(12_080, for_, TIMES, PLACE, (0, 0)), 32);
        assert_eq!((of(WaitsFor::Stream), of(WaitsFor::Context)), (13, u32::MAX));
    }

    #[test]
    fn every_kind_has_a_number_and_a_size() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind as u32), Some(kind));
            for version in [11_000, 12_000, 12_080, 13_000, 13_050] {
                let bytes = kind.bytes(version);
                assert!(24 <= bytes && bytes.is_multiple_of(8), "{kind:?} {version}: {bytes}");
            }
        }
    }
}
