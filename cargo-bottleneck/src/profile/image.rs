//! Test kit: writes the bytes of a profile file, as the runtime would leave them.

use std::mem::offset_of;

use bottleneck_runtime::format::accesses::{self, Access};
use bottleneck_runtime::format::code::{BLOCK_BYTES, BLOCKS, ENTRY_BYTES};
use bottleneck_runtime::format::header::CLOCK_MONOTONIC;
use bottleneck_runtime::format::{
    AccessData, Accesses, AccessesData, CHUNK_HEAD_BYTES, ChunkKind, Conditions, ConditionsData,
    ENDIAN, GRANULE, HEADER_BYTES, HISTOGRAM_BYTES, Header, HeaderData, MAGIC, MAJOR, MINOR,
    NODE_BYTES, Node, NodeData, Sample, SampleData, Samples, SamplesData, SiteRecord, Snapshots,
    SnapshotsData, Task, TaskData, Tree, TreeData, histogram, samples, snapshot, task,
};

/// Writes fields of a record at their places in the layout.
macro_rules! put {
    ($bytes:expr, $at:expr, $record:ident, $data:expr, $($field:ident)*) => {
        $( put_bytes($bytes, $at + offset_of!($record, $field), &$data.$field.to_ne_bytes()); )*
    };
}

/// A file being written.
#[derive(Clone, Debug)]
pub struct Image {
    bytes: Vec<u8>,
    /// Copied into the file by [`Image::finish`].
    pub header: HeaderData,
}

