//! Time off the CPU, exact, from the kernel's switch records.
//!
//! Every end of a span compares the ring's head with what was seen. So whatever is unread when a record is looked at happened
//! while the present node was innermost: no node changes hands while records are unread, because the thread would come here
//! first and wait for the lock. That holds for the background thread too, as long as it reads the head before the node.

use core::sync::atomic::Ordering::Relaxed;
use std::sync::PoisonError;

use super::recorder::{Recorder, SwitchSource, add};
use super::thread;
use crate::format::{Node, node};
use crate::os;
use crate::os::ring::{Record, Ring};

/// What accounting of one thread goes on from; behind the recorder's lock.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    ring: Option<Ring>,
    tid: u32,
    /// The wait that has no end yet.
    off: Option<Off>,
    /// Time off the CPU in the records read since the thread attached, in ns.
    known_off_ns: u64,
    /// How far it was held against the thread's clock.
    reconciled: Reconciled,
    /// Records that were lost since then.
    lost: u64,
    /// `/proc/.../schedstat` of the thread, for the time between wake-up and running; -1 without.
    delays: Option<os::delay::Delays>,
    seen_delay_ns: u64,
    /// The head when its CPU clock was last seen from outside.
    seen_head: u64,
    /// How far the records were looked at without being read, and what they said.
    looked: Looked,
}

/// What the newest record says of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// There are no records, or some were lost.
    #[default]
    Unknown,
    /// It has a CPU.
    OnCpu,
    /// It has none.
    OffCpu(Off),
}

/// A look at the records up to a position.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    until: u64,
    standing: Standing,
}

/// Two clocks that were read further apart than this do not belong together.
const APART_NS: u64 = 10_000;

/// Time off the CPU since the thread attached, by two accounts that agreed then.
#[derive(Clone, Copy, Debug, Default)]
struct Reconciled {
    by_clock_ns: u64,
    by_records_ns: u64,
}

impl Drain {
    fn of_this_thread(ring: Option<Ring>, tid: u32) -> Self {
        // The thread itself is here: it runs, and its ring is empty.
        let standing = if ring.is_some() { Standing::OnCpu } else { Standing::Unknown };
        let looked = Looked { until: 0, standing };
        let delays = os::delay::Delays::of_this_thread(tid);
        let mut drain = Self { ring, tid, delays, looked, ..Self::default() };
        drain.delay_since_last_look();
        drain
    }

    /// How long the thread waited for a CPU since this was last asked, in ns.
    pub(super) fn delay_since_last_look(&mut self) -> Option<u64> {
        let delay_ns = self.delays.as_ref()?.read()?;
        let since = delay_ns.saturating_sub(self.seen_delay_ns);
        self.seen_delay_ns = delay_ns;
        Some(since)
    }

    /// The thread whose records these are; 0 for none.
    pub(super) fn tid(&self) -> u32 {
        self.tid
    }

    /// What the newest record says, and the head at that moment, which tells whether it still is the newest.
    pub(super) fn look(&mut self) -> (Standing, u64) {
        let Some(ring) = &self.ring else {
            return (Standing::Unknown, 0);
        };
        let mut standing = self.looked.standing;
        let until = ring.read_from(self.looked.until, |record| match record {
            Record::Out { at_ns, preempted } => {
                standing = Standing::OffCpu(Off { since_ns: at_ns, preempted });
            }
            Record::In { .. } | Record::Sample { .. } => standing = Standing::OnCpu,
            Record::Lost { .. } => standing = Standing::Unknown,
        });
        self.looked = Looked { until, standing };
        (standing, until)
    }

    /// Whether the thread was off the CPU when its clock was last seen, with every record read, and still is.
    fn has_waited_since_seen(&self) -> bool {
        let is_off = self.ring.is_some() && matches!(self.looked.standing, Standing::OffCpu(_));
        is_off && self.seen_head == self.looked.until && !self.has_moved(self.seen_head)
    }

    /// Whether something was written to the ring since that head.
    pub(super) fn has_moved(&self, head: u64) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.head().load(Relaxed) != head)
    }
}

/// A wait, or an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Off {
    pub(super) since_ns: u64,
    pub(super) preempted: bool,
}

/// Between when and when the present node was innermost, in `CLOCK_MONOTONIC` ns; the rest is its parent's.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    from_ns: u64,
    until_ns: u64,
}

impl Recorder {
    /// The cold part of `open`: before `entering` becomes innermost.
    #[cold]
    #[inline(never)]
    pub(super) fn before_open(&self, entering: &Node) {
        if self.uses_thread_clock() {
            self.mark_open(entering);
        } else {
            thread::undisturbed(|| self.account_own());
        }
    }

