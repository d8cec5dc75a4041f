//! The cold half of opening a span: another child than last time, a new path, recursion, a histogram.
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets within the mapping fit a reference, and a hash may be cut to choose a place"
)]

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::recorder::{Recorder, Slab, add, count_in_histogram, no_node};
use super::session::SEEN_KEYS;
use super::thread;
use crate::format::{ChunkKind, GRANULE, HISTOGRAM_BYTES, MAX_NODES, NODE_BYTES, Node};
use crate::key::Key;
use crate::site::{Owner, Site};

/// A site that is this often on a path is folded into its innermost node there.
const MAX_RECURSION: u32 = 8;
/// Deeper spans are folded too.
const MAX_DEPTH: u32 = 64;
/// Children of one node: a `key` is a small class of call, and finding a child takes a walk along its siblings.
const MAX_CHILDREN: usize = 1024;
/// Slots of a thread's first slab; each further one is twice as long, up to `MAX_SLAB`.
const FIRST_SLAB: u32 = 4;
const MAX_SLAB: u32 = 64;

impl Recorder {
    /// The child of `parent` for this site and key, made if there is none. `None`: folded or refused, and counted.
    #[cold]
    #[inline(never)]
    pub(super) fn find(
        &self,
        parent: &Node,
        site: &'static Site,
        owner: Owner,
        key: u64,
    ) -> Option<&Node> {
        if site.index() == 0 {
            self.register(site, owner);
        }
        let site = site.index();
        if site == 0 {
            // The thread is inside the recorder already: a signal handler, or an allocator that is annotated.
            self.session.arena.header().lost.fetch_add(1, Relaxed);
            return None;
        }
        let mut siblings = 0;
        if let Some(child) = self.known_child(parent, site, key, &mut siblings) {
            return Some(child);
        }
        if let Some(around) = self.fold(parent, site, key) {
            add(&around.folded, 1);
            return None;
        }
        let child = if siblings < MAX_CHILDREN { self.new_node(parent, site, key) } else { None };
        if child.is_none() {
            // Several threads may come here: an atomic addition.
            self.session.arena.header().refused.fetch_add(1, Relaxed);
        }
        child
    }

    /// Siblings are in the order of their first entry. Programs tend to repeat that order, so the search begins behind the
    /// child that was entered last.
    fn known_child(
        &self,
        parent: &Node,
        site: u32,
        key: u64,
        siblings: &mut usize,
    ) -> Option<&Node> {
        let recent = parent.own_recent_child.load(Relaxed);
        // SAFETY: a node of this tree, or zeros that have no sibling.
        let behind = unsafe { &*(recent as *const Node) }.next_sibling.load(Relaxed);
        let found = self.search(behind, 0, site, key, siblings).or_else(|| {
            self.search(parent.first_child.load(Relaxed), recent, site, key, siblings)
        })?;
        parent.own_recent_child.store(address(found), Relaxed);
        Some(found)
    }

    /// From `from` up to the end, or up to and with the node at the address `last`.
    fn search(
        &self,
        from: u32,
        last: u64,
        site: u32,
        key: u64,
        siblings: &mut usize,
    ) -> Option<&Node> {
        let mut at = from;
        while at != 0 {
            let node = self.node(at);
            *siblings += 1;
            if node.site.load(Relaxed) == site && node.key.load(Relaxed) == key {
                return Some(node);
            }
            if address(node) == last {
                return None;
            }
            at = node.next_sibling.load(Relaxed);
        }
        None
    }

    /// The open node that stands for this call, if the path is too deep or recursive for a node of its own.
    fn fold(&self, parent: &Node, site: u32, key: u64) -> Option<&Node> {
        let depth = parent.depth.load(Relaxed);
        let mut innermost = None;
        let mut times = 0;
        let mut at = core::ptr::from_ref(parent);
        for _ in 0..depth {
            // SAFETY: `parent`, or a node behind a parent's reference.
            let node = unsafe { &*at };
            if node.site.load(Relaxed) == site && node.key.load(Relaxed) == key {
                innermost = innermost.or(Some(node));
                times += 1;
            }
            at = self.node(node.parent.load(Relaxed));
        }
        if times >= MAX_RECURSION {
            return innermost;
        }
        // Too deep without recursion: the call is counted where it was made from.
        // SAFETY: as above.
        (depth >= MAX_DEPTH).then(|| innermost.unwrap_or(unsafe { &*core::ptr::from_ref(parent) }))
    }

