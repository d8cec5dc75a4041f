//! The recorder's own thread: takes snapshots, reads rings before they are full, writes anchors, measures what a span costs.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a period has few milliseconds, the table few entries"
)]

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::PoisonError;

use super::governor::Governor;
use super::recorder::Recorder;
use super::sampling::Keeper;
use super::session::Session;
use super::snapshot::{Sampler, WakeUp};
use super::thread;
use crate::format::{CHUNK_HEAD_BYTES, ChunkKind};
use crate::os;
use crate::os::wakeup::Woken;

/// How often the account of every thread is brought up to date: the latest anchor of a killed run is at most this old.
const PERIOD_NS: u64 = 100_000_000;
/// The first account comes after so long, the next after twice the time: a program that is killed early has times too.
const FIRST_PERIOD_NS: u64 = 1_000_000;
/// With very many threads the accounts take longer: they come so rarely then that they need no more than this share.
const SHARE_OF_ACCOUNTS: u64 = 1500;
/// How often it is looked at what was taken from the process, and the share of CPU time that the looks may need: the file
/// with the steal time is long on a machine of many CPUs.
const CONDITIONS_NS: u64 = 1_000_000_000;
const FIRST_CONDITIONS_NS: u64 = 50_000_000;
const SHARE_OF_CONDITIONS: u64 = 2000;
/// Anchors in the table. Each comes 1/64 of the run so far after the one before, so they suffice for any run.
const ANCHORS: usize = 1024;

/// Starts the thread. Without it (no more threads allowed) rings are read by their own threads alone, and there are no
/// anchors but the first and the last.
pub(super) fn start(session: &'static Session) {
    let spawned = os::thread::with_signals_blocked(|| {
        std::thread::Builder::new()
            .name("bottleneck".to_owned())
            // The default of the standard library, whatever RUST_MIN_STACK says: address space only.
            .stack_size(256 << 10)
            .spawn(move || run(session))
    });
    let problem = spawned.err().map(|error| format!("cannot start the recorder's thread: {error}"));
    session.note_capability("recorder_thread", problem.as_deref());
}

fn run(session: &'static Session) {
    // Else snapshots would be taken when a thread of the program waits, and find it waiting.
    os::thread::ask_for_short_turns();
    let mut rounds = Rounds::new(session);
    loop {
        rounds.next();
    }
}

/// What the thread does again and again: snapshots, and between them accounts.
struct Rounds {
    session: &'static Session,
    sampler: Option<Sampler>,
    keeper: Option<Keeper>,
    anchors: Option<AnchorTable>,
    governor: Governor,
    snapshot_due_ns: u64,
    accounts_due_ns: u64,
    accounts_period_ns: u64,
    conditions_due_ns: u64,
    /// Own CPU time when it was last looked at, and the part of it that snapshots took.
    seen_cpu_ns: u64,
    snapshots_cpu_ns: u64,
}

impl Rounds {
    fn new(session: &'static Session) -> Self {
        let mut sampler = Sampler::new(session);
        let now_ns = os::time::monotonic_ns();
        if let Some(sampler) = &mut sampler {
            sampler.take(WakeUp { asked_ns: now_ns, now_ns });
        }
        session.watch_conditions();
        session.make_samples();
        let keeper = Keeper::new(session);
        measure_span_cost(session);
        let mut rounds = Self {
            session,
            sampler,
            keeper,
            anchors: AnchorTable::new(session),
            governor: Governor::new(now_ns),
            snapshot_due_ns: now_ns,
            accounts_due_ns: now_ns + FIRST_PERIOD_NS,
            accounts_period_ns: FIRST_PERIOD_NS,
            conditions_due_ns: now_ns + FIRST_CONDITIONS_NS,
            seen_cpu_ns: 0,
            snapshots_cpu_ns: 0,
        };
        let cost_ns = rounds.cost_ns();
        rounds.governor.note_rest(cost_ns);
        rounds
    }

    /// Own CPU time since this was last asked.
    fn cost_ns(&mut self) -> u64 {
        let now = os::time::thread_cpu_ns();
        now - core::mem::replace(&mut self.seen_cpu_ns, now)
    }

    /// Waits for what is due next, and does it.
    fn next(&mut self) {
        let asked_ns = self.snapshot_due_ns.min(self.accounts_due_ns);
        if self.session.serve_wakeups(asked_ns) {
            let cost_ns = self.cost_ns();
            self.governor.note_rest(cost_ns);
        }
        let now_ns = os::time::monotonic_ns();
        if self.snapshot_due_ns <= now_ns {
            self.take_snapshot(WakeUp { asked_ns, now_ns });
        }
        if self.keeper.as_mut().is_some_and(|keeper| keeper.tend(now_ns)) {
            let cost_ns = self.cost_ns();
            self.governor.note_rest(cost_ns);
        }
        if self.accounts_due_ns <= now_ns {
            self.bring_accounts_up_to_date();
        }
    }

    fn take_snapshot(&mut self, wake_up: WakeUp) {
        let Some(sampler) = &mut self.sampler else {
            self.snapshot_due_ns = u64::MAX;
            return;
        };
        let is_typical = sampler.take(wake_up);
        let least_ns = sampler.least_period_ns();
        let cost_ns = self.cost_ns();
        self.snapshots_cpu_ns += cost_ns;
        self.governor.note_snapshot(cost_ns, is_typical);
        let period_ns = self.governor.period_ns(wake_up.now_ns, least_ns);
        self.snapshot_due_ns = wake_up.now_ns + self.governor.scattered(period_ns);
        if let Some(sampler) = &self.sampler {
            sampler.note_cost(self.snapshots_cpu_ns, period_ns);
        }
    }

