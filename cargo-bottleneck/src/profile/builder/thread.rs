//! Test kit: one thread of a described process, and its tree.

use std::ops::Range;

use bottleneck_runtime::format::{TreeData, tree};

use super::START_NS;
use super::names::Names;
use super::span::SpanBuilder;
use crate::profile::image::{Image, thread_name};

/// A thread being described.
#[derive(Clone, Debug)]
pub struct ThreadBuilder {
    pub(super) name: String,
    pub(super) root: SpanBuilder,
    data: TreeData,
}

impl ThreadBuilder {
    pub(super) fn new(name: &str, is_main: bool) -> Self {
        let (name_0, name_1) = thread_name(name);
        let data = TreeData {
            source: tree::SOURCE_SWITCHES,
            flags: tree::FLAG_IN_USE | if is_main { tree::FLAG_MAIN } else { 0 },
            threads: 1,
            name_0,
            name_1,
            first_ns: START_NS,
            attached_ns: START_NS,
            ..TreeData::default()
        };
        Self { name: name.to_owned(), root: SpanBuilder::default(), data }
    }

    /// Adds a call.
    pub fn span(
        &mut self,
        name: &str,
        at: Range<u64>,
        inside: impl FnOnce(&mut SpanBuilder),
    ) -> &mut Self {
        self.root.span(name, at, inside);
        self
    }

    /// A call that began at `since` and had not ended when the run did.
    pub fn open(
        &mut self,
        name: &str,
        since: u64,
        inside: impl FnOnce(&mut SpanBuilder),
    ) -> &mut Self {
        self.root.open(name, since, inside);
        self
    }

    /// The tree is the recorder's own.
    pub fn recorder(&mut self) -> &mut Self {
        self.data.flags = tree::FLAG_RECORDER;
        self
    }

    /// Off-CPU time comes from the thread's CPU clock: it had `cpu_ns` in `wall_ns` of life.
    pub fn thread_clock(&mut self, wall_ns: u64, cpu_ns: u64) -> &mut Self {
        self.data.source = tree::SOURCE_THREAD_CLOCK;
        (self.data.seen_ns, self.data.seen_cpu_ns) = (START_NS + wall_ns, cpu_ns);
        self
    }

    /// Off-CPU time comes from switch records after all; the clock stays known.
    pub fn switches(&mut self) -> &mut Self {
        self.data.source = tree::SOURCE_SWITCHES;
        self
    }

    /// The thread was waiting since `at` when the run was cut.
    pub fn waits_since(&mut self, at: u64, is_preempted: bool) -> &mut Self {
        (self.data.off_since_ns, self.data.off_preempted) =
            (START_NS + at, u64::from(is_preempted));
        self
    }

    pub(super) fn is_recorder(&self) -> bool {
        self.data.flags & tree::FLAG_RECORDER != 0
    }

    /// The recorder saw it after `wall_ns` of life, of which it was on the CPU for `cpu_ns`.
    pub(super) fn seen(&mut self, wall_ns: u64, cpu_ns: u64) {
        (self.data.seen_ns, self.data.seen_cpu_ns) = (START_NS + wall_ns, cpu_ns);
    }

    /// Writes the tree and returns the reference of its root; the other paths follow it in order of their positions.
    pub(super) fn write(&self, tid: u32, names: &Names, image: &mut Image) -> u32 {
        let slab = image.slab(self.root.nodes());
        let mut next = 0;
        let root = self.root.write(names, image, slab, &mut next, 0, 0);
        image.tree(&TreeData { root, tid, ..self.data });
        root
    }
}
