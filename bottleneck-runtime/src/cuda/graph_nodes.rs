//! The spans in which nodes of CUDA graphs were captured, or added: where a graph is launched, nobody knows any more what in it
//! was for what.
//!
//! CUPTI tells of nodes while they are made. A graph that is made ready to be launched has clones of its nodes, and records name
//! these. Any thread may note and ask, and none waits.

use core::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use crate::os::memory;

/// Nodes that are known at the same time, and places that are looked at for one.
const SLOTS: usize = 1 << 17;
const TRIES: usize = 8;
/// Spans whose kernels are counted, and places that are looked at for one.
const COUNTS: usize = 4096;
/// Clones give way only to clones: records name them for as long as their graph is launched.
const IS_CLONE: u32 = 1 << 31;

/// The spans of nodes.
#[derive(Debug)]
pub(crate) struct GraphNodes {
    /// Empty where there is no memory: then nothing is known.
    slots: &'static [Slot],
    counts: Box<[Count]>,
}

#[derive(Debug)]
struct Slot {
    /// CUPTI's number of the node; 0 for none.
    id: AtomicU64,
    /// The node of the tree: a span.
    span: AtomicU32,
    /// What was noted later has a higher one; with [`IS_CLONE`].
    order: AtomicU32,
}

/// How many kernels were captured in a span, clones left out.
#[derive(Debug, Default)]
struct Count {
    span: AtomicU32,
    kernels: AtomicU32,
    /// What of it is written down; of the thread that harvests.
    written: AtomicU32,
}

impl GraphNodes {
    pub(crate) fn new() -> Self {
        let slots = memory::pages(SLOTS * size_of::<Slot>()).map(|base| {
            // SAFETY: fresh zeros for good, page-aligned, of that many slots, which are atomics.
            unsafe { core::slice::from_raw_parts(base.cast::<Slot>(), SLOTS) }
        });
        let counts = (0..COUNTS).map(|_| Count::default()).collect();
        Self { slots: slots.unwrap_or_default(), counts }
    }

    /// A node was made in this span; 0 for none. What is known of it already stays: clones are told of twice.
    pub(crate) fn note(&self, id: u64, span: u32, is_kernel: bool) {
        if self.find(id).is_none() {
            self.put(id, span, 0);
            if is_kernel {
                self.count(span, 1);
            }
        }
    }

    /// A node is the clone of another one.
    pub(crate) fn note_clone(&self, id: u64, original: u64, is_kernel: bool) {
        // Of one that was made before recording began nothing is known: not that it was made where the clone was.
        let span = self.span_of(original).unwrap_or(0);
        if let Some(slot) = self.find(id) {
            let made_in = slot.span.load(Relaxed);
            slot.order.fetch_or(IS_CLONE, Relaxed);
            // Release: pairs with the Acquire in `span_of`.
            slot.span.store(span, Release);
            // It was told of as made.
            if is_kernel {
                self.count(made_in, u32::MAX);
            }
        } else {
            self.put(id, span, IS_CLONE);
        }
    }

    /// The span of a node; `None` where that is not known.
    pub(crate) fn span_of(&self, id: u64) -> Option<u32> {
        let slot = self.find(id)?;
        // Acquire: pairs with the Release where it is stored; the number is that of this span or of a later one.
        let span = slot.span.load(Acquire);
        (slot.id.load(Relaxed) == id && span != 0).then_some(span)
    }

