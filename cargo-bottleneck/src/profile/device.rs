//! What devices did, as the recording has it: plain data, in ns since its beginning.

use std::collections::BTreeMap;

use super::SpanIdx;

/// Where work ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Number of the device.
    pub device: u32,
    /// Number of the context.
    pub context: u32,
    /// Number of the stream.
    pub stream: u32,
}

impl StreamKey {
    /// The same stream where the device is not told, as in waits: contexts have numbers of their own.
    #[must_use]
    pub fn without_device(self) -> Self {
        Self { device: 0, ..self }
    }
}

/// Whether a stream and the default stream wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamSort {
    /// It is the default stream.
    Default,
    /// They do.
    Blocking,
    /// They do not.
    NonBlocking,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct When {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
}

impl When {
    /// How long it is.
    pub fn ns(self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Which way a copy went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the device.
    HostToDevice,
    /// From it.
    DeviceToHost,
    /// Within it.
    DeviceToDevice,
    /// To another one.
    PeerToPeer,
    /// Another way.
    Other,
}

/// The memory at one end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryKind {
    /// Of the host, as it comes.
    Pageable,
    /// Of the host, held in place.
    Pinned,
    /// Of the device.
    Device,
    /// Moved by the driver as it is used.
    Managed,
    /// Another sort.
    Other,
}

/// What a device did.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// It ran a kernel.
    Kernel {
        /// Its name, as the compiler made it.
        name: std::sync::Arc<str>,
        /// Blocks.
        blocks: u64,
        /// Threads of a block.
        threads: u32,
        /// It is of this graph; 0 for none.
        graph: u32,
    },
    /// It copied.
    Copy {
        /// Which way.
        direction: Direction,
        /// From.
        from: MemoryKind,
        /// To.
        to: MemoryKind,
        /// How much.
        bytes: u64,
        /// The call did not promise to wait.
        is_async: bool,
    },
    /// It set memory.
    Set {
        /// How much.
        bytes: u64,
    },
    /// It ran a graph, of which only the whole is known.
    Graph {
        /// Its number.
        graph: u32,
    },
}

/// Work of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// What.
    pub deed: Deed,
    /// When.
    pub when: When,
    /// Where.
    pub stream: StreamKey,
    /// The call that submitted it; `None` where that is not known.
    pub call: Option<CallIdx>,
    /// The span that the call was made in, or in which the graph that it is of was captured; `None` outside of spans.
    pub span: Option<SpanIdx>,
}

/// Index of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkIdx(pub usize);

/// Index of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallIdx(pub usize);

/// What the host did for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// CUPTI's number of the function of the driver.
    pub cbid: u32,
    /// When.
    pub when: When,
    /// The system's number of the thread.
    pub tid: u32,
    /// In which span.
    pub span: Option<SpanIdx>,
    /// It failed.
    pub has_failed: bool,
}

/// A wait that the host or a stream was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub sort: WaitSort,
    /// When the call was made.
    pub when: When,
    /// Of which stream, or for which; `None` for all.
    pub stream: Option<StreamKey>,
    /// The recording of an event that it is for: its number, or, before CUDA 12.8, that of the event.
    pub event: Option<u64>,
    /// The call.
    pub call: Option<CallIdx>,
    /// In which span.
    pub span: Option<SpanIdx>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitSort {
    /// The host for an event.
    Event,
    /// A stream for an event.
    StreamForEvent,
    /// The host for a stream.
    Stream,
    /// The host for everything.
    Context,
}

/// An event that was recorded on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// As in [`Wait::event`].
    pub event: u64,
    /// On which stream.
    pub stream: StreamKey,
    /// When it was asked for; `None` where the call is not known.
    pub call: Option<CallIdx>,
}

/// What is known of a device before it does anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Attributes by name, as the driver numbers them: `multiprocessors`, `clock_khz`, ...
    pub attributes: BTreeMap<String, i64>,
}

/// Everything that is known of devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// The devices, by their numbers.
    pub known: Vec<DeviceFacts>,
    /// What they did, by rising beginning.
    pub works: Vec<Work>,
    /// Streams that were made while it was recorded, without their devices.
    pub streams: BTreeMap<StreamKey, StreamSort>,
    /// What the host did for them, by rising beginning.
    pub calls: Vec<Call>,
    /// Waits, by rising beginning.
    pub waits: Vec<Wait>,
    /// Events, in the order in which they became known.
    pub recordings: Vec<Recording>,
    /// Time that CUPTI, compilers and loaders took, by rising beginning: CUPTI's number of what, and when.
    pub overheads: Vec<(u32, When)>,
    /// Times of streams around calls of spans that name one.
    pub elapsed: BTreeMap<SpanIdx, Elapsed>,
    /// Kernels that were captured into graphs, by span.
    pub captured: BTreeMap<SpanIdx, u64>,
    /// Records that were dropped or given up; work is missing then.
    pub lost: u64,
    /// Until when everything is known, in ns since recording began; `None` if that is the end.
    pub until_ns: Option<u64>,
    /// Work whose times make no sense.
    pub untimed: u64,
}

/// Times of streams between two events, before and behind the calls of a span: starvation included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed {
    /// How many calls were timed.
    pub calls: u64,
    /// All of their times, in ns.
    pub ns: u64,
}

impl Devices {
    /// The works with their indices.
    pub fn indexed_works(&self) -> impl Iterator<Item = (WorkIdx, &Work)> {
        self.works.iter().enumerate().map(|(at, work)| (WorkIdx(at), work))
    }

    /// The span in which a work was launched: for one of a graph that may be another one than that in which it was captured.
    pub fn launching(&self, work: &Work) -> Option<SpanIdx> {
        let call = work.call.and_then(|at| self.calls.get(at.0));
        call.map_or(work.span, |call| call.span)
    }

    /// Numbers of the devices that did something, each once.
    pub fn numbers(&self) -> Vec<u32> {
        let mut res: Vec<u32> = self.works.iter().map(|work| work.stream.device).collect();
        res.sort_unstable();
        res.dedup();
        res
    }
}
