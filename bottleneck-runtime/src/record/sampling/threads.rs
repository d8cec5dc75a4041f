//! Which threads are sampled: each has a timer and a slot from its first span on, or since the background thread saw it, until
//! its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::handler;
use super::slot::{SLOTS, Slot};
use crate::os::cpu_timer::{self, CpuTimer};
use crate::os::{signal, task};
use crate::record::recorder::Recorder;

/// The threads of one process.
#[derive(Debug)]
pub(in crate::record) struct Threads {
    /// Why none is sampled.
    problem: Option<String>,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// In no order.
    sampled: Vec<Sampled>,
    free: Vec<&'static Slot>,
    /// Slots made so far.
    made: usize,
    /// No thread is sampled any more.
    is_over: bool,
}

#[derive(Debug)]
struct Sampled {
    tid: u32,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Timed {
        /// Stops when it is dropped.
        _timer: CpuTimer,
        slot: &'static Slot,
    },
    /// It blocks the signal, as every thread does while it is being made: until it has first run.
    Blocks {
        recorder: Option<&'static Recorder>,
        looks: u32,
        /// Lists until it is looked at again.
        lists_left: u32,
    },
    /// There are too many threads, or the kernel has no more timers.
    Left,
}

/// Looks at a thread that blocks the signal for which a list is made early, and the most lists between two later looks.
const EARLY_LOOKS: u32 = 16;
const MOST_LISTS: u32 = 64;

impl Drop for Sampled {
    fn drop(&mut self) {
        if let Standing::Timed { slot, .. } = &self.standing {
            slot.end();
        }
    }
}

impl Threads {
    /// Takes the signal, where this system can sample.
    pub(in crate::record) fn new() -> Self {
        let problem =
            cpu_timer::problem().or_else(|| {
                // Some sandboxes refuse timers.
                let tried = CpuTimer::start(crate::os::thread::tid(), 0);
                tried.map(drop).and_then(|()| handler::install()).err().map(|error| {
                    format!("cannot make a timer on the CPU clock of a thread: {error}")
                })
            });
        Self { problem, list: Mutex::default() }
    }

    /// Why threads are not sampled, if they are not.
    pub(in crate::record) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread has spans from now on.
    pub(in crate::record) fn join(&self, tid: u32, recorder: &'static Recorder) {
        if self.problem.is_some() {
            return;
        }
        let mut list = self.list();
        // What is there under this number may be of a thread that ended.
        list.remove(tid);
        list.add(tid, Some(recorder), signal::is_blocked_here(cpu_timer::SIGNAL));
    }

    /// The calling thread ends.
    pub(in crate::record) fn leave(&self, tid: u32) {
        if self.problem.is_none() {
            self.list().remove(tid);
        }
    }

    /// These are all tasks of the process, in the order of their numbers; `own_tid` is not to be sampled. Returns whether to
    /// look at them again soon.
    pub(in crate::record) fn see(&self, tids: &[u32], own_tid: u32) -> bool {
        if self.problem.is_some() {
            return false;
        }
        let mut list = self.list();
        let gone: Vec<u32> = list
            .sampled
            .iter()
            .map(|sampled| sampled.tid)
            .filter(|tid| tids.binary_search(tid).is_err())
            .collect();
        for tid in gone {
            list.remove(tid);
        }
        for &tid in tids {
            if tid != own_tid && !list.sampled.iter().any(|sampled| sampled.tid == tid) {
                list.add(tid, None, blocks_signal(tid));
            }
        }
        list.look_again()
    }

    /// Samples no thread any more.
    pub(super) fn stop(&self) {
        let mut list = self.list();
        list.is_over = true;
        list.sampled.clear();
    }
}

impl List {
    fn add(&mut self, tid: u32, recorder: Option<&'static Recorder>, blocks_signal: bool) {
        let standing = if blocks_signal {
            Standing::Blocks { recorder, looks: 0, lists_left: 0 }
        } else {
            self.start(tid, recorder)
        };
        self.sampled.push(Sampled { tid, standing });
    }

    /// Gives a thread a timer and a slot.
    fn start(&mut self, tid: u32, recorder: Option<&'static Recorder>) -> Standing {
        let slot = if self.is_over { None } else { self.slot() };
        let Some(slot) = slot else { return Standing::Left };
        let value = slot.begin(recorder, u64::from(tid));
        if let Ok(timer) = CpuTimer::start(tid, value) {
            Standing::Timed { _timer: timer, slot }
        } else {
            self.free.push(slot);
            Standing::Left
        }
    }

    /// Looks at threads that blocked the signal, ever more seldom. Returns whether to list threads early for it.
    fn look_again(&mut self) -> bool {
        let mut is_early = false;
        let mut ready = Vec::new();
        for (at, sampled) in self.sampled.iter_mut().enumerate() {
            let Standing::Blocks { recorder, looks, lists_left } = &mut sampled.standing else {
                continue;
            };
            if let Some(left) = lists_left.checked_sub(1) {
                *lists_left = left;
            } else if blocks_signal(sampled.tid) {
                *looks += 1;
                let is_soon = *looks < EARLY_LOOKS;
                is_early |= is_soon;
                let beyond = looks.saturating_sub(EARLY_LOOKS).min(MOST_LISTS.ilog2());
                *lists_left = if is_soon { 0 } else { (1 << beyond) - 1 };
            } else {
                ready.push((at, *recorder));
            }
        }
        for (at, recorder) in ready {
            self.sampled[at].standing = self.start(self.sampled[at].tid, recorder);
        }
        is_early
    }

    /// A slot that no thread has.
    fn slot(&mut self) -> Option<&'static Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = (self.made < SLOTS).then(|| Slot::new(self.made)).flatten()?;
        self.made += 1;
        Some(slot)
    }

    fn remove(&mut self, tid: u32) {
        if let Some(at) = self.sampled.iter().position(|sampled| sampled.tid == tid) {
            let sampled = self.sampled.swap_remove(at);
            if let Standing::Timed { slot, .. } = &sampled.standing {
                self.free.push(slot);
            }
        }
    }
}

fn blocks_signal(tid: u32) -> bool {
    task::blocked_signals(tid).unwrap_or(u64::MAX) & 1 << (cpu_timer::SIGNAL - 1) != 0
}
