//! Device work in the mapped file: appended, so that what was delivered before the process is killed stays.

use core::ffi::CStr;
use core::sync::atomic::Ordering::{Relaxed, Release};
use std::collections::HashMap;

use super::activity::{Activity, Place, Times};
use super::calls::Calls;
use super::graph_nodes::GraphNodes;
use crate::format::device_work::{Class, WORKS};
use crate::format::{CHUNK_HEAD_BYTES, ChunkHead, ChunkKind, DeviceWork, DeviceWorkData};
use crate::record::session::Session;

/// Kernels with different names that are told apart; further ones share the number 0.
const MOST_NAMES: usize = 65_536;
/// Chunks of the log at most: 384 MiB, some two million operations and their calls. The rest of the file is for the host.
const MOST_CHUNKS: usize = (384 << 20) / (WORKS * size_of::<DeviceWork>());
/// A name is cut behind so many bytes.
const LONGEST_NAME: usize = 4_096;

/// Where device work is written. One thread at a time.
#[derive(Debug)]
pub(crate) struct Works {
    session: &'static Session,
    chunk: Option<Open>,
    names: HashMap<Box<[u8]>, u32>,
    /// Work that found no place in the file.
    pub(crate) lost: u64,
    noted_lost: u64,
    chunks: usize,
    /// When the newest harvest began, and the one before it, in ticks.
    harvests: [u64; 2],
    /// The log has its full length, of so many chunks.
    is_full: bool,
    most_chunks: usize,
}

/// The chunk that has places left.
#[derive(Debug)]
struct Open {
    head: &'static ChunkHead,
    entries: &'static [DeviceWork],
    used: usize,
}

impl Works {
    pub(crate) fn new(session: &'static Session) -> Self {
        Self {
            session,
            chunk: None,
            names: HashMap::new(),
            lost: 0,
            noted_lost: 0,
            chunks: 0,
            harvests: [0; 2],
            is_full: false,
            most_chunks: MOST_CHUNKS,
        }
    }

    /// Writes what a record says. Returns whether it is of a sort that is written.
    pub(crate) fn add(&mut self, activity: Activity, calls: &Calls, nodes: &GraphNodes) -> bool {
        let graph_node = graph_node_of(&activity);
        let Some(mut data) = self.data_of(activity) else { return false };
        // What a graph runs is a matter of who captured it, not of who launches it.
        let of_node = graph_node.and_then(|id| nodes.span_of(id));
        data.node = of_node.or_else(|| calls.span_of(data.correlation)).unwrap_or(0);
        self.append(&data);
        true
    }

    fn data_of(&mut self, activity: Activity) -> Option<DeviceWorkData> {
        let at = |class: Class, times: Times, place: Place| DeviceWorkData {
            class: class as u32,
            correlation: place.correlation,
            device: place.device,
            context: place.context,
            stream: place.stream,
            start: times.start,
            end: times.end,
            ..DeviceWorkData::default()
        };
        Some(match activity {
            Activity::Kernel {
                times,
                place,
                grid,
                block,
                registers,
                shared_bytes,
                name,
                graph,
                graph_node: _,
            } => DeviceWorkData {
                what: self.name(name),
                detail: graph,
                grid_x: grid[0],
                grid_y: grid[1],
                grid_z: grid[2],
                block_x: block[0],
                block_y: block[1],
                block_z: block[2],
                shared_bytes,
                registers: u32::from(registers),
                ..at(Class::Kernel, times, place)
            },
            Activity::Copy {
                times,
                place,
                direction,
                from,
                to,
                is_async,
                bytes,
                graph,
                graph_node: _,
            } => DeviceWorkData {
                what: u32::from_le_bytes([direction, from, to, u8::from(is_async)]),
                bytes,
                detail: graph,
                ..at(Class::Copy, times, place)
            },
            Activity::Set { times, place, bytes, graph_node: _ } => {
                DeviceWorkData { bytes, ..at(Class::Set, times, place) }
            }
            Activity::Wait { times, place, sort, event, recording } => DeviceWorkData {
                what: sort,
                detail: event,
                bytes: recording,
                ..at(Class::Wait, times, place)
            },
            Activity::Event { place, event, recording } => DeviceWorkData {
                detail: event,
                bytes: recording,
                ..at(Class::Event, Times::default(), place)
            },
            Activity::Call { times, cbid, is_runtime, thread, correlation, returned } => {
                let place = Place { correlation, stream: u32::MAX, ..Place::default() };
                DeviceWorkData {
                    what: cbid | u32::from(is_runtime) << 31,
                    thread,
                    returned,
                    ..at(Class::Call, times, place)
                }
            }
            Activity::Overhead { times, sort } => {
                DeviceWorkData { what: sort, ..at(Class::Overhead, times, Place::default()) }
            }
            Activity::Memory { at: when, place, operation, bytes } => DeviceWorkData {
                what: operation,
                bytes,
                ..at(Class::Memory, Times { start: when, end: when }, place)
            },
            Activity::Graph { times, place, graph } => {
                DeviceWorkData { detail: graph, ..at(Class::Graph, times, place) }
            }
            Activity::Stream { place, sort } => {
                DeviceWorkData { what: sort, ..at(Class::Stream, Times::default(), place) }
            }
            Activity::External { .. } => return None,
        })
    }

