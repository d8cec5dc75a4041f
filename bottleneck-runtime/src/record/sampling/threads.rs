//! Which threads are sampled: each has a timer and a slot from its first span on, or since the background thread saw it, until
//! its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::handler;
use super::slot::{SLOTS, Slot};
use crate::os::cpu_timer::{self, CpuTimer};
use crate::os::signal;
use crate::os::task::{self, Takes};
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
    /// It blocks the signal, as every thread does while it is being made: until it has first run. Or that cannot be seen.
    Open(Doubt),
    /// It takes signals itself, there are too many threads, or the kernel has no more timers.
    Left,
}

/// What was seen of a thread that may block the signal. One that blocks it, and waits for signals, must never get it.
#[derive(Debug, Default)]
struct Doubt {
    recorder: Option<&'static Recorder>,
    has_blocked: bool,
    /// It waited with another mask than its own, perhaps for signals.
    has_masked: bool,
    /// Looks in a row that found the signal free. Those at a thread that was just woken in such a wait do, too.
    free: u32,
    looks: u32,
    /// Lists until it is looked at again.
    lists_left: u32,
}

/// Looks at a thread that blocks the signal for which a list is made early, and the most lists between two later looks.
const EARLY_LOOKS: u32 = 16;
const MOST_LISTS: u32 = 8;

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
        let has_blocked = signal::is_blocked_here(cpu_timer::SIGNAL);
        let doubt = Doubt { recorder: Some(recorder), has_blocked, ..Doubt::default() };
        let standing =
            if has_blocked { Standing::Open(doubt) } else { list.start(tid, Some(recorder)) };
        list.sampled.push(Sampled { tid, standing });
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
        // The recorder's own thread has spans too, by which it measures their cost.
        for tid in gone.into_iter().chain([own_tid]) {
            list.remove(tid);
        }
        for &tid in tids {
            if tid != own_tid && !list.sampled.iter().any(|sampled| sampled.tid == tid) {
                list.sampled.push(Sampled { tid, standing: Standing::Open(Doubt::default()) });
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

    /// Looks at threads of which it is not known whether they block the signal, ever more seldom. Returns whether to list threads
    /// early for it.
    fn look_again(&mut self) -> bool {
        let mut is_early = false;
        let mut decided = Vec::new();
        for (at, sampled) in self.sampled.iter_mut().enumerate() {
            let Standing::Open(doubt) = &mut sampled.standing else { continue };
            if let Some(left) = doubt.lists_left.checked_sub(1) {
                doubt.lists_left = left;
                continue;
            }
            match doubt.look(task::takes(sampled.tid, cpu_timer::SIGNAL)) {
                None => is_early |= doubt.lists_left == 0,
                Some(is_free) => decided.push((at, is_free.then_some(doubt.recorder))),
            }
        }
        for (at, recorder) in decided {
            let tid = self.sampled[at].tid;
            self.sampled[at].standing =
                recorder.map_or(Standing::Left, |recorder| self.start(tid, recorder));
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

impl Doubt {
    /// Takes in what a look has found. Returns whether the thread may be sampled, once that is known.
    fn look(&mut self, takes: Takes) -> Option<bool> {
        self.free = if takes == Takes::Free { self.free + 1 } else { 0 };
        self.has_blocked |= takes == Takes::Blocked;
        self.has_masked |= takes == Takes::Masked;
        if self.has_blocked && self.has_masked {
            return Some(false);
        }
        let needed = match (self.has_blocked, self.has_masked) {
            (false, false) => 1,
            (true, _) => 2,
            (false, true) => 3,
        };
        if needed <= self.free {
            return Some(true);
        }
        self.looks += 1;
        let beyond = self.looks.saturating_sub(EARLY_LOOKS).min(MOST_LISTS.ilog2());
        self.lists_left = (1 << beyond) - 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Takes::{Blocked, Free, Masked, Unknown};

    /// What looks decide, and after how many of them.
    fn decided(looks: &[Takes]) -> Option<(usize, bool)> {
        let mut doubt = Doubt::default();
        looks.iter().enumerate().find_map(|(at, &takes)| Some((at + 1, doubt.look(takes)?)))
    }

    #[test]
    fn a_thread_that_blocks_the_signal_at_first_is_sampled_later() {
        assert_eq!(decided(&[Free]), Some((1, true)));
        assert_eq!(decided(&[Blocked, Blocked, Free, Free]), Some((4, true)));
        assert_eq!(decided(&[Blocked; 100]), None);
        // It reads pages of its weights meanwhile.
        assert_eq!(decided(&[Blocked, Unknown, Free, Unknown, Free, Free]), Some((6, true)));
    }

    #[test]
    fn a_thread_that_takes_signals_itself_is_never_sampled() {
        assert_eq!(decided(&[Masked, Free, Masked, Free, Free, Blocked]), Some((6, false)));
        assert_eq!(decided(&[Blocked, Free, Masked]), Some((3, false)));
        // It waits with a mask of its own, and works with the signal free.
        assert_eq!(decided(&[Masked, Free, Free, Free]), Some((4, true)));
    }

    #[test]
    fn looks_become_seldom() {
        let mut doubt = Doubt::default();
        let mut left = Vec::new();
        for _ in 0..EARLY_LOOKS + 6 {
            assert_eq!(doubt.look(Blocked), None);
            left.push(doubt.lists_left);
        }
        assert!(left[..EARLY_LOOKS as usize].iter().all(|&left| left == 0));
        assert_eq!(left[EARLY_LOOKS as usize..], [1, 3, 7, 7, 7, 7]);
    }
}
