//! Takes snapshots: what every task of the process does now, annotated or not.
//!
//! Runs on the background thread. It sends no signal, takes no lock that a thread of the program would wait for noticeably,
//! and allocates nothing once it knows the tasks.

use core::sync::atomic::Ordering::Relaxed;
use std::sync::PoisonError;

use super::recorder::Recorder;
use super::sampling;
use super::session::Session;
use super::snapshot_table::{self, Entry, MOST_ENTRIES, Moment, SnapshotTable};
use super::tasks::Tasks;
use super::watched::{Watched, Whereabouts, Witness};
use crate::format::snapshot::{Call, ENTRY_TIMED, State};
use crate::format::{ChunkKind, tree};
use crate::os::{self, task};

/// Time between snapshots until the table is full for the first time.
const FIRST_PERIOD_NS: u64 = 2_000_000;
/// The list of tasks is at most so old, also where their number has not changed.
const LIST_NS: u64 = 1_000_000_000;
/// While tasks come and go, lists need no more than this share of CPU time.
const SHARE_OF_LISTS: u64 = 500;
/// Their number is at most so old.
const COUNT_NS: u64 = 20_000_000;
/// Of more tasks than this, those are left out that wait without a span for others.
const FEW_TASKS: usize = 64;
/// A wake-up that is later than this was held up by something.
const LATE_NS: u64 = 5_000_000;

/// Takes the snapshots of one process.
#[derive(Debug)]
pub(super) struct Sampler {
    session: &'static Session,
    table: SnapshotTable,
    tasks: Tasks,
    watched: Vec<Watched>,
    witness: Witness,
    /// Thread of the recorder itself.
    own_tid: u32,
    listed_ns: u64,
    /// Threads that have ever recorded, when the list was made.
    listed_threads: u64,
    /// The same, when the tasks that were known got their recorders.
    connected_threads: u64,
    /// The list does not fit what was seen.
    is_outdated: bool,
    /// The next list comes then at the earliest.
    may_list_ns: u64,
    /// When the tasks were counted, and how many there were.
    counted_ns: u64,
    counter: task::Counter,
    tasks_then: u64,
    /// Buffers.
    tids: Vec<u32>,
    entries: Vec<Entry>,
    /// The snapshot before: its time, the CPU time of the process then, and how many tasks could run.
    last_ns: u64,
    last_cpu_ns: u64,
    last_able: u32,
    least_period_ns: u64,
}

/// A wake-up of the background thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct WakeUp {
    /// When it was to be, `CLOCK_MONOTONIC` ns.
    pub(super) asked_ns: u64,
    /// When it was.
    pub(super) now_ns: u64,
}

impl Sampler {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(session: &'static Session) -> Option<Self> {
        let chunk = session.arena.spare_chunk(snapshot_table::BYTES);
        let problem = chunk.is_none().then_some("there is no space in the profile");
        session.note_capability("snapshots", problem);
        let chunk = chunk?;
        // SAFETY: the payload is 64-aligned, has these bytes, stays mapped for good, and is used here alone.
        let table = unsafe { SnapshotTable::new(chunk.payload()) };
        table.head().period_ns.store(FIRST_PERIOD_NS, Relaxed);
        chunk.publish(ChunkKind::Snapshots, 0);
        Some(Self {
            session,
            table,
            tasks: Tasks::new(session),
            watched: Vec::new(),
            witness: Witness::new(session),
            own_tid: os::thread::tid(),
            listed_ns: 0,
            listed_threads: 0,
            connected_threads: 0,
            is_outdated: true,
            may_list_ns: 0,
            counted_ns: 0,
            counter: task::Counter::default(),
            tasks_then: 0,
            tids: Vec::new(),
            entries: Vec::new(),
            last_ns: 0,
            last_cpu_ns: 0,
            last_able: 0,
            least_period_ns: FIRST_PERIOD_NS,
        })
    }

    /// The shortest time between two snapshots that the table allows.
    pub(super) fn least_period_ns(&self) -> u64 {
        self.least_period_ns
    }

    /// Notes what snapshots have cost so far, and how often they come.
    pub(super) fn note_cost(&self, cpu_ns: u64, period_ns: u64) {
        self.table.head().cpu_ns.store(cpu_ns, Relaxed);
        self.table.head().period_ns.store(period_ns, Relaxed);
    }