    /// Kernels that were captured so far, by span, as far as that has changed since it was last asked. By one thread at a time.
    pub(crate) fn changed_counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.counts.iter().filter_map(|count| {
            // Acquire: pairs with the Release in `count`; the span is there.
            let kernels = count.kernels.load(Acquire);
            let is_new = count.written.swap(kernels, Relaxed) != kernels;
            is_new.then(|| (count.span.load(Relaxed), kernels))
        })
    }

    fn places(&self, id: u64) -> impl Iterator<Item = &Slot> {
        let first = usize::try_from(id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).unwrap_or(0);
        (0..TRIES).filter_map(move |step| self.slots.get((first + step) % SLOTS))
    }

    fn find(&self, id: u64) -> Option<&Slot> {
        self.places(id).find(|slot| id != 0 && slot.id.load(Acquire) == id)
    }

    fn put(&self, id: u64, span: u32, is_clone: u32) {
        let orders = self.places(id).map(|slot| slot.order.load(Relaxed) & !IS_CLONE);
        let newest = orders.max().unwrap_or(0);
        let Some(slot) = self.places(id).min_by_key(|slot| slot.order.load(Relaxed)) else {
            return;
        };
        slot.order.store(newest.wrapping_add(1) & !IS_CLONE | is_clone, Relaxed);
        // Nothing is known of it in between.
        slot.id.store(0, Relaxed);
        // Release: each pairs with an Acquire of the same in `find` and `span_of`.
        slot.span.store(span, Release);
        slot.id.store(id, Release);
    }

    /// Adds to the kernels of a span; `u32::MAX` takes one away.
    fn count(&self, span: u32, by: u32) {
        let first = span.wrapping_mul(0x9E37_79B9) as usize;
        let places = (0..TRIES).filter_map(|step| self.counts.get((first + step) % COUNTS));
        for count in places {
            // Free, or its own.
            let its = count.span.compare_exchange(0, span, Relaxed, Relaxed);
            if span != 0 && its.unwrap_or_else(|its| its ^ span) == 0 {
                // Release: pairs with the Acquire in `changed_counts`.
                count.kernels.fetch_add(by, Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_of_the_span_of_its_original() {
        let nodes = GraphNodes::new();
        nodes.note(1 << 32 | 5, 70, true);
        // Made ready to be launched, in another span: told of as made, and as cloned, in either order.
        nodes.note(2 << 32 | 5, 80, true);
        nodes.note_clone(2 << 32 | 5, 1 << 32 | 5, true);
        nodes.note_clone(3 << 32 | 5, 1 << 32 | 5, true);
        nodes.note(3 << 32 | 5, 80, true);
        assert_eq!([1, 2, 3].map(|graph| nodes.span_of(graph << 32 | 5)), [Some(70); 3]);
        let counts: Vec<_> = nodes.changed_counts().filter(|(_, kernels)| *kernels != 0).collect();
        assert_eq!(counts, [(70, 1)], "clones are nobody's");
        nodes.note(4 << 32, 70, true);
        nodes.note(5 << 32, 70, false);
        assert_eq!(nodes.changed_counts().collect::<Vec<_>>(), [(70, 2)]);
        assert_eq!(nodes.changed_counts().count(), 0);
    }

    #[test]
    fn the_clone_of_something_unknown_is_unknown() {
        let nodes = GraphNodes::new();
        nodes.note(2 << 32, 80, true);
        nodes.note_clone(2 << 32, 1 << 32, true);
        assert_eq!(
            (nodes.span_of(2 << 32), nodes.span_of(0), nodes.span_of(9)),
            (None, None, None)
        );
    }

    #[test]
    fn originals_give_way_before_clones() {
        let nodes = GraphNodes::new();
        nodes.note(1 << 32, 70, true);
        for id in 1..=1000 {
            nodes.note_clone(2 << 32 | id, 1 << 32, true);
        }
        // A graph that is captured anew for each token.
        for id in 1..=4 * SLOTS as u64 {
            nodes.note(3 << 32 | id, 7, true);
        }
        let known = (1..=1000).filter(|id| nodes.span_of(2 << 32 | id) == Some(70)).count();
        assert_eq!(known, 1000);
        let newest = 4 * SLOTS as u64;
        assert!((newest - 100..=newest).all(|id| nodes.span_of(3 << 32 | id) == Some(7)));
        assert_eq!(nodes.span_of(3 << 32 | 1), None);
    }
}
