//! Test kit: lanes become trees, tasks and snapshots.
//!
//! A moment stands for the period that ends with it: the spans of a moment are open during that whole period.

use std::collections::BTreeSet;

use bottleneck_runtime::format::samples::FLAG_SPINS;
use bottleneck_runtime::format::{
    GRANULE, NODE_BYTES, SampleData, SnapshotsData, TaskData, conditions, task,
};

use super::lane::{Activity, Lane};
use super::span::{Label, SpanBuilder};
use super::thread::ThreadBuilder;
use super::{ProfileBuilder, START_NS};
use crate::kind::Kind;
use crate::profile::Dtype;
use crate::profile::image::{Entry, Image, Table, thread_name};
use crate::profile::snapshots::{State, Throttling};

/// Id of the first thread; the others follow.
const FIRST_TID: u32 = 4242;

/// Snapshots, samples and what is said about sites, before they are applied to the trees.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawing {
    pub(super) period_ns: u64,
    pub(super) lanes: Vec<Lane>,
    pub(super) async_requests: Vec<u16>,
    pub(super) stalls: Vec<(usize, u64)>,
    pub(super) marks: Vec<(String, Mark)>,
    pub(super) asserted: Vec<(String, Kind)>,
    pub(super) declarations: Vec<Declaration>,
    pub(super) samples: Vec<(Label, u64, u64)>,
    pub(super) conditions: Conditions,
}

/// What a site is marked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What a user waits for.
    Request,
    /// An asynchronous function: the stretches on a lane are the polls of one call.
    Async,
}

/// Work in proportion to time.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    pub(super) of: Label,
    pub(super) flops_per_ns: f64,
    pub(super) bytes_per_ns: f64,
    pub(super) dtype: Dtype,
    pub(super) is_of_wall: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    pub(super) steal_ppm: Option<u32>,
    pub(super) throttling: Option<Throttling>,
    pub(super) affinity: u64,
}

/// A thread's tree in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rooted<'a> {
    pub(super) thread: &'a ThreadBuilder,
    pub(super) tid: u32,
    pub(super) root: u32,
}

impl Rooted<'_> {
    pub(super) fn reference(&self, position: usize) -> u32 {
        self.root + u32::try_from(position * NODE_BYTES / GRANULE).unwrap_or(0)
    }
}

/// The id of the thread at `position` of the description.
pub(super) fn tid(position: usize) -> u32 {
    FIRST_TID + u32::try_from(position).unwrap_or(0)
}

impl ProfileBuilder {
    /// Adds the spans of the lanes to the trees, and what is said about sites to all spans.
    pub(super) fn draw(&mut self) {
        let drawing = std::mem::take(&mut self.drawing);
        let moments = drawing.lanes.first().map_or(0, |lane| lane.moments.len());
        self.life_ns = self.life_ns.max(drawing.period_ns * moments as u64);
        for lane in &drawing.lanes {
            let has_spans = lane.legend.iter().any(|activity| !activity.path.is_empty());
            let is_described = self.threads.iter().any(|thread| thread.name == lane.name);
            if has_spans && !is_described {
                let mut thread = ThreadBuilder::new(&lane.name, lane.name == "main");
                thread.seen(self.life_ns, lane.running() * drawing.period_ns);
                self.threads.push(thread);
            }
            if let Some(thread) = self.threads.iter_mut().find(|thread| thread.name == lane.name) {
                draw_lane(&mut thread.root, lane, drawing.period_ns);
            }
        }
        for thread in &mut self.threads {
            thread.root.each_mut(&mut |span| drawing.say(span));
            drawing.declare(&mut thread.root);
        }
        self.drawing = drawing;
    }