    fn new_node(&self, parent: &Node, site: u32, key: u64) -> Option<&Node> {
        if self.session.nodes.fetch_add(1, Relaxed) >= MAX_NODES {
            return None;
        }
        let reference = self.slot(&self.node_slab, NODE_BYTES, ChunkKind::Nodes)?;
        let node = self.node(reference);
        node.site.store(site, Relaxed);
        node.key.store(key, Relaxed);
        node.parent.store(self.reference(parent), Relaxed);
        node.depth.store(parent.depth.load(Relaxed) + 1, Relaxed);
        node.min.store(u64::MAX, Relaxed);
        node.own_recorder.store(core::ptr::from_ref(self) as u64, Relaxed);
        node.own_parent.store(address(parent), Relaxed);
        node.own_recent_child.store(no_node(), Relaxed);
        // Release: pairs with the reader, which may follow the link while the program runs; publishes the fields above.
        if parent.first_child.load(Relaxed) == 0 {
            parent.first_child.store(reference, Release);
        } else {
            // SAFETY: a parent with children has entered one of them.
            let before = unsafe { &*(parent.own_recent_child.load(Relaxed) as *const Node) };
            node.next_sibling.store(before.next_sibling.load(Relaxed), Relaxed);
            before.next_sibling.store(reference, Release);
        }
        parent.own_recent_child.store(address(node), Relaxed);
        Some(node)
    }

    /// The next free slot of a slab, which is renewed when it is empty.
    pub(super) fn slot(&self, slab: &Slab, bytes: usize, kind: ChunkKind) -> Option<u32> {
        if slab.left.load(Relaxed) == 0 {
            let slots = (slab.slots.load(Relaxed) * 2).clamp(FIRST_SLAB, MAX_SLAB);
            let chunk = thread::undisturbed(|| self.session.arena.chunk(slots as usize * bytes))??;
            slab.next.store(chunk.reference, Relaxed);
            slab.left.store(slots, Relaxed);
            slab.slots.store(slots, Relaxed);
            chunk.publish(kind, 0);
        }
        let reference = slab.next.load(Relaxed);
        slab.next.store(reference + (bytes / GRANULE) as u32, Relaxed);
        slab.left.store(slab.left.load(Relaxed) - 1, Relaxed);
        Some(reference)
    }

    /// The second call of a path: it gets a histogram, with the first call in it. Without space it goes without one.
    #[cold]
    #[inline(never)]
    pub(super) fn first_lengths(&self, node: &Node, ticks: u64) {
        // `count` was raised before; the first call is in `min` and `max` alone.
        if node.count.load(Relaxed) < 2 {
            return;
        }
        if let Some(reference) =
            self.slot(&self.histogram_slab, HISTOGRAM_BYTES, ChunkKind::Histograms)
        {
            // The first call: the extreme that this call did not set.
            let (min, max) = (node.min.load(Relaxed), node.max.load(Relaxed));
            let first = if ticks == min { max } else { min };
            let histogram = address(self.node(reference));
            count_in_histogram(histogram, first);
            count_in_histogram(histogram, ticks);
            node.own_histogram.store(histogram, Relaxed);
            node.histogram.store(reference, Release);
        }
    }

    /// Sees to it that the text of a key is in the profile.
    #[inline]
    pub(crate) fn see_key(&self, key: &Key<'_>) {
        let hash = key.hash();
        let seen = &self.session.seen_keys[hash as usize % SEEN_KEYS];
        if seen.load(Relaxed) != hash {
            self.see_key_for_the_first_time(key);
            seen.store(hash, Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    fn see_key_for_the_first_time(&self, key: &Key<'_>) {
        thread::undisturbed(|| key.with_text(|text| self.session.write_key(key.hash(), text)));
    }

    /// Enters a site into the profile.
    fn register(&self, site: &'static Site, owner: Owner) {
        thread::undisturbed(|| {
            if site.register(owner) {
                self.session.write_site(site);
            }
        });
    }

    /// The reference of a node of this session.
    pub(super) fn reference(&self, node: &Node) -> u32 {
        let offset = core::ptr::from_ref(node) as usize - self.session.arena.base() as usize;
        (offset / GRANULE) as u32
    }
}

/// What the `own_` fields of a node hold.
fn address(node: &Node) -> u64 {
    core::ptr::from_ref(node) as u64
}
