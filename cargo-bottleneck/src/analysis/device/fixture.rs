//! Draws what devices and hosts did, for tests.

use std::ops::Range;

use crate::profile::SpanIdx;
use crate::profile::device::{
    Call, CallIdx, Deed, DeviceFacts, Devices, Direction, MemoryKind, Recording, StreamKey,
    StreamSort, Wait, WaitSort, When, Work,
};

/// A drawing of device 0 in context 1; times are in ns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing {
    devices: Devices,
}

/// CUPTI's numbers of the calls that are drawn.
pub(crate) const LAUNCH: u32 = 307;
pub(crate) const SYNCHRONIZE: u32 = 126;
const COPY: u32 = 277;
const RECORD: u32 = 119;
const STREAM_WAIT: u32 = 295;

fn when(range: Range<u64>) -> When {
    When { start_ns: range.start, end_ns: range.end }
}

fn stream(number: u32) -> StreamKey {
    StreamKey { device: 0, context: 1, stream: number }
}

impl Drawing {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn call(&mut self, cbid: u32, tid: u32, range: Range<u64>) -> CallIdx {
        let span = None;
        self.devices.calls.push(Call { cbid, when: when(range), tid, span, has_failed: false });
        CallIdx(self.devices.calls.len() - 1)
    }

    fn work(mut self, deed: Deed, number: u32, range: Range<u64>, call: Option<CallIdx>) -> Self {
        let work = Work { deed, when: when(range), stream: stream(number), call, span: None };
        self.devices.works.push(work);
        self
    }

    fn deed(name: &str, blocks: u64) -> Deed {
        Deed::Kernel { name: name.into(), blocks, threads: 256, graph: 0 }
    }

    /// A kernel whose call is not known.
    pub(crate) fn kernel(self, name: &str, number: u32, range: Range<u64>) -> Self {
        self.work(Self::deed(name, 1000), number, range, None)
    }

    /// A call of thread `tid`, and the kernel that it launches.
    pub(crate) fn launch(
        self,
        tid: u32,
        call: Range<u64>,
        name: &str,
        number: u32,
        range: Range<u64>,
    ) -> Self {
        self.launch_of(1000, tid, call, name, number, range)
    }

    /// The same with so many blocks.
    pub(crate) fn launch_of(
        mut self,
        blocks: u64,
        tid: u32,
        call: Range<u64>,
        name: &str,
        number: u32,
        range: Range<u64>,
    ) -> Self {
        let call = self.call(LAUNCH, tid, call);
        self.work(Self::deed(name, blocks), number, range, Some(call))
    }

    /// 1 MiB to the device from pinned memory, by a call that is not known.
    pub(crate) fn copy(self, number: u32, range: Range<u64>) -> Self {
        self.work(Self::copy_of(1 << 20, MemoryKind::Pinned), number, range, None)
    }

    fn copy_of(bytes: u64, from: MemoryKind) -> Deed {
        let (direction, to) = (Direction::HostToDevice, MemoryKind::Device);
        Deed::Copy { direction, from, to, bytes, is_async: true }
    }

    /// A call that copies to the device.
    pub(crate) fn upload(
        mut self,
        tid: u32,
        call: Range<u64>,
        (bytes, from): (u64, MemoryKind),
        number: u32,
        range: Range<u64>,
    ) -> Self {
        let call = self.call(COPY, tid, call);
        self.work(Self::copy_of(bytes, from), number, range, Some(call))
    }

    /// What was drawn last is a copy whose call promises to wait for it.
    pub(crate) fn that_waits(mut self) -> Self {
        if let Some(Work { deed: Deed::Copy { is_async, .. }, .. }) = self.devices.works.last_mut()
        {
            *is_async = false;
        }
        self
    }

    fn wait(
        mut self,
        sort: WaitSort,
        cbid: u32,
        tid: u32,
        range: Range<u64>,
        number: u32,
        event: Option<u64>,
    ) -> Self {
        let call = Some(self.call(cbid, tid, range.clone()));
        let wait =
            Wait { sort, when: when(range), stream: Some(stream(number)), event, call, span: None };
        self.devices.waits.push(wait);
        self
    }

    /// The host waits for a stream.
    pub(crate) fn synchronize(self, tid: u32, range: Range<u64>, number: u32) -> Self {
        self.wait(WaitSort::Stream, SYNCHRONIZE, tid, range, number, None)
    }

    /// An event is recorded on a stream.
    pub(crate) fn record(mut self, tid: u32, range: Range<u64>, event: u64, number: u32) -> Self {
        let call = Some(self.call(RECORD, tid, range));
        self.devices.recordings.push(Recording { event, stream: stream(number), call });
        self
    }

    /// A stream is told to wait for an event.
    pub(crate) fn stream_wait(self, tid: u32, range: Range<u64>, event: u64, number: u32) -> Self {
        self.wait(WaitSort::StreamForEvent, STREAM_WAIT, tid, range, number, Some(event))
    }

    /// A stream is known to be of a sort.
    pub(crate) fn stream(mut self, number: u32, sort: StreamSort) -> Self {
        self.devices.streams.insert(stream(number), sort);
        self
    }

    /// Time that CUPTI, a compiler or a loader takes.
    pub(crate) fn overhead(mut self, what: u32, range: Range<u64>) -> Self {
        self.devices.overheads.push((what, when(range)));
        self
    }

    /// What was drawn last was called, and recorded, in this span.
    pub(crate) fn in_span(mut self, span: SpanIdx) -> Self {
        if let Some(call) = self.devices.calls.last_mut() {
            call.span = Some(span);
        }
        if let Some(work) = self.devices.works.last_mut() {
            work.span = Some(span);
        }
        self
    }

    /// Device 0 has an attribute.
    pub(crate) fn attribute(mut self, name: &str, value: i64) -> Self {
        if self.devices.known.is_empty() {
            self.devices
                .known
                .push(DeviceFacts { name: "drawn".to_owned(), ..DeviceFacts::default() });
        }
        self.devices.known[0].attributes.insert(name.to_owned(), value);
        self
    }

    /// Everything, in the order of the loader.
    pub(crate) fn devices(&self) -> Devices {
        let mut res = self.devices.clone();
        res.works.sort_by_key(|work| (work.when, work.stream));
        res.waits.sort_by_key(|wait| wait.when);
        res
    }
}