    /// Writes tasks, snapshots and conditions.
    pub(super) fn write_drawing(&self, roots: &[Rooted<'_>], image: &mut Image) {
        let drawing = &self.drawing;
        if !drawing.lanes.is_empty() {
            let tasks: Vec<TaskData> =
                drawing.lanes.iter().enumerate().map(|at| drawing.task(at, roots)).collect();
            image.tasks(&tasks);
            let table = drawing.table(&tasks, roots);
            let head = SnapshotsData {
                period_ns: drawing.period_ns,
                taken: drawing.lanes[0].moments.len() as u64,
                ..SnapshotsData::default()
            };
            image.snapshots(head, &table);
        }
        drawing.conditions.write(self.life_ns, self.cpus.0, image);
    }
}

impl Drawing {
    fn say(&self, span: &mut SpanBuilder) {
        for (name, mark) in &self.marks {
            match mark {
                Mark::Request if span.is_of(name) => span.request(),
                Mark::Async if span.is_of(name) => span.polled_once(),
                Mark::Request | Mark::Async => continue,
            };
        }
        for (name, kind) in &self.asserted {
            if span.is_of(name) {
                span.asserted(*kind);
            }
        }
    }

    /// Declares work on the paths inside `span` and returns its own on-CPU and wall time, with that of the paths inside it
    /// which say nothing of their own: work covers these.
    fn declare(&self, span: &mut SpanBuilder) -> (u64, u64) {
        let (mut on_cpu, mut wall) = span.own_times();
        for inside in &mut span.children {
            let uncovered = self.declare(inside);
            (on_cpu, wall) = (on_cpu + uncovered.0, wall + uncovered.1);
        }
        for declared in &self.declarations {
            if span.is_labeled(&declared.of) {
                let ns = if declared.is_of_wall { wall } else { on_cpu } as f64;
                span.work(declared.flops_per_ns * ns, declared.bytes_per_ns * ns, declared.dtype);
            }
        }
        if span.says_something() { (0, 0) } else { (on_cpu, wall) }
    }

