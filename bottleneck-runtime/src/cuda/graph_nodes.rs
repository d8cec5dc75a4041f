//! The spans in which nodes of CUDA graphs were captured, or added: where a graph is launched, nobody knows any more what in it
//! was for what.
//!
//! CUPTI tells of nodes while they are made. A graph that is made ready to be launched has clones of its nodes, and records name
//! these. Any thread may note and ask, and none waits.

use core::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

/// Nodes that are known at the same time, and places that are looked at for one. The oldest of those gives way.
const SLOTS: usize = 1 << 14;
const TRIES: usize = 8;

/// The spans of nodes.
#[derive(Debug)]
pub(crate) struct GraphNodes(Box<[Slot]>);

#[derive(Debug, Default)]
struct Slot {
    /// CUPTI's number of the node; 0 for none.
    id: AtomicU64,
    /// The node of the tree: a span.
    span: AtomicU32,
    /// What was noted later has a higher one.
    order: AtomicU32,
}

impl GraphNodes {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| Slot::default()).collect())
    }

    /// A node was made in this span; 0 for none. What is known of it already stays: clones are told of twice.
    pub(crate) fn note(&self, id: u64, span: u32) {
        if self.find(id).is_none() {
            self.put(id, span);
        }
    }

    /// A node is the clone of another one.
    pub(crate) fn note_clone(&self, id: u64, original: u64) {
        // Of one that was made before recording began nothing is known: not that it was made where the clone was.
        let span = self.span_of(original).unwrap_or(0);
        match self.find(id) {
            // Release: pairs with the Acquire in `span_of`.
            Some(slot) => slot.span.store(span, Release),
            None => self.put(id, span),
        }
    }

    /// The span of a node; `None` where that is not known.
    pub(crate) fn span_of(&self, id: u64) -> Option<u32> {
        let slot = self.find(id)?;
        // Acquire: pairs with the Release where it is stored; the number is that of this span or of a later one.
        let span = slot.span.load(Acquire);
        (slot.id.load(Relaxed) == id && span != 0).then_some(span)
    }

    fn places(&self, id: u64) -> impl Iterator<Item = &Slot> {
        // Numbers follow each other, in two halves.
        let first = (id ^ (id >> 32).wrapping_mul(0x9E37_79B9)) % SLOTS as u64;
        let first = usize::try_from(first).unwrap_or(0);
        (0..TRIES).filter_map(move |step| self.0.get((first + step) % SLOTS))
    }

    fn find(&self, id: u64) -> Option<&Slot> {
        self.places(id).find(|slot| id != 0 && slot.id.load(Acquire) == id)
    }

    fn put(&self, id: u64, span: u32) {
        let orders = || self.places(id).map(|slot| slot.order.load(Relaxed));
        let newest = orders().max().unwrap_or(0);
        let Some(slot) = self.places(id).min_by_key(|slot| slot.order.load(Relaxed)) else {
            return;
        };
        slot.order.store(newest.wrapping_add(1), Relaxed);
        // Nothing is known of it in between.
        slot.id.store(0, Relaxed);
        // Release: each pairs with an Acquire of the same in `find` and `span_of`.
        slot.span.store(span, Release);
        slot.id.store(id, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_of_the_span_of_its_original() {
        let nodes = GraphNodes::new();
        nodes.note(1 << 32 | 5, 70);
        // Made ready to be launched, in another span: told of as made, and as cloned, in either order.
        nodes.note(2 << 32 | 5, 80);
        nodes.note_clone(2 << 32 | 5, 1 << 32 | 5);
        nodes.note_clone(3 << 32 | 5, 1 << 32 | 5);
        nodes.note(3 << 32 | 5, 80);
        assert_eq!([1, 2, 3].map(|graph| nodes.span_of(graph << 32 | 5)), [Some(70); 3]);
    }

    #[test]
    fn the_clone_of_something_unknown_is_unknown() {
        let nodes = GraphNodes::new();
        nodes.note(2 << 32, 80);
        nodes.note_clone(2 << 32, 1 << 32);
        assert_eq!(
            (nodes.span_of(2 << 32), nodes.span_of(0), nodes.span_of(9)),
            (None, None, None)
        );
    }

    #[test]
    fn the_oldest_gives_way() {
        let nodes = GraphNodes::new();
        for id in 1..=4 * SLOTS as u64 {
            nodes.note(id, 7);
        }
        let most = 4 * SLOTS as u64;
        assert!((most - 100..=most).all(|id| nodes.span_of(id) == Some(7)));
        assert_eq!(nodes.span_of(1), None);
    }
}