    /// The number of a name, which is written into the file at first sight; 0 where there is none.
    fn name(&mut self, address: u64) -> u32 {
        if address == 0 {
            return 0;
        }
        // SAFETY: the record says so: a C string of CUPTI's, which stays.
        let name = unsafe { CStr::from_ptr(address as *const core::ffi::c_char) }.to_bytes();
        let name = name.get(..LONGEST_NAME).unwrap_or(name);
        if let Some(&number) = self.names.get(name) {
            return number;
        }
        let known = self.names.len();
        let Some(number) = u32::try_from(known + 1).ok().filter(|_| known < MOST_NAMES) else {
            return 0;
        };
        let is_written =
            self.session.arena.text_chunk(ChunkKind::DeviceName, 4 + name.len(), |put| {
                put(&number.to_ne_bytes());
                put(name);
            });
        if !is_written {
            return 0;
        }
        self.names.insert(name.into(), number);
        number
    }

    /// Notes how many records were lost so far, if there are more than before.
    pub(crate) fn note_lost(&mut self, elsewhere: u64) {
        let sum = elsewhere + self.lost;
        if self.noted_lost < sum {
            self.noted_lost = sum;
            self.append(&DeviceWorkData {
                class: Class::Lost as u32,
                bytes: sum,
                ..DeviceWorkData::default()
            });
        }
    }

    /// Writes down how many kernels were captured into graphs so far.
    pub(crate) fn note_captured(&mut self, nodes: &GraphNodes) {
        for (span, kernels) in nodes.changed_counts() {
            self.append(&DeviceWorkData {
                class: Class::Captured as u32,
                node: span,
                bytes: u64::from(kernels),
                ..DeviceWorkData::default()
            });
        }
    }

    /// Writes down what is known of a device.
    pub(crate) fn note_device(&self, facts: &str) {
        self.session.arena.text_chunk(ChunkKind::Device, facts.len(), |put| put(facts.as_bytes()));
    }

    /// Writes a record.
    pub(super) fn append(&mut self, data: &DeviceWorkData) {
        let is_last = self.chunk.as_ref().is_some_and(|open| open.used + 1 == WORKS);
        if self.is_full {
            return;
        }
        if is_last && self.chunks == self.most_chunks {
            self.is_full = true;
            // What ended before the harvest before this one began was handed over by then.
            let full = DeviceWorkData {
                class: Class::Full as u32,
                end: self.harvests[1],
                ..DeviceWorkData::default()
            };
            self.put(&full);
            return;
        }
        self.put(data);
    }

