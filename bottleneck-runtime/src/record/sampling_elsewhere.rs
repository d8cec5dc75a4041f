//! Sampling by timers, where it is not known how: rings sample instead, where the kernel lets them, and nothing is probed.

use super::recorder::Recorder;
use super::session::Session;

const PROBLEM: &str = "threads are sampled by timers on x86-64 only";

pub(super) const TIMER_PERIOD_NS: u64 = 0;

/// No thread is sampled by a timer.
#[derive(Debug)]
pub(super) struct Threads;

#[expect(clippy::unused_self, reason = "the interface of the module that samples")]
impl Threads {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn problem(&self) -> Option<&str> {
        Some(PROBLEM)
    }

    pub(super) fn join(&self, _tid: u32, _recorder: &'static Recorder) {}

    pub(super) fn leave(&self, _tid: u32) {}

    pub(super) fn see(&self, _tids: &[u32], _own_tid: u32) -> bool {
        false
    }
}

/// Nothing is kept going.
#[derive(Debug)]
pub(super) struct Keeper;

#[expect(clippy::unused_self, reason = "as above")]
impl Keeper {
    pub(super) fn new(session: &'static Session) -> Option<Self> {
        session.note_capability("sampling", Some(PROBLEM));
        session.note_capability("residency", Some(PROBLEM));
        None
    }

    pub(super) fn tend(&mut self, _now_ns: u64) -> bool {
        false
    }
}

pub(super) fn set_adopter(_recorder: Option<&'static Recorder>) {}

pub(super) fn forget_in_child() {}
