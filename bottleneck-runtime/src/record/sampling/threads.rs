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
    /// `None` for a thread that cannot be sampled: it blocks the signal, or there are too many.
    timer: Option<(CpuTimer, &'static Slot)>,
}

impl Drop for Sampled {
    fn drop(&mut self) {
        if let Some((_, slot)) = &self.timer {
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
        let can_sample = !signal::is_blocked_here(cpu_timer::SIGNAL);
        list.add(tid, Some(recorder), can_sample);
    }

    /// The calling thread ends.
    pub(in crate::record) fn leave(&self, tid: u32) {
        if self.problem.is_none() {
            self.list().remove(tid);
        }
    }

    /// These are all tasks of the process, in the order of their numbers; `own_tid` is not to be sampled.
    pub(in crate::record) fn see(&self, tids: &[u32], own_tid: u32) {
        if self.problem.is_some() {
            return;
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
                let blocked = task::blocked_signals(tid).unwrap_or(u64::MAX);
                list.add(tid, None, blocked & 1 << (cpu_timer::SIGNAL - 1) == 0);
            }
        }
    }

    /// Samples no thread any more.
    pub(super) fn stop(&self) {
        let mut list = self.list();
        list.is_over = true;
        list.sampled.clear();
    }
}

impl List {
    fn add(&mut self, tid: u32, recorder: Option<&'static Recorder>, can_sample: bool) {
        let slot = if can_sample && !self.is_over { self.slot() } else { None };
        let timer = slot.and_then(|slot| {
            let value = slot.begin(recorder, u64::from(tid));
            let timer = CpuTimer::start(tid, value).ok();
            if timer.is_none() {
                self.free.push(slot);
            }
            Some((timer?, slot))
        });
        self.sampled.push(Sampled { tid, timer });
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
            self.free.extend(sampled.timer.as_ref().map(|(_, slot)| *slot));
        }
    }
}
