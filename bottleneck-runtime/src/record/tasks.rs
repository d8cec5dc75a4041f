//! The records of tasks in the file: which threads snapshots name, annotated or not.
//!
//! A thread with spans has the record of its tree. The others share one of their name without digits, as long as no two of
//! them live at once, so that a thread for every request needs few. Only the background thread writes.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a chunk holds few records, and there are few chunks"
)]

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::recorder::{Recorder, add};
use super::session::Session;
use super::thread::NameClass;
use crate::format::task::{FLAG_MAIN, TASKS};
use crate::format::{CHUNK_HEAD_BYTES, ChunkHead, ChunkKind, Task};
use crate::os;

/// Most chunks of records; the tasks beyond are left out of snapshots and counted.
const MOST_CHUNKS: usize = 64;

/// The records handed out so far.
#[derive(Debug)]
pub(super) struct Tasks {
    session: &'static Session,
    chunks: Vec<Chunk>,
    owners: Vec<Owner>,
}

#[derive(Debug)]
struct Chunk {
    head: &'static ChunkHead,
    records: &'static [Task],
}

/// Whose a record is.
#[derive(Debug)]
enum Owner {
    /// That of a tree, by the reference of its root.
    Tree(u32),
    /// Threads of a name, and whether one of them has it now.
    Name { class: NameClass, is_taken: bool, ended_cpu_ns: u64 },
}

/// Index of a record: what snapshots name a task by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskIndex(pub(super) u32);

impl Tasks {
    pub(super) fn new(session: &'static Session) -> Self {
        Self { session, chunks: Vec::new(), owners: Vec::new() }
    }

    /// The record of a thread with spans.
    pub(super) fn of_tree(&mut self, recorder: &Recorder) -> Option<TaskIndex> {
        let tree = recorder.tree;
        let root = tree.root.load(Relaxed);
        let known = self.owners.iter().position(|it| matches!(it, Owner::Tree(of) if *of == root));
        let index = match known {
            Some(index) => TaskIndex(index as u32),
            None => self.add(Owner::Tree(root))?,
        };
        let task = self.get(index)?;
        task.root.store(root, Relaxed);
        task.tid.store(tree.tid.load(Relaxed), Relaxed);
        let is_main = tree.flags.load(Relaxed) & crate::format::tree::FLAG_MAIN != 0;
        task.flags.store(if is_main { FLAG_MAIN } else { 0 }, Relaxed);
        task.name_0.store(tree.name_0.load(Relaxed), Relaxed);
        task.name_1.store(tree.name_1.load(Relaxed), Relaxed);
        task.threads.store(tree.threads.load(Relaxed), Relaxed);
        if known.is_none() {
            self.publish();
        }
        Some(index)
    }

    /// A record for a thread without spans. [`Tasks::leave`] gives it back.
    pub(super) fn of_name(&mut self, tid: u32, name: [u8; 16]) -> Option<TaskIndex> {
        let is_main = tid == os::thread::pid();
        // As the trees have it: the kernel calls the main thread by the program's name.
        let name = if is_main { super::thread::MAIN_NAME } else { name };
        let class = if is_main { NameClass::MAIN } else { NameClass::of(name) };
        let free = self.owners.iter_mut().position(
            |it| matches!(it, Owner::Name { class: other, is_taken: false, .. } if *other == class),
        );
        let index = match free {
            Some(index) => TaskIndex(index as u32),
            None => self.add(Owner::Name { class, is_taken: true, ended_cpu_ns: 0 })?,
        };
        let task = self.get(index)?;
        let half =
            |at: usize| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| name[at + byte]));
        task.tid.store(tid, Relaxed);
        task.flags.store(if is_main { FLAG_MAIN } else { 0 }, Relaxed);
        task.name_0.store(half(0), Relaxed);
        task.name_1.store(half(8), Relaxed);
        add(&task.threads, 1);
        let seen_cpu_ns = task.cpu_ns.load(Relaxed);
        if let Some(Owner::Name { is_taken, ended_cpu_ns, .. }) =
            self.owners.get_mut(index.0 as usize)
        {
            *is_taken = true;
            *ended_cpu_ns = seen_cpu_ns;
        }
        if free.is_none() {
            self.publish();
        }
        Some(index)
    }

    /// The thread with this record has ended, or has spans now.
    pub(super) fn leave(&mut self, index: TaskIndex) {
        if let Some(Owner::Name { is_taken, .. }) = self.owners.get_mut(index.0 as usize) {
            *is_taken = false;
        }
    }

    /// Whether the record would be that of a thread of this name.
    pub(super) fn has_name(&self, index: TaskIndex, name: [u8; 16]) -> bool {
        match self.owners.get(index.0 as usize) {
            Some(Owner::Name { class, .. }) => {
                *class == NameClass::MAIN || *class == NameClass::of(name)
            }
            Some(Owner::Tree(_)) | None => true,
        }
    }

    /// Notes the CPU time of the thread that has a record now.
    pub(super) fn note_cpu(&self, index: TaskIndex, cpu_ns: u64) {
        if let (Some(task), Some(Owner::Name { ended_cpu_ns, .. })) =
            (self.get(index), self.owners.get(index.0 as usize))
        {
            let sum = ended_cpu_ns + cpu_ns;
            task.cpu_ns.store(sum.max(task.cpu_ns.load(Relaxed)), Relaxed);
        }
    }

    fn get(&self, index: TaskIndex) -> Option<&'static Task> {
        let at = index.0 as usize;
        self.chunks.get(at / TASKS)?.records.get(at % TASKS)
    }

    fn add(&mut self, owner: Owner) -> Option<TaskIndex> {
        if self.owners.len() == self.chunks.len() * TASKS {
            if self.chunks.len() == MOST_CHUNKS {
                return None;
            }
            self.chunks.push(Chunk::new(self.session)?);
        }
        self.owners.push(owner);
        Some(TaskIndex(self.owners.len() as u32 - 1))
    }

    /// Has readers see the record that was added last.
    fn publish(&self) {
        if let Some(chunk) = self.chunks.last() {
            let written = self.owners.len() - (self.chunks.len() - 1) * TASKS;
            // Release: pairs with the reader's look at the count; the record is complete.
            chunk.head.aux.store(written as u32, Release);
        }
    }
}

impl Chunk {
    fn new(session: &Session) -> Option<Self> {
        let chunk = session.arena.spare_chunk(TASKS * size_of::<Task>())?;
        // SAFETY: the payload has room for the records, is 64-aligned and zero, and stays mapped for good.
        let records = unsafe { core::slice::from_raw_parts(chunk.payload().cast::<Task>(), TASKS) };
        // SAFETY: the head lies right before the payload; it is made of atomics.
        let head = unsafe { &*chunk.payload().sub(CHUNK_HEAD_BYTES).cast::<ChunkHead>() };
        chunk.publish(ChunkKind::Tasks, 0);
        Some(Self { head, records })
    }
}
