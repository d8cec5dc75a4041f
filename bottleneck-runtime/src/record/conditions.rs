//! What the machine and the control group took from the process since recording began.
//!
//! Looked at once a second by the background thread, and at the end by the thread that ends the process. Only differences are
//! written, so that a figure is about this run.

use core::sync::atomic::Ordering::Relaxed;

use super::arena::Arena;
use crate::format::conditions::{KNOWS_STEAL, KNOWS_THROTTLING};
use crate::format::{ChunkKind, Conditions};
use crate::os::cgroup::{CpuTime, Group};
use crate::os::{thread, time};

/// The record, and what the system's own accounts said at the beginning.
#[derive(Debug)]
pub(super) struct Watch {
    record: &'static Conditions,
    stolen_ns: Option<u64>,
    group: Option<(Group, CpuTime)>,
}

impl Watch {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(arena: &Arena) -> Option<Self> {
        let chunk = arena.spare_chunk(size_of::<Conditions>())?;
        // SAFETY: the payload is 64-aligned, zero, long enough, and stays mapped for good; the record is made of atomics.
        let record = unsafe { &*chunk.payload().cast::<Conditions>() };
        let group = Group::of_this_process().and_then(|group| Some((group.read()?, group)));
        let watch = Self {
            record,
            stolen_ns: time::stolen_ns(),
            group: group.map(|(time, group)| (group, time)),
        };
        record.cpus.store(thread::cpus_of_machine(), Relaxed);
        chunk.publish(ChunkKind::Conditions, 0);
        Some(watch)
    }

    /// Brings the record up to date. A few files, some 10 µs each.
    pub(super) fn look(&self) {
        let mut known = 0;
        if let (Some(start), Some(now)) = (self.stolen_ns, time::stolen_ns()) {
            known |= KNOWS_STEAL;
            self.record.steal_ns.store(now.saturating_sub(start), Relaxed);
        }
        if let Some((group, start)) = &self.group
            && let Some(now) = group.read()
        {
            known |= KNOWS_THROTTLING;
            let since = |now: u64, start: u64| now.saturating_sub(start);
            let record = self.record;
            record.periods.store(since(now.periods, start.periods), Relaxed);
            let throttled = since(now.throttled_periods, start.throttled_periods);
            record.throttled_periods.store(throttled, Relaxed);
            record.throttled_ns.store(since(now.throttled_ns, start.throttled_ns), Relaxed);
            record.quota_ns.store(now.quota_ns, Relaxed);
            record.period_ns.store(now.period_ns, Relaxed);
        }
        self.record.known.fetch_or(known, Relaxed);
        self.record.affinity.store(thread::cpus().into(), Relaxed);
        self.record.seen_ns.store(time::monotonic_ns(), Relaxed);
    }
}
