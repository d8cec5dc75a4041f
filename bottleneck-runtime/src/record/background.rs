//! The recorder's own thread: reads rings before they are full, writes anchors, measures what a span costs.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a period has few milliseconds, the table few entries"
)]

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::PoisonError;

use super::recorder::Recorder;
use super::session::Session;
use super::thread;
use crate::format::{CHUNK_HEAD_BYTES, ChunkKind};
use crate::os;

/// How often the thread looks without being woken: the latest anchor of a killed run is at most this old.
const PERIOD_MS: i32 = 100;
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
    measure_span_cost(session);
    let mut anchors = AnchorTable::new(session);
    // The first anchors come soon: a program that is killed early has times too.
    let mut period_ms = 1;
    loop {
        session.serve_wakeups(period_ms);
        period_ms = (2 * period_ms).min(PERIOD_MS);
        let (ticks, ns) = session.anchor();
        if let Some(table) = &mut anchors {
            table.append(ticks, ns);
        }
        session.look_at_all();
        session.arena.header().recorder_cpu_ns.store(os::time::thread_cpu_ns(), Ordering::Relaxed);
    }
}

/// Records empty spans on a tree of its own, which is not a part of the program.
fn measure_span_cost(session: &'static Session) {
    use crate::site::{Site, SiteOptions};
    const CALLS: u64 = 1024;
    static EMPTY: Site =
        Site::new("empty", module_path!(), "", file!(), line!(), 1, SiteOptions::DEFAULT);
    let Some(recorder) = thread::attach_own() else {
        return;
    };
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
}

impl Session {
    /// Has the background thread woken when the ring behind `fd` fills.
    pub(super) fn watch(&self, fd: i32, recorder: &'static Recorder) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: address(recorder) };
        // SAFETY: `event` is valid for the call. The kernel forgets `fd` when the ring is closed.
        unsafe { libc::epoll_ctl(self.wakeups, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    }

    /// Reads the rings that fill, for about so long.
    fn serve_wakeups(&self, for_ms: i32) {
        let until = os::time::monotonic_ns() + u64::from(for_ms.unsigned_abs()) * 1_000_000;
        loop {
            let left = until.saturating_sub(os::time::monotonic_ns()) / 1_000_000;
            if left == 0 {
                return;
            }
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
            // SAFETY: `events` has room for 16.
            let n = unsafe { libc::epoll_wait(self.wakeups, events.as_mut_ptr(), 16, left as i32) };
            if n < 0 && os::Errno::last() != os::Errno(libc::EINTR) {
                // No epoll: look at everything at every period.
                std::thread::sleep(core::time::Duration::from_millis(left));
                return;
            }
            for event in events.iter().take(usize::try_from(n).unwrap_or(0)) {
                // Looked up, not trusted: a program that closes every descriptor may have an epoll of its own here.
                let recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
                let woken =
                    recorders.iter().find(|recorder| address(recorder) == event.u64).copied();
                drop(recorders);
                if let Some(recorder) = woken {
                    recorder.account_from_outside();
                }
            }
        }
    }

    /// Brings every thread's account up to date, so that a killed run is no older than the period.
    fn look_at_all(&self) {
        let recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for recorder in recorders {
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
