//! Tasks, snapshots, samples and conditions: from the bytes of their chunks to the columns of the profile.
//!
//! Every task index, node reference and number may lie. What names nothing is dropped and counted; the times of the moments
//! rise, and their weights add up to at most the life of the process. Linear in the chunks, and each entry of the file
//! becomes at most one of ours.

use std::ops::Range;

use bottleneck_runtime::format::snapshot::{
    ENTRY_BYTES, ENTRY_TIMED, SNAPSHOT_HEAD_BYTES, TABLE_BYTES,
};
use bottleneck_runtime::format::{
    ConditionsData, SampleData, SamplesData, SnapshotsData, TaskData, conditions, samples, task,
    u32_at, u64_at,
};

use super::clock::Clock;
use super::snapshots::{Call, State, Target, Throttling};
use super::tree::{References, with_slack};
use super::warning::{Damage, Damages};
use super::{
    Column, Conditions, Doing, Moment, Path, RowIdx, Sampled, Snapshots, SpanIdx, Task, TaskIdx,
};

const TASK_BYTES: usize = 64;
const SAMPLE_BYTES: usize = 32;
const HEAD_BYTES: usize = 64;
/// A sample takes at least this CPU time, in ns: the kernel allows no higher rate.
const LEAST_SAMPLE_NS: u64 = 1_000;
/// More CPUs than a mask of the kernel can have.
const MOST_CPUS: u64 = 1 << 20;

/// The chunks, before anything in them is converted.
#[derive(Debug, Default)]
pub(super) struct RawMoments<'a> {
    /// Records by index, those of the chunks one behind the other.
    tasks: Vec<TaskData>,
    snapshots: Option<RawSnapshots<'a>>,
    pub(super) samples: Option<RawSamples<'a>>,
    conditions: Option<ConditionsData>,
}

/// The table of samples.
#[derive(Debug)]
pub(super) struct RawSamples<'a> {
    pub(super) head: SamplesData,
    slots: &'a [u8],
}

impl RawSamples<'_> {
    /// The slots that are in use.
    pub(super) fn slots(&self) -> impl Iterator<Item = SampleData> {
        let slots = self.slots.chunks_exact(SAMPLE_BYTES).take(samples::SLOTS);
        slots.filter_map(SampleData::read).filter(|sample| sample.count > 0)
    }
}

/// Samples that one thread can have had.
pub(super) fn most_samples(clock: &Clock) -> u64 {
    clock.life_ns() / LEAST_SAMPLE_NS + 1
}

#[derive(Debug)]
struct RawSnapshots<'a> {
    head: SnapshotsData,
    table: &'a [u8],
    moments: Vec<RawMoment>,
}

/// A snapshot as the file has it.
#[derive(Debug)]
struct RawMoment {
    at_ns: u64,
    async_requests: u32,
    stalled_ns: u64,
    /// Its entries in the table.
    entries: Range<usize>,
}

impl<'a> RawMoments<'a> {
    /// The next chunk of tasks: its first `written` records.
    pub(super) fn add_tasks(&mut self, payload: &[u8], written: u32) -> bool {
        // A chunk follows another only when that is full; a count that says otherwise must not shift the indices.
        let room = (payload.len() / TASK_BYTES).min(task::TASKS);
        let before = self.tasks.len().next_multiple_of(task::TASKS);
        self.tasks.resize(before, TaskData::default());
        let records = payload.chunks_exact(TASK_BYTES).take(room.min(written as usize));
        self.tasks.extend(records.filter_map(TaskData::read));
        written as usize <= room
    }

    /// The snapshots: the part of the active table that is used.
    pub(super) fn add_snapshots(&mut self, payload: &'a [u8], damages: &mut Damages) -> bool {
        let Some(head) = SnapshotsData::read(payload).filter(|_| self.snapshots.is_none()) else {
            return false;
        };
        let (start, used) = match head.active {
            0 => (HEAD_BYTES, head.used_0),
            1 => (HEAD_BYTES + TABLE_BYTES, head.used_1),
            _ => return false,
        };
        let behind = payload.get(start..).unwrap_or_default();
        let room = behind.len().min(TABLE_BYTES);
        let used = usize::try_from(used).unwrap_or(usize::MAX);
        let table = &behind[..used.min(room)];
        let (moments, is_broken) = moments(table);
        if used > room || is_broken {
            damages.note(Damage::Snapshot);
        }
        self.snapshots = Some(RawSnapshots { head, table, moments });
        true
    }