impl Image {
    /// A file without chunks, of a process that started at 1 s and whose clock counts nanoseconds.
    pub fn new() -> Self {
        let header = HeaderData {
            magic: u64::from_ne_bytes(MAGIC),
            version: u32::from(MAJOR) | u32::from(MINOR) << 16,
            endian: ENDIAN,
            header_bytes: u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX),
            clock: CLOCK_MONOTONIC,
            pid: 4242,
            parent_pid: 1,
            start_ticks: 1_000_000_000,
            start_ns: 1_000_000_000,
            ..HeaderData::default()
        };
        Self { bytes: vec![0; HEADER_BYTES], header }
    }

    /// Adds a chunk and returns the offset of its payload.
    pub fn chunk(&mut self, kind: ChunkKind, aux: usize, payload: &[u8]) -> usize {
        let at = self.bytes.len();
        let len = (CHUNK_HEAD_BYTES + payload.len()).next_multiple_of(GRANULE);
        self.bytes.resize(at + len, 0);
        put_bytes(&mut self.bytes, at, &(kind as u32).to_ne_bytes());
        put_bytes(&mut self.bytes, at + 4, &u32::try_from(aux).unwrap_or(u32::MAX).to_ne_bytes());
        put_bytes(&mut self.bytes, at + 8, &(len as u64).to_ne_bytes());
        put_bytes(&mut self.bytes, at + CHUNK_HEAD_BYTES, payload);
        at + CHUNK_HEAD_BYTES
    }

    /// Adds a site.
    pub fn site(&mut self, record: &SiteRecord<'_>) {
        let mut payload = Vec::new();
        record.encode(|part| payload.extend_from_slice(part));
        self.chunk(ChunkKind::Site, 0, &payload);
    }

    /// Adds the text of a key.
    pub fn key(&mut self, hash: u64, text: &str) {
        let payload = [&hash.to_ne_bytes(), text.as_bytes()].concat();
        self.chunk(ChunkKind::Key, text.len(), &payload);
    }

    /// Adds pairs of ticks and nanoseconds.
    pub fn anchors(&mut self, pairs: &[(u64, u64)]) {
        let payload: Vec<u8> = pairs
            .iter()
            .flat_map(|(ticks, ns)| [ticks.to_ne_bytes(), ns.to_ne_bytes()])
            .flatten()
            .collect();
        self.chunk(ChunkKind::Anchors, pairs.len(), &payload);
    }

    /// Adds a chunk of text.
    pub fn text(&mut self, kind: ChunkKind, text: &str) {
        self.chunk(kind, text.len(), text.as_bytes());
    }

    /// Adds a slab of empty nodes and returns the reference of the first; the next ones are `NODE_BYTES / GRANULE` apart.
    pub fn slab(&mut self, nodes: usize) -> u32 {
        let payload = self.chunk(ChunkKind::Nodes, 0, &vec![0; nodes * NODE_BYTES]);
        reference(payload)
    }

    /// Writes a node into its slot.
    pub fn node(&mut self, at: u32, data: &NodeData) {
        let at = at as usize * GRANULE;
        put!(&mut self.bytes, at, Node, data,
            site parent first_child next_sibling key histogram depth flags open_since count total min max
            folded blocked_ns preempted_ns blocked_count preempted_count wakeup_ns minor_faults major_faults cpu_ns
            cpu_ticks flops bytes work_count work_dtype polls waiting started cancelled panicked);
    }

    /// Makes `younger` the next sibling of `older`.
    pub fn link(&mut self, older: u32, younger: u32) {
        put_bytes(
            &mut self.bytes,
            older as usize * GRANULE + offset_of!(Node, next_sibling),
            &younger.to_ne_bytes(),
        );
    }

    /// Adds the histogram of `durations` in ticks and returns its reference.
    pub fn histogram(&mut self, durations: &[u64]) -> u32 {
        let mut buckets = [0_u32; histogram::BUCKETS];
        for &ticks in durations {
            buckets[histogram::bucket(ticks)] += 1;
        }
        let payload: Vec<u8> = buckets.iter().flat_map(|count| count.to_ne_bytes()).collect();
        debug_assert_eq!(payload.len(), HISTOGRAM_BYTES, "one slot");
        reference(self.chunk(ChunkKind::Histograms, 0, &payload))
    }

    /// Adds the record of a thread's tree.
    pub fn tree(&mut self, data: &TreeData) {
        let mut payload = vec![0; 256];
        put!(&mut payload, 0, Tree, data,
            root tid source flags threads name_0 name_1 first_ns attached_ns attached_cpu_ns detached_ns lived_ns
            lived_cpu_ns off_since_ns off_preempted lost_switches refused_errno refused_call seen_cpu_ns seen_ns);
        self.chunk(ChunkKind::Tree, 0, &payload);
    }

    /// Adds the records of tasks, in as many chunks as they need.
    pub fn tasks(&mut self, tasks: &[TaskData]) {
        for tasks in tasks.chunks(task::TASKS) {
            let mut payload = vec![0; tasks.len() * size_of::<Task>()];
            for (at, data) in tasks.iter().enumerate() {
                put!(&mut payload, at * size_of::<Task>(), Task, data,
                    root tid flags name_0 name_1 threads cpu_ns);
            }
            self.chunk(ChunkKind::Tasks, tasks.len(), &payload);
        }
    }

    /// Adds the head of the snapshots and the active table. The chunk ends with it: what the runtime has behind it does
    /// not count.
    pub fn snapshots(&mut self, head: SnapshotsData, active: &Table) {
        let len = active.bytes.len();
        assert!(len <= snapshot::TABLE_BYTES, "{len} bytes of snapshots do not fit into the table");
        let (used_0, used_1) = if head.active == 0 { (len, 0) } else { (0, len) };
        let data = SnapshotsData { used_0: used_0 as u64, used_1: used_1 as u64, ..head };
        let mut payload = vec![0; size_of::<Snapshots>()];
        put!(&mut payload, 0, Snapshots, data,
            active halvings used_0 used_1 period_ns taken cpu_ns left_out);
        let tables = usize::try_from(head.active).unwrap_or(0).min(1);
        payload.resize(payload.len() + tables * snapshot::TABLE_BYTES, 0);
        payload.extend_from_slice(&active.bytes);
        self.chunk(ChunkKind::Snapshots, 0, &payload);
    }

    /// Adds samples. The chunk ends with the last: the unused slots of the runtime do not count.
    pub fn samples(&mut self, period_ns: u64, lost: u64, slots: &[SampleData]) {
        assert!(slots.len() <= samples::SLOTS, "{} samples do not fit", slots.len());
        let data = SamplesData { period_ns, lost };
        let (head, slot) = (size_of::<Samples>(), size_of::<Sample>());
        let mut payload = vec![0; head + slots.len() * slot];
        put!(&mut payload, 0, Samples, data, period_ns lost);
        for (at, data) in slots.iter().enumerate() {
            put!(&mut payload, head + at * slot, Sample, data, node flags address count);
        }
        self.chunk(ChunkKind::Samples, 0, &payload);
    }

    /// Adds samples with their data. The chunk ends with the last: the unused entries of the runtime do not count.
    pub fn accesses(&mut self, data: &AccessesData, entries: &[AccessData]) {
        assert!(entries.len() <= accesses::ENTRIES, "{} accesses do not fit", entries.len());
        let (head, entry) = (size_of::<Accesses>(), size_of::<Access>());
        let mut payload = vec![0; head + entries.len() * entry];
        put!(&mut payload, 0, Accesses, data,
            begun partner is_probing period_ns samples handler_ticks probes not_eligible not_resident faults unadopted);
        for (at, data) in entries.iter().enumerate() {
            put!(&mut payload, head + at * entry, Access, data,
                ticks node thread sampled address open_since probed_0 probed_1 latency_0 latency_1 faults flags kernel_us cpu_us);
        }
        self.chunk(ChunkKind::Accesses, 0, &payload);
    }

    /// Adds code. Each piece is written in as many blocks as it touches; pieces do not share a block.
    pub fn code(&mut self, pieces: &[(u64, Vec<u8>)]) {
        let mut payload = Vec::new();
        for (address, bytes) in pieces {
            let (mut address, mut rest) = (*address, &bytes[..]);
            while !rest.is_empty() {
                let first = usize::try_from(address).unwrap_or(0) % BLOCK_BYTES;
                let (block, behind) = rest.split_at(rest.len().min(BLOCK_BYTES - first));
                let at = payload.len();
                payload.resize(at + ENTRY_BYTES, 0);
                put_bytes(&mut payload, at, &(address - first as u64).to_ne_bytes());
                let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_ne_bytes();
                put_bytes(&mut payload, at + 8, &count(first));
                put_bytes(&mut payload, at + 12, &count(block.len()));
                put_bytes(&mut payload, at + 16 + first, block);
                (address, rest) = (address + block.len() as u64, behind);
            }
        }
        let entries = payload.len() / ENTRY_BYTES;
        assert!(entries <= BLOCKS, "{entries} blocks of code do not fit");
        self.chunk(ChunkKind::Code, entries, &payload);
    }

    /// Adds what was taken from the process.
    pub fn conditions(&mut self, data: &ConditionsData) {
        let mut payload = vec![0; size_of::<Conditions>()];
        put!(&mut payload, 0, Conditions, data,
            known cpus steal_ns throttled_periods periods throttled_ns quota_ns period_ns affinity seen_ns);
        self.chunk(ChunkKind::Conditions, 0, &payload);
    }

    /// The whole file.
    pub fn finish(mut self) -> Vec<u8> {
        self.header.used = self.bytes.len() as u64;
        put!(&mut self.bytes, 0, Header, self.header,
            magic version endian header_bytes clock pid parent_pid boot_id_high boot_id_low build_id start_ticks start_ns
            start_unix_ns last_ticks last_ns end_ns used lost refused out_of_order recorder_cpu_ns process_cpu_ns cpus span_cost threads
            lost_switches full);
        self.bytes
    }
}