    fn bring_accounts_up_to_date(&mut self) {
        let (ticks, ns) = self.session.anchor();
        if let Some(anchors) = &mut self.anchors {
            anchors.append(ticks, ns);
        }
        self.session.look_at_all();
        if let Some(sampler) = &self.sampler {
            sampler.note_cpu_times();
        }
        if self.keeper.is_none() {
            self.session.note_new_samples();
        }
        let cost_ns = self.cost_ns();
        self.governor.note_rest(cost_ns);
        let header = self.session.arena.header();
        header.recorder_cpu_ns.store(self.seen_cpu_ns, Ordering::Relaxed);
        let longest_ns = PERIOD_NS.max(cost_ns * SHARE_OF_ACCOUNTS);
        self.accounts_period_ns = (2 * self.accounts_period_ns).min(longest_ns);
        self.accounts_due_ns = ns + self.accounts_period_ns;
        if self.conditions_due_ns <= ns {
            self.session.note_conditions();
            let cost_ns = self.cost_ns();
            self.governor.note_rest(cost_ns);
            self.conditions_due_ns = ns + CONDITIONS_NS.max(cost_ns * SHARE_OF_CONDITIONS);
        }
    }
}

/// Records empty spans on a tree of its own, which is not a part of the program.
fn measure_span_cost(session: &'static Session) {
    use crate::site::{Site, SiteOptions};
    const CALLS: u64 = 256;
    static EMPTY: Site =
        Site::new("empty", module_path!(), "", file!(), line!(), 1, SiteOptions::DEFAULT);
    let Some(recorder) = thread::attach_own() else {
        return;
    };
    if crate::span::enter(&EMPTY).is_inert() {
        // There is no space for its node, and it is no call of the program that is lost.
        session.arena.header().refused.fetch_sub(1, Ordering::Relaxed);
        recorder.drop_ring();
        return;
    }
    let per_call = (0..8)
        .map(|_| {
            let start = recorder.now();
            for _ in 0..CALLS {
                drop(crate::span::enter(&EMPTY));
            }
            recorder.now().saturating_sub(start)
        })
        // The first rounds make the node and warm the caches; the least is what was not interrupted.
        .min()
        .unwrap_or(0);
    session.arena.header().span_cost.store(per_call * 1024 / CALLS, Ordering::Relaxed);
    // A ring of its own would make every wake-up of this thread dearer.
    recorder.drop_ring();
}

impl Session {
    /// Has the background thread woken when the ring behind `fd` fills.
    pub(super) fn watch(&self, fd: i32, recorder: &'static Recorder) {
        os::wakeup::watch(self.wakeups, fd, address(recorder));
    }

    /// Waits until a time, and reads the rings that fill meanwhile. Returns whether there were any.
    fn serve_wakeups(&self, until_ns: u64) -> bool {
        let mut has_served = false;
        loop {
            let left_ns = until_ns.saturating_sub(os::time::monotonic_ns());
            if left_ns == 0 {
                return has_served;
            }
            match os::wakeup::wait(self.wakeups, left_ns) {
                Woken::ByTime => {}
                Woken::Broken => os::wakeup::sleep(left_ns),
                Woken::By(addresses) => {
                    has_served = true;
                    for address in addresses.into_iter().take_while(|&address| address != 0) {
                        self.serve(address);
                    }
                }
            }
        }
    }

    /// Reads the ring of a recorder. Looked up, not trusted: a program that closes every descriptor may have an epoll of its
    /// own under our number.
    fn serve(&self, wanted: u64) {
        let recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = recorders.iter().find(|recorder| address(recorder) == wanted).copied();
        drop(recorders);
        if let Some(recorder) = woken {
            recorder.account_from_outside();
        }
    }

    /// Brings every thread's account up to date, so that a killed run is no older than the period.
    fn look_at_all(&self) {
        // One at a time, so that a thread that begins does not wait for the others' accounts.
        for at in 0.. {
            let recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(recorder) = recorders.get(at).copied() else {
                return;
            };
            drop(recorders);
            recorder.account_from_outside();
        }
    }
}

/// What names a recorder in an event.
fn address(recorder: &Recorder) -> u64 {
    core::ptr::from_ref(recorder) as u64
}

/// Pairs of ticks and nanoseconds over the whole run.
struct AnchorTable {
    entries: &'static [[AtomicU64; 2]],
    count: usize,
    first_ns: u64,
    last_ns: u64,
    head: &'static crate::format::ChunkHead,
}

impl AnchorTable {
    fn new(session: &'static Session) -> Option<Self> {
        let chunk = session.arena.chunk(ANCHORS * 16)?;
        // SAFETY: the payload has room for the entries, is 64-aligned and zero, and stays mapped for good.
        let entries = unsafe {
            core::slice::from_raw_parts(chunk.payload().cast::<[AtomicU64; 2]>(), ANCHORS)
        };
        // SAFETY: the head lies right before the payload; it is made of atomics.
        let head =
            unsafe { &*chunk.payload().sub(CHUNK_HEAD_BYTES).cast::<crate::format::ChunkHead>() };
        chunk.publish(ChunkKind::Anchors, 0);
        Some(Self { entries, count: 0, first_ns: os::time::monotonic_ns(), last_ns: 0, head })
    }

    fn append(&mut self, ticks: u64, ns: u64) {
        if ns.saturating_sub(self.last_ns) < ns.saturating_sub(self.first_ns) / 64 {
            return;
        }
        if let Some([ticks_entry, ns_entry]) = self.entries.get(self.count) {
            ticks_entry.store(ticks, Ordering::Relaxed);
            ns_entry.store(ns, Ordering::Relaxed);
            self.count += 1;
            self.last_ns = ns;
            // Release: pairs with the reader's look at the count; the entry is complete.
            self.head.aux.store(self.count as u32, Ordering::Release);
        }
    }
}
