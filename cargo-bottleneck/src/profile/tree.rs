//! The trees of the threads: follows links that may lie, converts what a node counted, and makes the sums fit.
//!
//! Nothing recurses: a walk keeps its own stack, visits each slot once, and ends at a depth that no program records.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bottleneck_runtime::format::{
    GRANULE, HISTOGRAM_BYTES, MAX_NODES, NODE_BYTES, NodeData, TreeData, tree,
};

use super::clock::Clock;
use super::convert::Converter;
use super::load::{Sites, words};
use super::warning::{Damage, Damages};
use super::{
    Column, CpuClock, OffCpuSource, Path, Pending, Refusal, RowIdx, SpanIdx, Thread, ThreadIdx,
};

/// Deeper paths are damage: the runtime folds at 64.
const MAX_DEPTH: u32 = 128;
/// More paths are damage: the runtime refuses them from [`MAX_NODES`] on, and every thread has a root beside them.
#[expect(clippy::cast_possible_truncation, reason = "a hundred thousand fits")]
const MAX_PATHS: usize = 2 * MAX_NODES as usize;
/// Sums that do not fit by less than this, in ns, and less than a thousandth were read while the program wrote.
const SLACK_NS: u64 = 10_000;

/// The slots of nodes and histograms in the file.
pub(super) struct Slots<'a> {
    bytes: &'a [u8],
    nodes: Vec<Range<usize>>,
    histograms: Vec<Range<usize>>,
    /// By granule of the file in which the slot begins.
    is_visited: Vec<bool>,
    paths: usize,
}

/// A node as the file has it, linked by position.
#[derive(Clone, Copy)]
struct RawNode {
    data: NodeData,
    reference: u32,
    /// Position in [`RawThread::nodes`]; `None` directly below the root.
    parent: Option<usize>,
    depth: u32,
}

/// A tree as the file has it, each node before its children.
pub(super) struct RawThread {
    data: TreeData,
    nodes: Vec<RawNode>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        mut nodes: Vec<Range<usize>>,
        mut histograms: Vec<Range<usize>>,
    ) -> Self {
        nodes.sort_by_key(|range| range.start);
        histograms.sort_by_key(|range| range.start);
        Self {
            bytes,
            nodes,
            histograms,
            is_visited: vec![false; bytes.len() / GRANULE + 1],
            paths: 0,
        }
    }

    /// The tree below a root, without it; `None` where there is no such root.
    pub(super) fn gather(&mut self, tree: TreeData, damages: &mut Damages) -> Option<RawThread> {
        let Some(root) = self.visit(tree.root) else {
            damages.note(Damage::Link);
            return None;
        };
        let mut nodes = Vec::new();
        let mut pending: Vec<(u32, Option<usize>, u32)> = Vec::new();
        let mut open = Some((root, tree.root, None, 0));
        while let Some((data, reference, position, depth)) = open.take() {
            let mut children = self.children(&data, reference, damages);
            if depth >= MAX_DEPTH && !children.is_empty() {
                damages.note(Damage::Depth);
                children.clear();
            }
            // Slots are handed out in order, so references rise with age: the oldest child comes off the stack first.
            children.sort_unstable_by(|a, b| b.cmp(a));
            pending.extend(children.into_iter().map(|child| (child, position, depth + 1)));
            while let Some((child, parent, depth)) = pending.pop() {
                if self.paths >= MAX_PATHS {
                    damages.note(Damage::Budget);
                    break;
                }
                // Its slot was checked when it was collected as a child.
                let Some(data) = self.node(child) else { continue };
                self.paths += 1;
                nodes.push(RawNode { data, reference: child, parent, depth });
                open = Some((data, child, Some(nodes.len() - 1), depth));
                break;
            }
        }
        Some(RawThread { data: tree, nodes })
    }

    /// References of the children of `parent`, each marked as visited.
    fn children(&mut self, parent: &NodeData, reference: u32, damages: &mut Damages) -> Vec<u32> {
        let mut res = Vec::new();
        let mut next = parent.first_child;
        while next != 0 {
            let Some(child) = self.visit(next) else {
                damages.note(Damage::Link);
                break;
            };
            if child.parent != reference {
                // Somebody else's child, or a child whose own record is damaged: what follows it is not to be trusted.
                self.forget(next);
                damages.note(Damage::Link);
                break;
            }
            res.push(next);
            next = child.next_sibling;
        }
        res
    }

    /// The node at a reference that was not visited before.
    fn visit(&mut self, reference: u32) -> Option<NodeData> {
        let data = self.node(reference)?;
        let visited = self.is_visited.get_mut(reference as usize)?;
        (!std::mem::replace(visited, true)).then_some(data)
    }

    fn forget(&mut self, reference: u32) {
        if let Some(visited) = self.is_visited.get_mut(reference as usize) {
            *visited = false;
        }
    }

    fn node(&self, reference: u32) -> Option<NodeData> {
        let offset = (reference as usize).checked_mul(GRANULE)?;
        NodeData::read(slot(self.bytes, &self.nodes, offset, NODE_BYTES)?)
    }

    pub(super) fn histogram(&self, reference: u32) -> Option<Vec<u32>> {
        let offset = (reference as usize).checked_mul(GRANULE)?;
        Some(words(slot(self.bytes, &self.histograms, offset, HISTOGRAM_BYTES)?).collect())
    }
}

