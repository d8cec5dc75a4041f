//! The state of one thread, and the hot path on it.
//!
//! Between a thread's first span and its last, `open` and `close` allocate nothing, lock nothing, format nothing, cannot
//! panic, and make no system call unless the thread was switched out or comes to a path for the first time.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

use super::off_cpu::Drain;
use super::session::Session;
use super::thread_clock::Marks;
use crate::clock::{ClockKind, counter, monotonic_ticks};
use crate::format::{GRANULE, NODE_BYTES, Node, Tree, histogram};
use crate::site::{Owner, Site};
use crate::span::SpanGuard;

/// One thread's recorder. Made at the thread's first span, left to a later thread of the same name at its end; never freed,
/// because the background thread may look at it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Recorder {
    /// The innermost open node. Written by the thread; the background thread reads it under `drain`.
    current: AtomicPtr<Node>,
    /// First byte of the mapped file: what references count from.
    base: *mut u8,
    /// A counter that moves when the thread was switched: the ring's head. Where there is no ring, see `set_switch_source`.
    switch_head: AtomicPtr<AtomicU64>,
    /// Its value when the records were last read.
    switch_seen: AtomicU64,
    /// Whether `counter` may be used.
    has_counter: bool,
    /// The rest is for the cold paths.
    pub(super) session: &'static Session,
    pub(super) tree: &'static Tree,
    pub(super) drain: Mutex<Drain>,
    /// Slots left in the newest slab of nodes and of histograms: reference of the next, and how many.
    pub(super) node_slab: Slab,
    pub(super) histogram_slab: Slab,
    /// CPU clock at the beginning of the open spans, where there is no ring.
    pub(super) marks: Marks,
}

// SAFETY: the fields are atomics, locks, or written once; the slabs and marks are touched by the owning thread only, which
// `thread::attach` hands over under the session's lock.
unsafe impl Send for Recorder {}
// SAFETY: as above.
unsafe impl Sync for Recorder {}

/// Free slots of a chunk.
#[derive(Debug, Default)]
pub(super) struct Slab {
    pub(super) next: AtomicU32,
    pub(super) left: AtomicU32,
    /// Slots of the chunk that it is a part of; the next one is twice as long, up to a limit.
    pub(super) slots: AtomicU32,
}

/// Stands for the child that a node does not have: no site has its index. Its zeros are never written.
static NO_NODE: Aligned = Aligned({
    let mut words = [const { AtomicU64::new(0) }; NODE_BYTES / 8];
    // Both halves: `site` is one of them in either byte order.
    words[0] = AtomicU64::new(u64::MAX);
    words
});

#[repr(align(64))]
struct Aligned([AtomicU64; NODE_BYTES / 8]);

/// The address of `NO_NODE`, for `own_recent_child`.
pub(super) fn no_node() -> u64 {
    NO_NODE.0.as_ptr() as u64
}

/// A counter that never equals what was seen: every `open` and `close` takes the cold path.
static ALWAYS_MOVED: AtomicU64 = AtomicU64::new(u64::MAX);
/// A counter that never moves.
static NEVER_MOVED: AtomicU64 = AtomicU64::new(0);

/// What the cold path at the ends of a span looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwitchSource {
    /// The ring's head: the cold path runs after a switch only.
    Ring(*const AtomicU64),
    /// No ring: the cold path runs at every end and reads the thread's CPU clock around longer spans.
    ThreadClock,
    /// Nothing is measured any more.
    Nothing,
}

impl Recorder {
    pub(super) fn new(session: &'static Session, tree: &'static Tree, root: &'static Node) -> Self {
        Self {
            current: AtomicPtr::new(core::ptr::from_ref(root).cast_mut()),
            base: session.arena.base(),
            switch_head: AtomicPtr::new(core::ptr::from_ref(&NEVER_MOVED).cast_mut()),
            switch_seen: AtomicU64::new(0),
            has_counter: session.clock != ClockKind::Monotonic,
            session,
            tree,
            drain: Mutex::default(),
            node_slab: Slab::default(),
            histogram_slab: Slab::default(),
            marks: Marks::default(),
        }
    }