impl Default for Image {
    fn default() -> Self {
        Self::new()
    }
}

/// A table of snapshots being written.
#[derive(Clone, Debug, Default)]
pub struct Table {
    bytes: Vec<u8>,
}

/// What one task did, in the numbers of the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Index of the task.
    pub task: u32,
    /// Reference of its innermost open node.
    pub node: u32,
    /// First argument of the call.
    pub argument: u64,
    /// Number of the state.
    pub state: u8,
    /// Number of the call.
    pub call: u8,
    /// Number of the target.
    pub target: u8,
    /// The call ends by itself.
    pub is_timed: bool,
    /// What a futex wait expects.
    pub value: u32,
}

impl Table {
    /// Adds a snapshot, taken at `at_ns` of `CLOCK_MONOTONIC`.
    pub fn snapshot(&mut self, at_ns: u64, async_requests: u16, stalled_us: u32, tasks: &[Entry]) {
        let count = u16::try_from(tasks.len()).unwrap_or(u16::MAX);
        self.bytes.extend(at_ns.to_ne_bytes());
        self.bytes.extend(count.to_ne_bytes());
        self.bytes.extend(async_requests.to_ne_bytes());
        self.bytes.extend(stalled_us.to_ne_bytes());
        for entry in tasks {
            self.bytes.extend(entry.task.to_ne_bytes());
            self.bytes.extend(entry.node.to_ne_bytes());
            self.bytes.extend(entry.argument.to_ne_bytes());
            let flags = if entry.is_timed { snapshot::ENTRY_TIMED } else { 0 };
            self.bytes.extend([entry.state, entry.call, entry.target, flags]);
            self.bytes.extend(entry.value.to_ne_bytes());
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no snapshot.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The two halves of a thread's name.
pub fn thread_name(name: &str) -> (u64, u64) {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    let half = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    (half(0), half(8))
}

fn reference(offset: usize) -> u32 {
    u32::try_from(offset / GRANULE).unwrap_or(0)
}

fn put_bytes(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