/// The bytes of a slot, if it is one of those that a chunk is divided into.
fn slot<'a>(
    bytes: &'a [u8],
    chunks: &[Range<usize>],
    offset: usize,
    len: usize,
) -> Option<&'a [u8]> {
    let chunk =
        chunks.get(chunks.partition_point(|chunk| chunk.start <= offset).checked_sub(1)?)?;
    let end = offset.checked_add(len)?;
    let is_slot = (offset - chunk.start).is_multiple_of(len) && end <= chunk.end;
    is_slot.then(|| bytes.get(offset..end))?
}

impl RawThread {
    /// Tells the clock of everything in the tree that lies behind the last anchor.
    pub(super) fn extend_life(&self, clock: &mut Clock) {
        let begins = self.data.first_ns.saturating_sub(clock.start_ns());
        let outermost = self.nodes.iter().filter(|node| node.parent.is_none());
        let inside = outermost
            .fold(0_u64, |sum, node| sum.saturating_add(clock.duration_ns(node.data.total)));
        let instants = [
            self.data.attached_ns,
            self.data.detached_ns,
            self.data.seen_ns,
            self.data.off_since_ns,
        ];
        let opened =
            self.nodes.iter().filter_map(|node| clock.instant_ns(node.data.open_since)).max();
        let start_ns = clock.start_ns();
        for ns in instants {
            clock.lived_until(ns.saturating_sub(start_ns));
        }
        clock.lived_until(opened.unwrap_or(0));
        clock.lived_until(begins.saturating_add(inside));
    }
}

/// What the references of the file name in the columns that [`finish`] makes.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Paths by their nodes.
    pub(super) spans: HashMap<u32, SpanIdx>,
    /// Threads by the root nodes of their trees.
    pub(super) threads: HashMap<u32, ThreadIdx>,
}

impl References {
    pub(super) fn new(raw: &[RawThread]) -> Self {
        let nodes = raw.iter().flat_map(|thread| &thread.nodes);
        let spans = nodes.enumerate();
        let threads = raw.iter().enumerate();
        Self {
            spans: spans.map(|(at, node)| (node.reference, RowIdx::from_position(at))).collect(),
            threads: threads
                .map(|(at, thread)| (thread.data.root, RowIdx::from_position(at)))
                .collect(),
        }
    }
}