    /// The clock of this session, in ticks.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        if self.has_counter { counter() } else { monotonic_ticks() }
    }

    /// The innermost open node, or the root.
    #[inline(always)]
    pub(crate) fn current(&self) -> &Node {
        // SAFETY: `current` is the root or a node that `find` made in the mapped file, which stays mapped for good.
        unsafe { &*self.current.load(Relaxed) }
    }

    /// The node behind a reference that was read from a node of this tree.
    pub(crate) fn node(&self, reference: u32) -> &Node {
        // SAFETY: references in the tree are 0 or were made by `find`; offset 0 is the header page. Either way there are
        // 256 mapped bytes, and a `Node` is made of atomics.
        unsafe { &*self.base.add(reference as usize * GRANULE).cast::<Node>() }
    }

    /// First byte of the mapped file.
    pub(super) fn first_byte(&self) -> *const u8 {
        self.base
    }

    #[inline(always)]
    pub(super) fn set_current(&self, node: &Node) {
        self.current.store(core::ptr::from_ref(node).cast_mut(), Relaxed);
    }

    /// Opens a span of a site below the current one; `key` is `None` for a site whose calls are of one class. The guard is
    /// inert where the call is folded into the span around it: recursion, or a used-up budget of paths.
    ///
    /// The usual case, which this is: the same child as last time, and no switch since. An unregistered site has index 0,
    /// which no node has.
    #[inline(always)]
    pub(crate) fn open(&self, site: &'static Site, owner: Owner, key: Option<u64>) -> SpanGuard {
        // SAFETY: the address of a node of this tree, or of `NO_NODE`; see `new_node` and `Recorder::new`.
        let node = unsafe { &*(self.current().own_recent_child.load(Relaxed) as *const Node) };
        let is_same_class = key.is_none_or(|key| node.key.load(Relaxed) == key);
        if node.site.load(Relaxed) != site.index() || !is_same_class || self.was_switched() {
            return self.open_otherwise(site, owner, key.unwrap_or(0));
        }
        self.set_current(node);
        let start = counter();
        node.open_since.store(start, Relaxed);
        SpanGuard::new(node)
    }

    /// Every case but the usual one.
    #[cold]
    #[inline(never)]
    fn open_otherwise(&self, site: &'static Site, owner: Owner, key: u64) -> SpanGuard {
        let Some(node) = self.find(self.current(), site, owner, key) else {
            return SpanGuard::INERT;
        };
        if self.was_switched() {
            self.before_open(node);
        }
        self.set_current(node);
        let start = self.now();
        node.open_since.store(start, Relaxed);
        SpanGuard::new(node)
    }

    /// Whether there are switch records to read.
    #[inline(always)]
    fn was_switched(&self) -> bool {
        // SAFETY: always points to one of the statics above or into a ring that is open while this is its head.
        unsafe { &*self.switch_head.load(Relaxed) }.load(Relaxed) != self.switch_seen.load(Relaxed)
    }

    /// Closes the span that `open` began and counts it.
    ///
    /// The usual case, which this is: innermost, not switched, a path with a histogram, neither the shortest nor the longest
    /// call, and none that is too long for the histogram (a quarter of an hour): a branch is cheaper than to limit the bucket.
    #[inline(always)]
    pub(crate) fn close_and_count(&self, node: &Node) {
        let end = counter();
        // 0 if the span was closed already, with one around it: then the difference is above `max`.
        let start = node.open_since.load(Relaxed);
        // A counter that ran backwards (never seen) wraps to a difference above `max`.
        let ticks = end.wrapping_sub(start);
        let histogram = node.own_histogram.load(Relaxed);
        let bucket = histogram::unlimited_bucket(ticks);
        if self.was_switched()
            || !core::ptr::eq(self.current(), node)
            || histogram == 0
            || ticks < node.min.load(Relaxed)
            || ticks > node.max.load(Relaxed)
            || bucket >= histogram::BUCKETS
        {
            return self.close_otherwise(node, start, end);
        }
        add(&node.count, 1);
        add(&node.total, ticks);
        count_in_bucket(histogram, bucket);
        node.open_since.store(0, Relaxed);
        self.current.store(node.own_parent.load(Relaxed) as *mut Node, Relaxed);
    }

    /// Every case but the usual one.
    #[cold]
    #[inline(never)]
    fn close_otherwise(&self, node: &Node, start: u64, end: u64) {
        if let Some(ticks) =
            self.close_at(node, start, if self.has_counter { end } else { monotonic_ticks() })
        {
            self.count(node, ticks);
        }
    }

    /// Closes the span that `open` began, without counting it: a poll. Returns its ticks, or `None` if it was closed
    /// already, with a span around it.
    #[inline]
    pub(crate) fn close(&self, node: &Node, start: u64) -> Option<u64> {
        self.close_at(node, start, self.now())
    }

    fn close_at(&self, node: &Node, start: u64, end: u64) -> Option<u64> {
        if self.was_switched() {
            self.before_close(node, start, end);
        }
        if !core::ptr::eq(self.current(), node) && !self.unwind_to(node, start, end) {
            return None;
        }
        node.open_since.store(0, Relaxed);
        self.set_current(self.node(node.parent.load(Relaxed)));
        Some(end.saturating_sub(start))
    }

    /// Counts a call of this length.
    fn count(&self, node: &Node, ticks: u64) {
        add(&node.count, 1);
        add(&node.total, ticks);
        self.count_length(node, ticks);
    }

    /// The part of `count` that a call and a future share: extremes and histogram. After `count` was raised.
    pub(crate) fn count_length(&self, node: &Node, ticks: u64) {
        node.min.store(node.min.load(Relaxed).min(ticks), Relaxed);
        node.max.store(node.max.load(Relaxed).max(ticks), Relaxed);
        match node.own_histogram.load(Relaxed) {
            0 => self.first_lengths(node, ticks),
            histogram => count_in_histogram(histogram, ticks),
        }
    }

    #[expect(clippy::match_same_arms, reason = "one arm for each reason")]
    /// Chooses what `open` and `close` look at.
    pub(super) fn set_switch_source(&self, source: SwitchSource) {
        let (head, seen) = match source {
            // SAFETY: the caller keeps the ring open until it sets another source.
            SwitchSource::Ring(head) => (head, unsafe { &*head }.load(Relaxed)),
            SwitchSource::ThreadClock => (core::ptr::from_ref(&ALWAYS_MOVED), 0),
            SwitchSource::Nothing if self.has_counter => (core::ptr::from_ref(&NEVER_MOVED), 0),
            // Without a counter the usual case never is: the other one reads the clock that there is.
            SwitchSource::Nothing => (core::ptr::from_ref(&ALWAYS_MOVED), 0),
        };
        self.switch_seen.store(seen, Relaxed);
        self.switch_head.store(head.cast_mut(), Relaxed);
    }

    /// The records up to here have been read.
    pub(super) fn set_switch_seen(&self, head: u64) {
        self.switch_seen.store(head, Relaxed);
    }

    /// Whether the thread has no ring.
    pub(super) fn uses_thread_clock(&self) -> bool {
        core::ptr::eq(self.switch_head.load(Relaxed), &raw const ALWAYS_MOVED)
    }

    /// A guard is dropped although spans inside of it are open: they end here, at the latest, and their own guards will find
    /// themselves closed. False if `node` itself was closed that way.
    #[cold]
    #[inline(never)]
    fn unwind_to(&self, node: &Node, start: u64, end: u64) -> bool {
        add(&self.session.arena.header().out_of_order, 1);
        if start == 0 || node.open_since.load(Relaxed) != start {
            return false;
        }
        // `depth` bounds the walk; in a forked child the nodes are zeros and there is nothing to walk.
        let mut inner = self.current();
        for _ in 0..=inner.depth.load(Relaxed) {
            if core::ptr::eq(inner, node) {
                return true;
            }
            let since = inner.open_since.load(Relaxed);
            if since != 0 {
                inner.open_since.store(0, Relaxed);
                self.count(inner, end.saturating_sub(since));
            }
            inner = self.node(inner.parent.load(Relaxed));
        }
        true
    }
}

/// Counts a length in the histogram at this address.
#[inline(always)]
pub(super) fn count_in_histogram(histogram: u64, ticks: u64) {
    count_in_bucket(histogram, histogram::bucket(ticks));
}

/// The same for a length whose bucket is known.
#[inline(always)]
fn count_in_bucket(histogram: u64, bucket: usize) {
    // SAFETY: the address is that of a histogram slot, which has `BUCKETS` counters; both callers see to it that `bucket` is
    // below that.
    let counter = unsafe { &*(histogram as *const AtomicU32).add(bucket) };
    // A branch that is never taken, rather than a choice of two values.
    let count = counter.load(Relaxed).wrapping_add(1);
    if count != 0 {
        counter.store(count, Relaxed);
    }
}

/// Adds to a counter that only the calling thread writes: a plain load and store, not an atomic addition.
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// The same for the bits of an `f64`.
#[inline(always)]
pub(crate) fn add_f64(counter: &AtomicU64, more: f64) {
    counter.store((f64::from_bits(counter.load(Relaxed)) + more).to_bits(), Relaxed);
}
