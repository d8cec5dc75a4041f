//! Device work: from the chunks of a recording to [`Devices`].
//!
//! Every number may lie, and records come in any order, some of them never. What names no call keeps its time and has no span; what has no
//! time is counted and left out. Linear in the records, up to sorting.

use std::collections::HashMap;
use std::sync::Arc;

use bottleneck_runtime::format::device_work::{Class, WORKS};
use bottleneck_runtime::format::{DeviceWork, DeviceWorkData, u32_at};

use super::clock::Clock;
use super::device::{
    Call, CallIdx, Deed, DeviceFacts, Devices, Direction, MemoryKind, Recording, StreamKey,
    StreamSort, Wait, WaitSort, When, Work,
};
use super::tree::{References, with_slack};
use super::warning::{Damage, Damages};

const WORK_BYTES: usize = size_of::<DeviceWork>();
/// What stands for no stream.
const NO_STREAM: u32 = u32::MAX;

/// The chunks, before anything in them is converted.
#[derive(Debug, Default)]
pub(super) struct RawDevices<'a> {
    works: Vec<&'a [u8]>,
    names: HashMap<u32, Arc<str>>,
    known: Vec<DeviceFacts>,
}

impl<'a> RawDevices<'a> {
    /// The next chunk of work: its first `written` records.
    pub(super) fn add_works(&mut self, payload: &'a [u8], written: u32) -> bool {
        let written = written as usize;
        let kept = payload.len() / WORK_BYTES;
        self.works.extend(payload.chunks_exact(WORK_BYTES).take(written));
        written <= WORKS && written <= kept
    }

    /// The name of a kernel.
    pub(super) fn add_name(&mut self, payload: &[u8], bytes: u32) -> bool {
        let text = payload.get(4..bytes as usize).map(String::from_utf8_lossy);
        let found = u32_at(payload, 0).zip(text);
        if let Some((number, text)) = &found {
            self.names.insert(*number, text.as_ref().into());
        }
        found.is_some()
    }

    /// What is known of a device: lines of `name=value`, the first one its number.
    pub(super) fn add_device(&mut self, text: Option<&str>) -> bool {
        let Some(text) = text else { return false };
        let mut facts = DeviceFacts::default();
        let mut has_number = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match (name, value.parse::<i64>()) {
                ("number", Ok(number)) => {
                    let Ok(number) = u32::try_from(number) else { return false };
                    (facts.number, has_number) = (number, true);
                }
                ("name", _) => value.clone_into(&mut facts.name),
                (_, Ok(value)) => {
                    facts.attributes.insert(name.to_owned(), value);
                }
                (_, Err(_)) => return false,
            }
        }
        if has_number {
            self.known.retain(|it| it.number != facts.number);
            self.known.push(facts);
        }
        has_number
    }

    /// Everything that devices did; `None` where nothing was recorded of them.
    pub(super) fn finish(
        &self,
        references: &References,
        clock: &Clock,
        damages: &mut Damages,
    ) -> Option<Devices> {
        let records: Vec<DeviceWorkData> =
            self.works.iter().filter_map(|bytes| DeviceWorkData::read(bytes)).collect();
        if records.is_empty() {
            return None;
        }
        let mut known = self.known.clone();
        known.sort_by_key(|it| it.number);
        let mut res = Devices { known, ..Devices::default() };
        let by_correlation = calls(&records, references, clock, &mut res);
        for record in &records {
            let Some(class) = Class::from_number(record.class) else {
                damages.note(Damage::Record);
                continue;
            };
            let call = by_correlation.get(&record.correlation).copied();
            let about =
                About { record, when: when(record, clock), call, references, names: &self.names };
            about.add(class, clock, &mut res);
        }
        if let Some(until_ns) = res.until_ns {
            res.works.retain(|work| work.when.start_ns < until_ns);
            res.waits.retain(|wait| wait.when.start_ns < until_ns);
        }
        res.works.sort_by_key(|work| (work.when, work.stream));
        res.waits.sort_by_key(|wait| wait.when);
        res.overheads.sort_by_key(|(_, when)| *when);
        Some(res)
    }
}

/// The calls, by rising beginning, and where each is by its correlation number.
fn calls(
    records: &[DeviceWorkData],
    references: &References,
    clock: &Clock,
    into: &mut Devices,
) -> HashMap<u32, CallIdx> {
    let of_calls = records.iter().filter(|it| it.class == Class::Call as u32);
    let mut found: Vec<(When, &DeviceWorkData)> = Vec::new();
    for record in of_calls {
        match when(record, clock) {
            Some(when) => found.push((when, record)),
            None => into.untimed += 1,
        }
    }
    found.sort_by_key(|(when, record)| (*when, record.correlation));
    let mut res = HashMap::new();
    for (when, record) in found {
        res.insert(record.correlation, CallIdx(into.calls.len()));
        into.calls.push(Call {
            cbid: record.what,
            when,
            tid: record.thread,
            span: references.spans.get(&record.node).copied(),
            has_failed: record.returned != 0,
        });
    }
    res
}

/// By CUPTI's number.
fn stream_sort(number: u32) -> Option<StreamSort> {
    Some(match number {
        1 => StreamSort::Blocking,
        2 => StreamSort::NonBlocking,
        3 => StreamSort::Default,
        _ => return None,
    })
}