    fn task(&self, (position, lane): (usize, &Lane), roots: &[Rooted<'_>]) -> TaskData {
        let (name_0, name_1) = thread_name(&lane.name);
        let rooted = roots.iter().find(|rooted| rooted.thread.name == lane.name);
        let is_recorder = rooted.is_some_and(|rooted| rooted.thread.is_recorder());
        TaskData {
            root: rooted.map_or(0, |rooted| rooted.root),
            tid: rooted.map_or_else(|| tid(roots.len() + position), |rooted| rooted.tid),
            flags: if is_recorder { task::FLAG_RECORDER } else { 0 }
                | if lane.name == "main" { task::FLAG_MAIN } else { 0 },
            name_0,
            name_1,
            threads: 1,
            cpu_ns: if rooted.is_some() { 0 } else { lane.running() * self.period_ns },
            ..TaskData::default()
        }
    }

    fn table(&self, tasks: &[TaskData], roots: &[Rooted<'_>]) -> Table {
        let entries: Vec<Vec<Entry>> = self
            .lanes
            .iter()
            .enumerate()
            .map(|(task, lane)| {
                let rooted = roots.iter().find(|rooted| rooted.thread.name == lane.name);
                lane.legend
                    .iter()
                    .map(|activity| self.entry(task, activity, tasks, rooted))
                    .collect()
            })
            .collect();
        let mut table = Table::default();
        for moment in 0..self.lanes.first().map_or(0, |lane| lane.moments.len()) {
            let stalled: u64 =
                self.stalls.iter().filter(|&&(at, _)| at == moment).map(|&(_, ns)| ns).sum();
            let present = self.lanes.iter().zip(&entries);
            let present: Vec<Entry> = present
                .filter_map(|(lane, entries)| Some(entries[lane.moments[moment]?]))
                .collect();
            table.snapshot(
                START_NS + (moment as u64 + 1) * self.period_ns,
                self.async_requests.get(moment).copied().unwrap_or(0),
                u32::try_from(stalled / 1_000).unwrap_or(u32::MAX),
                &present,
            );
        }
        table
    }

    fn entry(
        &self,
        task: usize,
        activity: &Activity,
        tasks: &[TaskData],
        rooted: Option<&Rooted<'_>>,
    ) -> Entry {
        let node = rooted.and_then(|rooted| {
            let position = rooted.thread.root.position(&activity.path)?;
            (position > 0).then(|| rooted.reference(position))
        });
        let wait = &activity.wait;
        let joined = wait.joins.as_ref().map(|name| {
            let lane = self.lanes.iter().position(|lane| lane.name == *name);
            tasks[lane.unwrap_or_else(|| panic!("no lane {name} to join"))].tid
        });
        Entry {
            task: u32::try_from(task).unwrap_or(u32::MAX),
            node: node.unwrap_or(0),
            argument: wait.argument,
            state: activity.state as u8,
            call: wait.call as u8,
            target: wait.target as u8,
            is_timed: wait.is_timed,
            value: joined.unwrap_or(wait.value),
        }
    }

    pub(super) fn sample_slots(&self, roots: &[Rooted<'_>]) -> Vec<SampleData> {
        let mut res = Vec::new();
        for rooted in roots {
            rooted.thread.root.each(&mut |position, span| {
                for &(_, n, spinning) in
                    self.samples.iter().filter(|(label, ..)| span.is_labeled(label))
                {
                    let node = rooted.reference(position);
                    let address = 0x5555_0000_0000 + position as u64 * 0x100;
                    for (flags, address, count) in
                        [(0, address, n - spinning), (FLAG_SPINS, address + 8, spinning)]
                    {
                        res.push(SampleData {
                            node,
                            flags,
                            address,
                            count,
                            ..SampleData::default()
                        });
                    }
                }
            });
        }
        res.retain(|sample| sample.count > 0);
        res
    }
}

impl Conditions {
    fn write(self, life_ns: u64, cpus: u32, image: &mut Image) {
        if self.steal_ppm.is_none() && self.throttling.is_none() && self.affinity == 0 {
            return;
        }
        let cpus = cpus.max(1);
        let of = u128::from(life_ns) * u128::from(cpus);
        let steal_ns = of * u128::from(self.steal_ppm.unwrap_or(0)) / 1_000_000;
        let throttling = self.throttling.unwrap_or_default();
        let knows = |is_known: bool, flag: u32| if is_known { flag } else { 0 };
        image.conditions(&conditions::ConditionsData {
            known: knows(self.steal_ppm.is_some(), conditions::KNOWS_STEAL)
                | knows(self.throttling.is_some(), conditions::KNOWS_THROTTLING),
            cpus,
            steal_ns: u64::try_from(steal_ns).unwrap_or(u64::MAX),
            throttled_periods: throttling.throttled_periods,
            periods: throttling.periods,
            throttled_ns: throttling.throttled_ns,
            quota_ns: throttling.quota_ns,
            period_ns: throttling.period_ns,
            affinity: self.affinity,
            seen_ns: START_NS + life_ns,
        });
    }
}

/// Adds what a lane draws to the paths that the thread does not have yet.
fn draw_lane(root: &mut SpanBuilder, lane: &Lane, period_ns: u64) {
    // The open spans, each with the moment in which it was opened.
    let mut open: Vec<(&Label, usize)> = Vec::new();
    let mut before = None;
    for moment in 0..=lane.moments.len() {
        let activity = lane.activity(moment);
        let path = activity.map_or(&[][..], |activity| &activity.path);
        let common = open.iter().zip(path).take_while(|((opened, _), label)| opened == label);
        let common = common.count();
        while open.len() > common {
            let names: Vec<&Label> = open.iter().map(|&(label, _)| label).collect();
            let since = open.pop().map_or(moment, |(_, since)| since);
            root.drawn(&names).call((moment - since) as u64 * period_ns);
        }
        for label in &path[common..] {
            open.push((label, moment));
            let names: Vec<&Label> = open.iter().map(|&(label, _)| label).collect();
            root.drawn(&names);
        }
        if let Some(activity) = activity.filter(|activity| !activity.path.is_empty()) {
            let innermost = root.drawn(&path.iter().collect::<Vec<_>>());
            let is_first = before != Some(activity);
            match activity.state {
                State::Blocked => innermost.off(false, period_ns, is_first),
                State::Preempted | State::Woken => innermost.off(true, period_ns, is_first),
                State::Running | State::Runnable => {}
            }
        }
        before = activity;
    }
}

/// What lanes must be for a drawing.
///
/// # Panics
/// They are of different lengths, or two have one name.
pub(super) fn check(lanes: &[Lane]) {
    let mut names = BTreeSet::new();
    for lane in lanes {
        assert!(names.insert(&lane.name), "two lanes are named {}: number them", lane.name);
        let (length, first) = (lane.moments.len(), lanes[0].moments.len());
        assert!(length == first, "lane {} has {length} moments, the first {first}", lane.name);
    }
}