    /// Takes a snapshot. Returns whether it was one as most are: no task was met for the first time.
    pub(super) fn take(&mut self, wake_up: WakeUp) -> bool {
        let now_ns = wake_up.now_ns;
        if now_ns <= self.last_ns {
            return false;
        }
        let threads = self.session.arena.header().threads.load(Relaxed);
        let is_old = self.listed_ns + LIST_NS <= now_ns;
        self.is_outdated |=
            threads != self.listed_threads || is_old || self.has_other_tasks(now_ns);
        let lists = self.is_outdated && self.may_list_ns <= now_ns;
        if lists {
            let before_ns = os::time::thread_cpu_ns();
            self.list_tasks(now_ns);
            self.listed_threads = threads;
            self.connected_threads = threads;
            let cost_ns = os::time::thread_cpu_ns().saturating_sub(before_ns);
            self.may_list_ns = now_ns + SHARE_OF_LISTS * cost_ns;
        } else if threads != self.connected_threads {
            self.connect_recorders(now_ns);
            self.connected_threads = threads;
        }
        let able = self.look_at_tasks(wake_up);
        let cpu_ns = os::time::process_cpu_ns();
        let moment = Moment {
            at_ns: now_ns,
            async_requests: crate::future::requests_in_flight(),
            stalled_us: self.stalled_us(wake_up, cpu_ns, able),
        };
        if self.table.append(moment, &self.entries) {
            self.least_period_ns *= 2;
        }
        self.last_ns = now_ns;
        self.last_cpu_ns = cpu_ns;
        self.last_able = able;
        !lists && !self.witness.has_met()
    }

    /// Whether the number of tasks has changed.
    fn has_other_tasks(&mut self, now_ns: u64) -> bool {
        if now_ns < self.counted_ns + COUNT_NS {
            return false;
        }
        self.counted_ns = now_ns;
        let count = self.counter.count();
        core::mem::replace(&mut self.tasks_then, count) != count
    }

    /// Fills `entries`, and returns how many tasks could run.
    fn look_at_tasks(&mut self, wake_up: WakeUp) -> u32 {
        self.entries.clear();
        let cpus = self.session.arena.header().cpus.load(Relaxed).max(1);
        self.witness.begin(self.last_able >= cpus);
        let has_few = self.watched.len() <= FEW_TASKS;
        let mut able = 0;
        let mut left_out = 0;
        let mut adopter = None;
        for watched in &mut self.watched {
            let seen = match watched.recorder {
                Some(recorder) => self.witness.with_spans(watched, recorder, wake_up),
                None => self.witness.without_spans(watched, wake_up.now_ns),
            };
            let Some(seen) = seen else {
                // It ended, or has another recorder by now.
                self.is_outdated = true;
                continue;
            };
            if let Some(recorder) = watched.recorder
                && waits_in_a_span(&seen)
            {
                let depth = recorder.current().depth.load(Relaxed);
                if adopter.is_none_or(|(deepest, _)| deepest < depth) {
                    adopter = Some((depth, recorder));
                }
            }
            able += u32::from(seen.state != State::Blocked);
            if !has_few && seen.node == 0 && waits_for_others(&seen) {
                continue;
            }
            match watched.task {
                Some(task) if self.entries.len() < MOST_ENTRIES => {
                    self.entries.push(seen.entry(task));
                }
                Some(_) | None => left_out += 1,
            }
        }
        sampling::set_adopter(adopter.map(|(_, recorder)| recorder));
        if left_out > 0 {
            let sum = &self.table.head().left_out;
            sum.store(sum.load(Relaxed) + left_out, Relaxed);
        }
        able
    }

