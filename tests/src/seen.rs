//! The snapshots, samples and conditions of a profile, read plainly: owes nothing to `cargo-bottleneck`.

use std::path::Path;

use bottleneck_runtime::format::snapshot::{
    self, Call, ENTRY_BYTES, SNAPSHOT_HEAD_BYTES, State, TABLE_BYTES, Target,
};
use bottleneck_runtime::format::{
    ChunkKind, HeaderData, SnapshotsData, TaskData, chunk, u32_at, u64_at,
};

/// What was seen of the tasks of a process.
#[derive(Debug)]
pub struct Seen {
    /// The header.
    pub header: HeaderData,
    /// The counters of the snapshots.
    pub counters: SnapshotsData,
    /// The tasks.
    pub tasks: Vec<TaskData>,
    /// The snapshots, in the order of the file.
    pub moments: Vec<Moment>,
    /// The lines of each capability: name, `0` or `1`, reason.
    pub capabilities: Vec<String>,
}

/// One snapshot.
#[derive(Clone, Debug)]
pub struct Moment {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    /// Asynchronous requests in flight.
    pub requests: u16,
    /// Time without a CPU, in µs.
    pub stalled_us: u32,
    /// The tasks.
    pub entries: Vec<Entry>,
}

/// One task of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index of the task.
    pub task: usize,
    /// Reference of its node.
    pub node: u32,
    /// What it did.
    pub state: State,
    /// The call that it waited in.
    pub call: Call,
    /// What the descriptor of the call names.
    pub target: Target,
    /// Whether the call ends by itself.
    pub is_timed: bool,
    /// First argument of the call.
    pub argument: u64,
    /// What a futex wait expects.
    pub value: u32,
}

impl Seen {
    /// Reads the profile of a run's first process.
    ///
    /// # Panics
    /// If there is none, or it is not in order, which fails the test.
    pub fn of_run(directory: &Path) -> Self {
        let path = directory.join("run.bneck");
        let file =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&file)
    }

    fn parse(file: &[u8]) -> Self {
        let header =
            HeaderData::open(file).unwrap_or_else(|error| panic!("not a profile: {error:?}"));
        let mut seen = Self {
            header,
            counters: SnapshotsData::default(),
            tasks: Vec::new(),
            moments: Vec::new(),
            capabilities: Vec::new(),
        };
        for chunk in chunk::chunks(file) {
            match ChunkKind::from_number(chunk.kind) {
                Some(ChunkKind::Tasks) => {
                    let records = chunk.payload.chunks_exact(64).take(chunk.aux as usize);
                    seen.tasks.extend(records.filter_map(TaskData::read));
                }
                Some(ChunkKind::Snapshots) => seen.read_snapshots(chunk.payload),
                Some(ChunkKind::Capability) => seen.capabilities.push(
                    String::from_utf8_lossy(&chunk.payload[..chunk.aux as usize]).into_owned(),
                ),
                _ => {}
            }
        }
        seen
    }

    fn read_snapshots(&mut self, payload: &[u8]) {
        let counters = SnapshotsData::read(payload).expect("the head is whole");
        let table = counters.active as usize;
        let used = usize::try_from([counters.used_0, counters.used_1][table]).expect("few bytes");
        assert!(used <= TABLE_BYTES, "{counters:?}");
        let first = 64 + table * TABLE_BYTES;
        let bytes = &payload[first..first + used];
        let mut at = 0;
        while at < used {
            let counts = u32_at(bytes, at + 8).expect("a head is whole");
            let end = at + SNAPSHOT_HEAD_BYTES + (counts & 0xFFFF) as usize * ENTRY_BYTES;
            let entries = bytes[at + SNAPSHOT_HEAD_BYTES..end].chunks(ENTRY_BYTES).map(entry);
            self.moments.push(Moment {
                at_ns: u64_at(bytes, at).expect("a head is whole"),
                requests: (counts >> 16) as u16,
                stalled_us: u32_at(bytes, at + 12).expect("a head is whole"),
                entries: entries.collect(),
            });
            at = end;
        }
        assert_eq!(at, used, "the last snapshot is whole");
        assert!(self.moments.is_sorted_by(|a, b| a.at_ns < b.at_ns), "times rise");
        self.counters = counters;
    }

    /// The entries of the task of this name, one for each snapshot that has it.
    ///
    /// # Panics
    /// If there is no such task; says which there are.
    pub fn doings(&self, name: &str) -> Vec<Entry> {
        let tasks: Vec<usize> =
            (0..self.tasks.len()).filter(|&at| self.tasks[at].name() == name).collect();
        let known = || self.tasks.iter().map(TaskData::name).collect::<Vec<_>>();
        assert!(!tasks.is_empty(), "no task {name} among {:?}", known());
        let entries = self.moments.iter().flat_map(|moment| &moment.entries);
        entries.filter(|entry| tasks.contains(&entry.task)).copied().collect()
    }

    /// The run's time from its first to its last snapshot, in ns.
    pub fn life_ns(&self) -> u64 {
        match (self.moments.first(), self.moments.last()) {
            (Some(first), Some(last)) => last.at_ns - first.at_ns,
            _ => 0,
        }
    }
}

fn entry(bytes: &[u8]) -> Entry {
    Entry {
        task: u32_at(bytes, 0).expect("an entry is whole") as usize,
        node: u32_at(bytes, 4).expect("an entry is whole"),
        argument: u64_at(bytes, 8).expect("an entry is whole"),
        state: State::from_number(bytes[16]).expect("a state"),
        call: Call::from_number(bytes[17]).expect("a call"),
        target: Target::from_number(bytes[18]).expect("a target"),
        is_timed: bytes[19] & snapshot::ENTRY_TIMED != 0,
        value: u32_at(bytes, 20).expect("an entry is whole"),
    }
}