    /// A harvest begins. Returns whether there is room for what it brings.
    pub(super) fn begin_harvest(&mut self, ticks: u64) -> bool {
        self.harvests = [ticks, self.harvests[0]];
        !self.is_full
    }

    fn put(&mut self, data: &DeviceWorkData) {
        if self.chunk.as_ref().is_none_or(|open| WORKS <= open.used) {
            self.chunk = self.open();
            self.chunks += 1;
        }
        let Some(open) = &mut self.chunk else {
            self.lost += 1;
            return;
        };
        let Some(entry) = open.entries.get(open.used) else { return };
        store(entry, data);
        open.used += 1;
        // Release: pairs with the reader's look at the count; the entry is complete.
        open.head.aux.store(u32::try_from(open.used).unwrap_or(0), Release);
    }

    fn open(&self) -> Option<Open> {
        let chunk = self.session.arena.spare_chunk(WORKS * size_of::<DeviceWork>())?;
        let payload = chunk.payload();
        // SAFETY: the head lies right before the payload, stays mapped for good, and is made of atomics.
        let head = unsafe { &*payload.sub(CHUNK_HEAD_BYTES).cast::<ChunkHead>() };
        // SAFETY: the payload is as long, zero, 64-aligned, and stays; entries are made of atomics.
        let entries = unsafe { core::slice::from_raw_parts(payload.cast::<DeviceWork>(), WORKS) };
        chunk.publish(ChunkKind::DeviceWork, 0);
        Some(Open { head, entries, used: 0 })
    }
}

/// CUPTI's number of the node of a graph that a record is of.
fn graph_node_of(activity: &Activity) -> Option<u64> {
    match *activity {
        Activity::Kernel { graph_node, .. }
        | Activity::Copy { graph_node, .. }
        | Activity::Set { graph_node, .. } => Some(graph_node).filter(|&id| id != 0),
        _ => None,
    }
}

fn store(entry: &DeviceWork, data: &DeviceWorkData) {
    for (to, value) in [
        (&entry.node, data.node),
        (&entry.thread, data.thread),
        (&entry.correlation, data.correlation),
        (&entry.device, data.device),
        (&entry.context, data.context),
        (&entry.stream, data.stream),
        (&entry.what, data.what),
        (&entry.detail, data.detail),
        (&entry.returned, data.returned),
        (&entry.grid_x, data.grid_x),
        (&entry.grid_y, data.grid_y),
        (&entry.grid_z, data.grid_z),
        (&entry.block_x, data.block_x),
        (&entry.block_y, data.block_y),
        (&entry.block_z, data.block_z),
        (&entry.shared_bytes, data.shared_bytes),
        (&entry.registers, data.registers),
    ] {
        to.store(value, Relaxed);
    }
    for (to, value) in
        [(&entry.start, data.start), (&entry.end, data.end), (&entry.bytes, data.bytes)]
    {
        to.store(value, Relaxed);
    }
    // Release: pairs with the reader; an entry of a class is complete.
    entry.class.store(data.class, Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os;
    use crate::record::session::{Place, RECORDING};

    #[test]
    fn a_log_of_full_length_says_until_when_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("bottleneck-works-{}", os::thread::pid()));
        std::fs::create_dir_all(&folder).unwrap();
        let place = Place { directory: folder.clone(), fallback: None, extension: RECORDING };
        let session: &'static Session = Box::leak(Box::new(Session::start(&place).unwrap()));
        let mut works = Works { most_chunks: 2, ..Works::new(session) };
        assert!(works.begin_harvest(100) && works.begin_harvest(200));
        let one = DeviceWorkData { class: Class::Kernel as u32, ..DeviceWorkData::default() };
        for _ in 0..3 * WORKS {
            works.append(&one);
        }
        assert!(!works.begin_harvest(300), "there is nothing to harvest for");
        let last = works.chunk.as_ref().unwrap().entries.last().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let found = (last.class.load(Relaxed), last.end.load(Relaxed), works.chunks, works.lost);
        assert_eq!(found, (Class::Full as u32, 100, 2, 0));
    }
}