    pub(super) fn add_samples(&mut self, payload: &'a [u8]) -> bool {
        let Some(head) = SamplesData::read(payload).filter(|_| self.samples.is_none()) else {
            return false;
        };
        self.samples =
            Some(RawSamples { head, slots: payload.get(HEAD_BYTES..).unwrap_or_default() });
        true
    }

    pub(super) fn add_conditions(&mut self, payload: &[u8]) -> bool {
        let read = ConditionsData::read(payload).filter(|_| self.conditions.is_none());
        let is_read = read.is_some();
        self.conditions = self.conditions.or(read);
        is_read
    }

    /// Tells the clock of the snapshots behind the last anchor.
    pub(super) fn extend_life(&self, clock: &mut Clock) {
        let start_ns = clock.start_ns();
        for moment in self.snapshots.iter().flat_map(|snapshots| &snapshots.moments) {
            clock.lived_until(moment.at_ns.saturating_sub(start_ns));
        }
    }

    /// What every task did.
    pub(super) fn snapshots(
        &self,
        references: &References,
        spans: &Column<SpanIdx, Path>,
        clock: &Clock,
        damages: &mut Damages,
    ) -> Snapshots {
        let mut res = Snapshots {
            tasks: self.tasks.iter().map(|data| task(data, references, clock, damages)).collect(),
            ..Snapshots::default()
        };
        let Some(RawSnapshots { head, table, moments }) = &self.snapshots else { return res };
        let mut last_of_task: Column<TaskIdx, usize> = Column::filled(res.tasks.len(), 0);
        let mut before_ns = 0;
        for moment in moments {
            let Some(at_ns) = instant(moment.at_ns, clock) else {
                damages.note(Damage::Snapshot);
                continue;
            };
            if at_ns <= before_ns {
                // The last one came as the run ended.
                continue;
            }
            let first = res.doings.len();
            for entry in table[moment.entries.clone()].chunks_exact(ENTRY_BYTES) {
                let number = res.moments.len() + 1;
                let doing = doing(entry, &res.tasks, references, spans).filter(|doing| {
                    std::mem::replace(&mut last_of_task[doing.task], number) != number
                });
                match doing {
                    Some(doing) => res.doings.push(doing),
                    None => damages.note(Damage::Doing),
                }
            }
            let weight_ns = at_ns - before_ns;
            res.moments.push(Moment {
                at_ns,
                weight_ns,
                stalled_ns: moment.stalled_ns.min(weight_ns),
                async_requests: moment.async_requests,
                doings: first..res.doings.len(),
            });
            before_ns = at_ns;
        }
        let life_ns = clock.life_ns();
        let mut count = |count: u64, most: u64| {
            if count > most {
                damages.note(Damage::Count);
            }
            if count > most { 0 } else { count }
        };
        res.taken = count(head.taken, with_slack(life_ns)).max(res.moments.len() as u64);
        res.left_out = count(head.left_out, res.taken.saturating_mul(MOST_CPUS));
        res.period_ns = head.period_ns;
        res.cpu_ns = if head.cpu_ns <= life_ns { head.cpu_ns } else { 0 };
        res
    }

    /// The spans' own samples by path; `None` where none could be taken.
    pub(super) fn samples(
        &self,
        references: &References,
        spans: usize,
        clock: &Clock,
        damages: &mut Damages,
    ) -> Option<Column<SpanIdx, Sampled>> {
        let raw = self.samples.as_ref()?;
        let mut res = Column::filled(spans, Sampled::default());
        let mut is_any = raw.head.period_ns > 0;
        let most = most_samples(clock);
        for sample in raw.slots() {
            is_any = true;
            let Some(&span) = references.spans.get(&sample.node) else {
                // Outside spans, or of a path that the damage took.
                if !references.threads.contains_key(&sample.node) {
                    damages.note(Damage::Sample);
                }
                continue;
            };
            if sample.flags & samples::FLAG_ADOPTED != 0 {
                // Of other threads: they are no part of the span's own time.
                continue;
            }
            if sample.count > most {
                damages.note(Damage::Count);
                continue;
            }
            let sum: &mut Sampled = &mut res[span];
            sum.n += sample.count;
            if sample.flags & samples::FLAG_SPINS != 0 {
                sum.spinning += sample.count;
            }
        }
        is_any.then_some(res)
    }