/// `None` for times that cannot be.
fn when(record: &DeviceWorkData, clock: &Clock) -> Option<When> {
    if record.start == 0 || record.end < record.start {
        return None;
    }
    let (start_ns, end_ns) = (clock.instant_ns(record.start)?, clock.instant_ns(record.end)?);
    (end_ns <= with_slack(clock.life_ns())).then_some(When { start_ns, end_ns })
}

/// A record and what is known of it.
struct About<'a> {
    record: &'a DeviceWorkData,
    when: Option<When>,
    call: Option<CallIdx>,
    references: &'a References,
    names: &'a HashMap<u32, Arc<str>>,
}

impl About<'_> {
    fn stream(&self) -> StreamKey {
        let DeviceWorkData { device, context, stream, .. } = *self.record;
        StreamKey { device, context, stream }
    }

    fn add(&self, class: Class, clock: &Clock, to: &mut Devices) {
        let record = self.record;
        match class {
            Class::Event => to.recordings.push(Recording {
                event: self.event(),
                stream: self.stream(),
                call: self.call,
            }),
            Class::Wait => self.add_wait(to),
            Class::Overhead => match self.when {
                Some(when) => to.overheads.push((record.what, when)),
                None => to.untimed += 1,
            },
            Class::Span => self.add_elapsed(to),
            Class::Stream => {
                if let Some(sort) = stream_sort(record.what) {
                    to.streams.insert(self.stream().without_device(), sort);
                }
            }
            // Calls are there already; of memory nothing is told yet.
            Class::Call | Class::Memory => {}
            // Each says how many there are so far.
            Class::Captured => {
                if let Some(&span) = self.references.spans.get(&record.node) {
                    let kernels = to.captured.entry(span).or_default();
                    *kernels = record.bytes.max(*kernels);
                }
            }
            Class::Full => to.until_ns = clock.instant_ns(record.end),
            // Each says how many there are so far.
            Class::Lost => to.lost = to.lost.max(record.bytes),
            Class::Kernel | Class::Copy | Class::Set | Class::Graph => {
                let Some(when) = self.when else {
                    to.untimed += 1;
                    return;
                };
                to.works.push(Work {
                    deed: self.deed(class),
                    when,
                    stream: self.stream(),
                    call: self.call,
                    span: self.references.spans.get(&record.node).copied(),
                });
            }
        }
    }

    /// The number of a recording; before CUDA 12.8 that of the event.
    fn event(&self) -> u64 {
        if self.record.bytes == 0 { u64::from(self.record.detail) } else { self.record.bytes }
    }

    fn add_wait(&self, to: &mut Devices) {
        let sort = match self.record.what {
            1 => WaitSort::Event,
            2 => WaitSort::StreamForEvent,
            3 => WaitSort::Stream,
            4 => WaitSort::Context,
            _ => return,
        };
        let Some(when) = self.when else {
            to.untimed += 1;
            return;
        };
        let is_for_event = matches!(sort, WaitSort::Event | WaitSort::StreamForEvent);
        to.waits.push(Wait {
            sort,
            when,
            stream: (self.record.stream != NO_STREAM).then(|| self.stream()),
            event: is_for_event.then(|| self.event()),
            call: self.call,
            span: self.references.spans.get(&self.record.node).copied(),
        });
    }

    fn add_elapsed(&self, to: &mut Devices) {
        let span = self.references.spans.get(&self.record.node);
        let (Some(&span), Some(when)) = (span, self.when) else {
            to.untimed += 1;
            return;
        };
        let sum = to.elapsed.entry(span).or_default();
        sum.calls += 1;
        sum.ns += when.ns();
    }

    fn deed(&self, class: Class) -> Deed {
        let record = self.record;
        match class {
            Class::Copy => {
                let [direction, from, to, is_async] = record.what.to_le_bytes();
                Deed::Copy {
                    direction: match direction {
                        1 => Direction::HostToDevice,
                        2 => Direction::DeviceToHost,
                        8 => Direction::DeviceToDevice,
                        10 => Direction::PeerToPeer,
                        _ => Direction::Other,
                    },
                    from: memory(from),
                    to: memory(to),
                    bytes: record.bytes,
                    is_async: is_async != 0,
                }
            }
            Class::Set => Deed::Set { bytes: record.bytes },
            Class::Graph => Deed::Graph { graph: record.detail },
            _ => {
                let product =
                    |of: [u32; 3]| of.into_iter().map(u64::from).fold(1, u64::saturating_mul);
                let threads = product([record.block_x, record.block_y, record.block_z]);
                Deed::Kernel {
                    name: self.names.get(&record.what).cloned().unwrap_or_else(|| "kernel".into()),
                    blocks: product([record.grid_x, record.grid_y, record.grid_z]),
                    threads: u32::try_from(threads).unwrap_or(u32::MAX),
                    graph: record.detail,
                }
            }
        }
    }
}

fn memory(number: u8) -> MemoryKind {
    match number {
        1 => MemoryKind::Pageable,
        2 => MemoryKind::Pinned,
        3 => MemoryKind::Device,
        5 => MemoryKind::Managed,
        _ => MemoryKind::Other,
    }
}