/// Converts the trees.
pub(super) fn finish(
    raw: &[RawThread],
    slots: &Slots<'_>,
    clock: &Clock,
    sites: &mut Sites,
    keys: &HashMap<u64, Arc<str>>,
    damages: &mut Damages,
) -> (Column<ThreadIdx, Thread>, Column<SpanIdx, Path>) {
    let mut threads = Column::new();
    let mut spans: Column<SpanIdx, Path> = Column::new();
    for raw_thread in raw {
        let first = spans.len();
        let index = ThreadIdx::from_position(threads.len());
        let thread =
            thread(&raw_thread.data, clock, first..first + raw_thread.nodes.len(), damages);
        let thread_end = clock.monotonic(raw_thread.data.detached_ns).unwrap_or(clock.life_ns());
        let ends = subtree_ends(&raw_thread.nodes);
        let opens: Vec<Option<u64>> = raw_thread
            .nodes
            .iter()
            .map(|node| open_ns(&node.data, clock, thread_end, damages))
            .collect();
        let totals = fitting_totals(&raw_thread.nodes, &ends, &opens, clock, damages);
        for (at, node) in raw_thread.nodes.iter().enumerate() {
            let site = sites.find(node.data.site, damages);
            let mut converter = Converter { data: &node.data, clock, damages: &mut *damages };
            let (min_ns, max_ns) = converter.extremes();
            let (p50_ns, p99_ns) = converter.quantiles(slots, min_ns, max_ns);
            let path = Path {
                thread: index,
                parent: node.parent.map(|parent| SpanIdx::from_position(first + parent)),
                end: first + ends[at],
                depth: node.depth - 1,
                calls: converter.count(node.data.count),
                total_ns: totals[at],
                open_ns: opens[at].map(|open| open.min(totals[at])),
                min_ns,
                max_ns,
                p50_ns,
                p99_ns,
                blocked_ns: converter.wait(node.data.blocked_ns),
                waits: converter.count(node.data.blocked_count),
                wakeup_ns: converter.wait(node.data.wakeup_ns),
                preempted_ns: converter.wait(node.data.preempted_ns),
                clock: converter.cpu_clock(),
                work: converter.work(sites.column[site].dtype),
                polling: converter.polling(),
                site,
                key: key(node.data.key, keys),
            };
            spans.push(path);
        }
        threads.push(thread);
    }
    (threads, spans)
}

fn key(hash: u64, keys: &HashMap<u64, Arc<str>>) -> Option<Arc<str>> {
    (hash != 0)
        .then(|| keys.get(&hash).cloned().unwrap_or_else(|| format!("[key {hash:x}]").into()))
}

fn thread(data: &TreeData, clock: &Clock, spans: Range<usize>, damages: &mut Damages) -> Thread {
    let pending = (data.off_since_ns != 0)
        .then(|| clock.monotonic(data.off_since_ns))
        .flatten()
        .map(|since| Pending {
            lasted_ns: clock.life_ns() - since,
            is_preempted: data.off_preempted & 1 != 0,
        });
    Thread {
        name: data.name(),
        tid: data.tid,
        is_main: data.flags & tree::FLAG_MAIN != 0,
        is_recorder: data.flags & tree::FLAG_RECORDER != 0,
        source: match data.source {
            tree::SOURCE_SWITCHES => OffCpuSource::Switches,
            tree::SOURCE_THREAD_CLOCK => OffCpuSource::ThreadClock,
            _ => OffCpuSource::Unknown,
        },
        lives: data.threads,
        clock: lived(data, clock, damages),
        pending: pending.filter(|_| data.detached_ns == 0),
        refusal: (data.refused_errno != 0).then(|| Refusal {
            call: if data.refused_call == 2 { "mmap" } else { "perf_event_open" },
            errno: u32::try_from(data.refused_errno).unwrap_or(u32::MAX),
        }),
        spans,
    }
}

