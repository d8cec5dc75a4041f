//! Where the kernel refuses switch records: the thread's own CPU clock, read at both ends of longer spans.
//!
//! A read costs half a microsecond, so a path that lasts less than 50 µs on average is measured at its first call only.
//! Page faults, and the time that the thread waited for a CPU, cost more: they are read around calls of 500 µs.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::PoisonError;

use super::recorder::{Recorder, add};
use super::thread;
use crate::format::{Node, node};
use crate::os;

/// Deepest span that can be measured, and one.
const DEPTHS: usize = 66;
/// Calls this many times longer than the least measured one have their page faults counted too.
const FAULTS_FACTOR: u64 = 10;

/// Readings at the beginning of the open spans, by depth; 0 where none was taken.
#[derive(Debug)]
pub(crate) struct Marks {
    cpu_ns: [AtomicU64; DEPTHS],
    minor: [AtomicU64; DEPTHS],
    major: [AtomicU64; DEPTHS],
}

impl Default for Marks {
    fn default() -> Self {
        let zeros = || [const { AtomicU64::new(0) }; DEPTHS];
        Self { cpu_ns: zeros(), minor: zeros(), major: zeros() }
    }
}

impl Recorder {
    /// A span of `node` begins.
    pub(super) fn mark_open(&self, node: &Node) {
        let depth = (node.depth.load(Relaxed) as usize).min(DEPTHS - 1);
        let mark = &self.marks.cpu_ns[depth];
        let calls = node.count.load(Relaxed).max(node.polls.load(Relaxed));
        let mean = node.total.load(Relaxed).checked_div(calls);
        if mean.is_some_and(|mean| mean < self.session.long_span_ticks) {
            mark.store(0, Relaxed);
            return;
        }
        if mean.is_none_or(|mean| mean >= FAULTS_FACTOR * self.session.long_span_ticks) {
            let (minor, major) = os::time::thread_faults();
            self.marks.minor[depth].store(minor, Relaxed);
            self.marks.major[depth].store(major, Relaxed);
            self.account_delay();
        } else {
            self.marks.minor[depth].store(u64::MAX, Relaxed);
        }
        mark.store(os::time::thread_cpu_ns().max(1), Relaxed);
    }

    /// It ends after so many ticks.
    pub(super) fn mark_close(&self, node: &Node, ticks: u64) {
        let depth = (node.depth.load(Relaxed) as usize).min(DEPTHS - 1);
        let since = self.marks.cpu_ns[depth].swap(0, Relaxed);
        if since == 0 {
            return;
        }
        add(&node.cpu_ns, os::time::thread_cpu_ns().saturating_sub(since));
        add(&node.cpu_ticks, ticks);
        node.flags.store(node.flags.load(Relaxed) | node::FLAG_THREAD_CLOCK, Relaxed);
        let minor_since = self.marks.minor[depth].load(Relaxed);
        if minor_since != u64::MAX {
            let (minor, major) = os::time::thread_faults();
            add(&node.minor_faults, minor.saturating_sub(minor_since));
            add(&node.major_faults, major.saturating_sub(self.marks.major[depth].load(Relaxed)));
            self.account_delay();
        }
    }

    /// Time that the thread could have run since the last look, to the path that is innermost now.
    fn account_delay(&self) {
        thread::undisturbed(|| {
            let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(ns) = drain.delay_since_last_look() {
                add(&self.current().preempted_ns, ns);
            }
        });
    }
}