    /// The cold part of `close`, while `leaving` is innermost still.
    #[cold]
    #[inline(never)]
    pub(super) fn before_close(&self, leaving: &Node, start: u64, end: u64) {
        if self.uses_thread_clock() {
            self.mark_close(leaving, end.saturating_sub(start));
        } else {
            thread::undisturbed(|| {
                let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
                self.account(&mut drain, Some(end));
            });
        }
    }

    /// Accounts for what the calling thread's ring holds.
    pub(super) fn account_own(&self) {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        self.account(&mut drain, None);
    }

    /// The same from the background thread. Leaves it if the thread is at it itself.
    pub(super) fn account_from_outside(&self) {
        if let Ok(mut drain) = self.drain.try_lock() {
            if drain.has_waited_since_seen() {
                // There is no record to read, and it has not run.
                self.tree.seen_ns.store(os::time::monotonic_ns(), Relaxed);
                return;
            }
            self.account(&mut drain, None);
            if drain.tid != 0 {
                // In this order: whatever comes between the two reads, the CPU time is not more than the time.
                let cpu_ns = os::time::cpu_ns_of(drain.tid);
                self.tree.seen_ns.store(os::time::monotonic_ns(), Relaxed);
                self.tree.seen_cpu_ns.store(cpu_ns, Relaxed);
                drain.seen_head = drain.looked.until;
            }
        }
    }

    /// Reads the records. `end`: ticks at which the present node ends, where that is known.
    fn account(&self, drain: &mut Drain, end: Option<u64>) {
        let Some(mut ring) = drain.ring.take() else {
            return;
        };
        let mut bounds = None;
        let mut blocked_ns = 0;
        let was_full = ring.is_full();
        let head = ring.drain(|record| {
            // The head was read before this: the node is the one that was innermost when the records were written.
            let node = self.current();
            match record {
                Record::Out { at_ns, preempted } => {
                    drain.off = Some(Off { since_ns: at_ns, preempted });
                }
                Record::In { at_ns } => {
                    if let Some(off) = drain.off.take() {
                        let bounds = *bounds.get_or_insert_with(|| self.bounds(node, end));
                        drain.known_off_ns += at_ns.saturating_sub(off.since_ns);
                        if !off.preempted {
                            blocked_ns += at_ns.saturating_sub(off.since_ns);
                        }
                        self.attribute(node, off, at_ns, bounds);
                    }
                }
                // No switch: what is off the CPU stays as it is.
                Record::Sample { address } => {
                    self.session.count_sample(self.reference(node), address);
                }
                Record::Lost { count } => {
                    drain.lost += count;
                    drain.off = None;
                }
            }
        });
        self.set_switch_seen(head);
        let standing = match drain.off {
            // The newest switch found no place.
            _ if was_full => Standing::Unknown,
            Some(off) => Standing::OffCpu(off),
            None => Standing::OnCpu,
        };
        drain.looked = Looked { until: head, standing };
        self.tree.off_preempted.store(drain.off.is_some_and(|off| off.preempted).into(), Relaxed);
        self.tree.off_since_ns.store(drain.off.map_or(0, |off| off.since_ns), Relaxed);
        if blocked_ns > 0 {
            self.account_wakeups(drain, blocked_ns);
        }
        if blocked_ns > 0 || drain.lost > 0 {
            self.reconcile(drain, blocked_ns, || ring.head().load(Relaxed) == head);
        }
        drain.ring = Some(ring);
    }