/// Wall and CPU time of all lives of a tree, as far as the file has both.
fn lived(data: &TreeData, clock: &Clock, damages: &mut Damages) -> Option<CpuClock> {
    let (mut wall_ns, mut cpu_ns) = (data.lived_ns, data.lived_cpu_ns);
    if data.detached_ns == 0 && data.seen_ns > data.attached_ns {
        wall_ns = wall_ns.saturating_add(data.seen_ns - data.attached_ns);
        cpu_ns = cpu_ns.saturating_add(data.seen_cpu_ns.saturating_sub(data.attached_cpu_ns));
    }
    if wall_ns > with_slack(clock.life_ns()) || cpu_ns > with_slack(wall_ns) {
        damages.note(Damage::Time);
        return None;
    }
    (wall_ns > 0).then(|| CpuClock { wall_ns, cpu_ns: cpu_ns.min(wall_ns) })
}

fn open_ns(data: &NodeData, clock: &Clock, thread_end: u64, damages: &mut Damages) -> Option<u64> {
    if data.open_since == 0 {
        return None;
    }
    let since = clock.instant_ns(data.open_since).filter(|&since| since <= with_slack(thread_end));
    if since.is_none() {
        damages.note(Damage::Open);
    }
    Some(thread_end.saturating_sub(since?))
}

/// First position behind the subtree of each node.
fn subtree_ends(nodes: &[RawNode]) -> Vec<usize> {
    let mut ends: Vec<usize> = (1..=nodes.len()).collect();
    for at in (0..nodes.len()).rev() {
        if let Some(parent) = nodes[at].parent {
            ends[parent] = ends[parent].max(ends[at]);
        }
    }
    ends
}

/// The time inside each node, such that those of the children fit into their parent's, and the outermost into the run.
///
/// A time longer than the run is replaced by the sum of its children, a child longer than its parent by the sum of its
/// own; what then still does not fit together is scaled down alike.
fn fitting_totals(
    nodes: &[RawNode],
    ends: &[usize],
    opens: &[Option<u64>],
    clock: &Clock,
    damages: &mut Damages,
) -> Vec<u64> {
    let life = clock.life_ns();
    let mut totals = vec![0_u64; nodes.len()];
    let mut inside = vec![0_u64; nodes.len()];
    for at in (0..nodes.len()).rev() {
        let own = clock.duration_ns(nodes[at].data.total).saturating_add(opens[at].unwrap_or(0));
        if own > with_slack(life) {
            damages.note(Damage::Time);
            totals[at] = inside[at].min(life);
        } else {
            totals[at] = own.min(life);
        }
        if let Some(parent) = nodes[at].parent {
            inside[parent] = inside[parent].saturating_add(totals[at]);
        }
    }
    let mut siblings = Vec::new();
    for parent in std::iter::once(None).chain((0..nodes.len()).map(Some)) {
        let budget = parent.map_or(life, |parent| totals[parent]);
        let end = parent.map_or(nodes.len(), |parent| ends[parent]);
        siblings.clear();
        let mut at = parent.map_or(0, |parent| parent + 1);
        while at < end {
            siblings.push(at);
            at = ends[at];
        }
        fit(&siblings, budget, &mut totals, &inside, damages);
    }
    totals
}

fn fit(siblings: &[usize], budget: u64, totals: &mut [u64], inside: &[u64], damages: &mut Damages) {
    let mut sum = 0_u128;
    for &at in siblings {
        if totals[at] > with_slack(budget) {
            damages.note(Damage::Time);
            totals[at] = inside[at];
        }
        totals[at] = totals[at].min(budget);
        sum += u128::from(totals[at]);
    }
    if sum <= u128::from(budget) {
        return;
    }
    if sum > u128::from(with_slack(budget)) {
        damages.note(Damage::Time);
    }
    for &at in siblings {
        let scaled = u128::from(totals[at]) * u128::from(budget) / sum;
        totals[at] = u64::try_from(scaled).unwrap_or(budget);
    }
}

pub(super) fn with_slack(ns: u64) -> u64 {
    ns.saturating_add(SLACK_NS).saturating_add(ns / 1_000)
}