    /// What was taken from the process.
    pub(super) fn conditions(&self, clock: &Clock, damages: &mut Damages) -> Conditions {
        let Some(data) = self.conditions else { return Conditions::default() };
        let seen_ns = clock.monotonic(data.seen_ns).unwrap_or(clock.life_ns());
        let knows = |flag: u32| data.known & flag != 0;
        let cpu_ns = u128::from(seen_ns) * u128::from(data.cpus);
        let mut res = Conditions::default();
        if knows(conditions::KNOWS_STEAL) && cpu_ns > 0 {
            let ppm = (u128::from(data.steal_ns) * 1_000_000 + cpu_ns / 2) / cpu_ns;
            res.steal_ppm = u32::try_from(ppm).ok().filter(|&ppm| ppm <= 1_000_000);
            if res.steal_ppm.is_none() {
                damages.note(Damage::Conditions);
            }
        }
        if knows(conditions::KNOWS_THROTTLING) {
            let cpus = u128::from(data.cpus.max(1));
            let is_possible = data.throttled_periods <= data.periods
                && u128::from(data.throttled_ns) <= u128::from(with_slack(seen_ns)) * cpus;
            if !is_possible {
                damages.note(Damage::Conditions);
            }
            res.throttling = is_possible.then_some(Throttling {
                quota_ns: data.quota_ns,
                period_ns: data.period_ns,
                periods: data.periods,
                throttled_periods: data.throttled_periods,
                throttled_ns: data.throttled_ns,
            });
        }
        if data.affinity > MOST_CPUS {
            damages.note(Damage::Conditions);
        } else if data.affinity > 0 {
            res.affinity = u32::try_from(data.affinity).ok();
        }
        res
    }
}

fn task(data: &TaskData, references: &References, clock: &Clock, damages: &mut Damages) -> Task {
    let is_possible = data.cpu_ns <= with_slack(clock.life_ns());
    if !is_possible {
        damages.note(Damage::Time);
    }
    Task {
        name: data.name(),
        thread: references.threads.get(&data.root).copied(),
        is_recorder: data.flags & task::FLAG_RECORDER != 0,
        is_main: data.flags & task::FLAG_MAIN != 0,
        tid: data.tid,
        cpu_ns: if is_possible { data.cpu_ns } else { 0 },
    }
}

/// The snapshots of a table up to the first that is cut or not younger than the one before, and whether there is one.
fn moments(table: &[u8]) -> (Vec<RawMoment>, bool) {
    let mut res = Vec::new();
    let (mut at, mut before_ns) = (0, 0);
    while at < table.len() {
        let Some(moment) = moment(table, at).filter(|moment| moment.at_ns > before_ns) else {
            return (res, true);
        };
        (at, before_ns) = (moment.entries.end, moment.at_ns);
        res.push(moment);
    }
    (res, false)
}

fn moment(table: &[u8], at: usize) -> Option<RawMoment> {
    let first = at + SNAPSHOT_HEAD_BYTES;
    let head = table.get(at..first)?;
    let count = |at: usize| Some(u16::from_ne_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let end = first + usize::from(count(8)?) * ENTRY_BYTES;
    (end <= table.len()).then_some(RawMoment {
        at_ns: u64_at(head, 0)?,
        async_requests: u32::from(count(10)?),
        stalled_ns: u64::from(u32_at(head, 12)?) * 1_000,
        entries: first..end,
    })
}

/// A time that may lie behind the end by what the recorder's thread needs to see it.
fn instant(ns: u64, clock: &Clock) -> Option<u64> {
    let at_ns = ns.checked_sub(clock.start_ns())?;
    (at_ns <= with_slack(clock.life_ns())).then(|| at_ns.min(clock.life_ns()))
}

fn doing(
    entry: &[u8],
    tasks: &Column<TaskIdx, Task>,
    references: &References,
    spans: &Column<SpanIdx, Path>,
) -> Option<Doing> {
    let index = TaskIdx::from_position(u32_at(entry, 0)? as usize);
    let thread = tasks.get(index)?.thread;
    let span = references.spans.get(&u32_at(entry, 4)?).copied();
    let owner = span.map(|span| spans[span].thread);
    // The span of another thread: one of the two is wrong. A task whose thread is not known keeps the rest.
    if owner.is_some() && thread.is_some() && owner != thread {
        return None;
    }
    let &[state, call, target, flags] = entry.get(16..20)? else { return None };
    Some(Doing {
        task: index,
        span: span.filter(|_| thread.is_some()),
        state: State::from_number(state)?,
        // A later version may know more of them.
        call: Call::from_number(call).unwrap_or(Call::Unknown),
        target: Target::from_number(target).unwrap_or(Target::Unknown),
        is_timed: flags & ENTRY_TIMED != 0,
        argument: u64_at(entry, 8)?,
        value: u32_at(entry, 20)?,
    })
}

#[cfg(test)]
mod tests;