    /// When the present node became innermost at the earliest, and ended at the latest.
    fn bounds(&self, node: &Node, end: Option<u64>) -> Bounds {
        let header = self.session.arena.header();
        let (ticks, ns) = self.session.time_pair();
        let elapsed_ticks = ticks.saturating_sub(header.start_ticks.load(Relaxed));
        let elapsed_ns = ns.saturating_sub(header.start_ns.load(Relaxed));
        let since = node.open_since.load(Relaxed);
        // Just begun: the rate is not known well enough to cut anything off.
        if since == 0 || elapsed_ns < 100_000 || elapsed_ticks == 0 {
            return Bounds { from_ns: 0, until_ns: u64::MAX };
        }
        let rate = elapsed_ns as f64 / elapsed_ticks as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both factors are positive, and the cast saturates"
        )]
        // Counted back from now: an error of the rate grows with the span's length only.
        let at = |then: u64| ns.saturating_sub((ticks.saturating_sub(then) as f64 * rate) as u64);
        Bounds { from_ns: at(since), until_ns: end.map_or(u64::MAX, at) }
    }

    /// Adds one interval to the node, and what lies outside of it to its parent.
    fn attribute(&self, node: &Node, off: Off, until_ns: u64, bounds: Bounds) {
        let whole = until_ns.saturating_sub(off.since_ns);
        let inside = until_ns
            .min(bounds.until_ns)
            .saturating_sub(off.since_ns.max(bounds.from_ns))
            .min(whole);
        let parent = self.node(node.parent.load(Relaxed));
        for (to, ns) in [(node, inside), (parent, whole - inside)] {
            if ns == 0 || (core::ptr::eq(to, parent) && node.parent.load(Relaxed) == 0) {
                continue;
            }
            let (sum, count) = if off.preempted {
                (&to.preempted_ns, &to.preempted_count)
            } else {
                (&to.blocked_ns, &to.blocked_count)
            };
            add(sum, ns);
            add(count, 1);
        }
    }

    /// The part of the waits in which the thread was awake again, waiting for a CPU.
    fn account_wakeups(&self, drain: &mut Drain, blocked_ns: u64) {
        // The kernel's figure holds preemption too, which has its own records.
        if let Some(ns) = drain.delay_since_last_look() {
            add(&self.current().wakeup_ns, ns.min(blocked_ns));
        }
    }

    /// Holds the records since last time against the thread's own clock.
    ///
    /// The kernel charges a switch to the thread, up to 20 µs after a sleep, and its records put it outside: what the records
    /// have too much is taken off the waits just added. What they have too little is time that the hypervisor took, unless
    /// records were lost: then that time is a wait.
    fn reconcile(&self, drain: &mut Drain, blocked_ns: u64, is_up_to_date: impl FnOnce() -> bool) {
        let now_ns = os::time::monotonic_ns();
        let ran =
            os::time::cpu_ns_of(drain.tid).saturating_sub(self.tree.attached_cpu_ns.load(Relaxed));
        let took_ns = os::time::monotonic_ns().saturating_sub(now_ns);
        if took_ns > APART_NS || !is_up_to_date() {
            // This thread or the recorded one was switched while the clocks were read: next time.
            return;
        }
        let lived = now_ns.saturating_sub(self.tree.attached_ns.load(Relaxed));
        let pending = drain.off.map_or(0, |off| now_ns.saturating_sub(off.since_ns));
        let off_by_clock = lived.saturating_sub(ran).saturating_sub(pending);
        let by_clock = off_by_clock.saturating_sub(drain.reconciled.by_clock_ns);
        let by_records = drain.known_off_ns.saturating_sub(drain.reconciled.by_records_ns);
        let node = self.current();
        let excess =
            by_records.saturating_sub(by_clock).min(blocked_ns).min(node.blocked_ns.load(Relaxed));
        node.blocked_ns.store(node.blocked_ns.load(Relaxed) - excess, Relaxed);
        if drain.lost > 0 {
            add(&self.tree.lost_switches, drain.lost);
            self.session.arena.header().lost_switches.fetch_add(drain.lost, Relaxed);
            add(&node.blocked_ns, by_clock.saturating_sub(by_records));
            node.flags.store(node.flags.load(Relaxed) | node::FLAG_CLOCK_DELTA, Relaxed);
            drain.lost = 0;
        }
        drain.reconciled =
            Reconciled { by_clock_ns: off_by_clock, by_records_ns: drain.known_off_ns };
    }

    /// The thread begins to record, with this ring.
    pub(super) fn take_ring(&'static self, ring: Ring, tid: u32) {
        self.set_switch_source(SwitchSource::Ring(ring.head()));
        self.session.watch(ring.fd(), self);
        if self.session.threads.problem().is_some() {
            self.session.note_samples(ring.has_samples());
        }
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        *drain = Drain::of_this_thread(Some(ring), tid);
    }

    /// The thread begins to record without one.
    pub(super) fn take_thread_clock(&self, tid: u32) {
        self.set_switch_source(SwitchSource::ThreadClock);
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        *drain = Drain::of_this_thread(None, tid);
    }

    /// The thread ends. The ring goes after nothing looks at its head any more.
    pub(super) fn drop_ring(&self) {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        self.account(&mut drain, None);
        self.set_switch_source(SwitchSource::Nothing);
        *drain = Drain::default();
        self.tree.off_since_ns.store(0, Relaxed);
    }

    /// Closes the spans that are open still, whose guards were leaked.
    pub(super) fn close_all(&self) {
        for _ in 0..self.current().depth.load(Relaxed) {
            let node = self.current();
            self.close_and_count(node);
        }
    }
}