    /// The part of a late wake-up in which the process had no CPU although it could have run, in µs: what a limit of CPU
    /// time or a hypervisor took from all of its threads, ours too.
    ///
    /// While they have CPUs, as many are used as there are tasks that can run, before and after; what is missing to that since
    /// the snapshot before is the part.
    fn stalled_us(&self, wake_up: WakeUp, cpu_ns: u64, able: u32) -> u32 {
        let late_ns = wake_up.now_ns.saturating_sub(wake_up.asked_ns);
        let period_ns = wake_up.asked_ns.saturating_sub(self.last_ns);
        if self.last_ns == 0 || late_ns <= LATE_NS {
            return 0;
        }
        let cpus = self.session.arena.header().cpus.load(Relaxed).max(1);
        let width = u64::from(able.min(self.last_able).min(cpus));
        let ran_ns = cpu_ns.saturating_sub(self.last_cpu_ns);
        let missing_ns = match ran_ns.checked_div(width) {
            Some(each_ns) => (late_ns + period_ns).saturating_sub(each_ns).min(late_ns),
            // Nothing could run before, or can now: it waited.
            None => 0,
        };
        u32::try_from(missing_ns / 1000).unwrap_or(u32::MAX)
    }

    /// Brings the list of tasks up to date: those that ended go, new ones come, and each has the recorder that it has now.
    fn list_tasks(&mut self, now_ns: u64) {
        let recorders = self.session.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        let attached = || attached(&recorders);
        if task::list(&mut self.tids).is_err() {
            // No `/proc`: at least those that are known.
            self.tids.clear();
            self.tids.extend(attached().map(|recorder| recorder.tree.tid.load(Relaxed)));
            self.tids.sort_unstable();
        }
        let is_soon = self.session.threads.see(&self.tids, self.own_tid);
        let (tids, tasks, witness) = (&self.tids, &mut self.tasks, &mut self.witness);
        self.watched.retain_mut(|watched| {
            let lives = tids.binary_search(&watched.tid).is_ok();
            if lives {
                witness.check_file(watched);
            } else {
                watched.leave(tasks);
                witness.forget(watched);
            }
            lives
        });
        // Both are in the order of the numbers.
        let known = self.watched.len();
        for &tid in &self.tids {
            let is_known =
                self.watched[..known].binary_search_by_key(&tid, |watched| watched.tid).is_ok();
            if !is_known && tid != self.own_tid {
                self.watched.push(Watched::new(tid));
            }
        }
        self.watched.sort_unstable_by_key(|watched| watched.tid);
        for watched in &mut self.watched {
            watched.next_recorder = None;
        }
        for recorder in attached() {
            let tid = recorder.tree.tid.load(Relaxed);
            if let Ok(at) = self.watched.binary_search_by_key(&tid, |watched| watched.tid) {
                self.watched[at].next_recorder = Some(recorder);
            }
        }
        drop(recorders);
        for watched in &mut self.watched {
            watched.take_next_recorder(&mut self.tasks, now_ns);
        }
        self.listed_ns = now_ns;
        self.is_outdated = is_soon;
    }

    /// Gives the known tasks that opened their first span their recorders. Unlike a list it reads no file, so that it need
    /// not wait until one may be made.
    fn connect_recorders(&mut self, now_ns: u64) {
        let recorders = self.session.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        for recorder in attached(&recorders) {
            let tid = recorder.tree.tid.load(Relaxed);
            if let Ok(at) = self.watched.binary_search_by_key(&tid, |watched| watched.tid)
                && self.watched[at].recorder.is_none()
            {
                self.watched[at].next_recorder = Some(recorder);
                self.watched[at].take_next_recorder(&mut self.tasks, now_ns);
            }
        }
    }

    /// Notes the CPU time of tasks without spans.
    pub(super) fn note_cpu_times(&self) {
        for watched in &self.watched {
            watched.note_cpu(&self.tasks);
        }
    }
}

/// The recorders that threads of the program have now.
fn attached(recorders: &[&'static Recorder]) -> impl Iterator<Item = &'static Recorder> {
    recorders.iter().copied().filter(|recorder| {
        let flags = recorder.tree.flags.load(Relaxed);
        flags & tree::FLAG_IN_USE != 0 && flags & tree::FLAG_RECORDER == 0
    })
}

/// Whether a task waits with a span open for what another one does: threads without spans may work for it.
fn waits_in_a_span(seen: &Whereabouts) -> bool {
    seen.node != 0 && seen.state == State::Blocked && seen.call == Call::Futex
}

/// Whether a task waits for something that another one has to do.
fn waits_for_others(seen: &Whereabouts) -> bool {
    seen.state == State::Blocked && seen.call == Call::Futex && seen.flags & ENTRY_TIMED == 0
}
