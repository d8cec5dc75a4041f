//! Decides which boxes are drawn: a browser stays quick up to about 3000, and a box needs a pixel to be seen.
//!
//! Frames too narrow for a box share one box per parent, "(n smaller)", which is divided by kind. So no time is lost and
//! the colored area stays that of the kinds.

use crate::kind::Kind;
use crate::report::model::{Frame, FrameLeaf};

/// Most boxes in a picture.
pub(super) const MAX_BOXES: usize = 3000;

/// Frames below this share of the whole width are folded: half a pixel on a usual screen. Grows where there are still
/// more than [`MAX_BOXES`].
const MIN_SHARE: f64 = 0.0005;

/// Leaves below this share of the whole width are not drawn, which leaves them a part of the box above: a label needs more.
const MIN_LEAF_SHARE: f64 = 0.002;

/// Frames below this depth are folded into their ancestor at it.
const MAX_DEPTH: usize = 200;

/// Bits of a width: browsers compute with doubles.
const WIDTH_BITS: u32 = 53;

/// A box to draw.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) what: What<'a>,
    /// Width in ns; the parts of `own` and the widths of `children` sum to it. More than zero, except for an empty root.
    pub(super) ns: u64,
    /// The parts that no child covers, from left to right.
    pub(super) own: Vec<Piece>,
    /// The functions inside `own`, from its left; together no wider than it.
    pub(super) leaves: Vec<Leaf<'a>>,
    pub(super) children: Vec<Node<'a>>,
}

/// A function inside the own time of a box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'a> {
    pub(super) function: &'a FrameLeaf,
    pub(super) kind: Kind,
    pub(super) ns: u64,
}

/// What a box stands for.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// Everything.
    All,
    /// One frame.
    Frame(&'a Frame),
    /// So many frames that are too narrow, or too deep.
    Folded { n_frames: u64 },
}

/// A stretch of time of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) is_wait: bool,
    pub(super) ns: u64,
}

/// Chooses the boxes for these frames. Frames without any time get none.
pub(super) fn fold(roots: &[Frame]) -> Node<'_> {
    let total: u128 = roots.iter().map(sum).sum();
    // Only a damaged profile holds more than 2^53 ns, which are 104 days: its widths are scaled down.
    let shift = (u128::BITS - total.leading_zeros()).saturating_sub(WIDTH_BITS);
    let measured: Vec<Measured<'_>> = roots.iter().map(|root| measure(root, shift)).collect();
    let ns = measured.iter().map(|it| it.ns).sum();

    let mut least = Least { box_ns: ns as f64 * MIN_SHARE, leaf_ns: ns as f64 * MIN_LEAF_SHARE };
    while count(&measured, least, 1) >= MAX_BOXES {
        least = Least { box_ns: least.box_ns * 2.0, leaf_ns: least.leaf_ns * 2.0 };
    }
    Node {
        what: What::All,
        ns,
        own: Vec::new(),
        leaves: Vec::new(),
        children: choose(&measured, least, 1),
    }
}

/// The narrowest that get a box of their own.
#[derive(Clone, Copy)]
struct Least {
    box_ns: f64,
    leaf_ns: f64,
}

/// A frame with the width of its whole subtree.
struct Measured<'a> {
    frame: &'a Frame,
    own_ns: u64,
    ns: u64,
    leaves: Vec<Leaf<'a>>,
    children: Vec<Measured<'a>>,
}

/// Widths are summed from below, so that they add up whatever the totals say.
fn sum(frame: &Frame) -> u128 {
    u128::from(frame.self_ns) + frame.children.iter().map(sum).sum::<u128>()
}

fn measure(frame: &Frame, shift: u32) -> Measured<'_> {
    let children: Vec<_> = frame.children.iter().map(|child| measure(child, shift)).collect();
    let own_ns = frame.self_ns.checked_shr(shift).unwrap_or(0);
    let ns = own_ns + children.iter().map(|it| it.ns).sum::<u64>();
    Measured { frame, own_ns, ns, leaves: leaves(frame, own_ns, shift), children }
}

/// The leaves of a frame, as far as its own width reaches.
fn leaves(frame: &Frame, own_ns: u64, shift: u32) -> Vec<Leaf<'_>> {
    let mut left_ns = own_ns;
    let leaf = |leaf: &'_ FrameLeaf| {
        let ns = leaf.ns.checked_shr(shift).unwrap_or(0).min(left_ns);
        left_ns -= ns;
        ns
    };
    let widths: Vec<u64> = frame.leaves.iter().map(leaf).collect();
    let leaves = frame.leaves.iter().zip(widths);
    leaves
        .map(|(leaf, ns)| Leaf { function: leaf, kind: leaf.kind.unwrap_or(frame.kind), ns })
        .collect()
}

/// The leaves of a box that are drawn.
fn drawn_leaves<'a, 'b>(
    it: &'b Measured<'a>,
    least: Least,
    depth: usize,
) -> impl Iterator<Item = &'b Leaf<'a>> {
    let is_wide = move |leaf: &&Leaf<'_>| leaf.ns > 0 && leaf.ns as f64 >= least.leaf_ns;
    it.leaves.iter().filter(is_wide).take(if depth < MAX_DEPTH { usize::MAX } else { 0 })
}

/// Whether this child of a box at depth `depth - 1` gets a box of its own.
fn is_drawn(it: &Measured<'_>, least: Least, depth: usize) -> bool {
    it.ns > 0 && it.ns as f64 >= least.box_ns && depth <= MAX_DEPTH
}

/// Whether this frame is drawn nevertheless, being the only one that would be folded.
fn is_alone(folded: &[&Measured<'_>]) -> bool {
    matches!(folded, [only] if only.children.iter().all(|child| child.ns == 0))
}

fn folded<'a, 'b>(
    siblings: &'b [Measured<'a>],
    least: Least,
    depth: usize,
) -> Vec<&'b Measured<'a>> {
    siblings.iter().filter(|it| it.ns > 0 && !is_drawn(it, least, depth)).collect()
}

/// Number of boxes that `choose` returns, all depths together.
fn count(siblings: &[Measured<'_>], least: Least, depth: usize) -> usize {
    let drawn = siblings.iter().filter(|it| is_drawn(it, least, depth));
    let below: usize = drawn
        .map(|it| {
            1 + drawn_leaves(it, least, depth).count() + count(&it.children, least, depth + 1)
        })
        .sum();
    below + usize::from(!folded(siblings, least, depth).is_empty())
}

fn choose<'a>(siblings: &[Measured<'a>], least: Least, depth: usize) -> Vec<Node<'a>> {
    let folded = folded(siblings, least, depth);
    let alone = is_alone(&folded);
    let mut nodes: Vec<Node<'a>> = siblings
        .iter()
        .filter(|it| is_drawn(it, least, depth) || (alone && it.ns > 0))
        .map(|it| Node {
            what: What::Frame(it.frame),
            ns: it.ns,
            own: pieces(&[it], Depth::OwnOnly),
            leaves: drawn_leaves(it, least, depth).copied().collect(),
            children: choose(&it.children, least, depth + 1),
        })
        .collect();
    if !folded.is_empty() && !alone {
        nodes.push(Node {
            what: What::Folded { n_frames: folded.iter().map(|it| n_frames(it)).sum() },
            ns: folded.iter().map(|it| it.ns).sum(),
            own: pieces(&folded, Depth::WithChildren),
            leaves: Vec::new(),
            children: Vec::new(),
        });
    }
    nodes
}

fn n_frames(it: &Measured<'_>) -> u64 {
    u64::from(it.ns > 0) + it.children.iter().map(n_frames).sum::<u64>()
}

#[derive(Clone, Copy)]
enum Depth {
    OwnOnly,
    WithChildren,
}

/// The time of these frames by kind, running before waiting; parts without time are left out.
fn pieces(frames: &[&Measured<'_>], depth: Depth) -> Vec<Piece> {
    let mut sums = [[0; 2]; Kind::ALL.len()];
    let mut open: Vec<&Measured<'_>> = frames.to_vec();
    while let Some(it) = open.pop() {
        sums[it.frame.kind.index()][usize::from(it.frame.is_wait)] += it.own_ns;
        match depth {
            Depth::OwnOnly => {}
            Depth::WithChildren => open.extend(&it.children),
        }
    }
    let all = Kind::ALL.iter().flat_map(|&kind| {
        [false, true].map(|is_wait| Piece {
            kind,
            is_wait,
            ns: sums[kind.index()][usize::from(is_wait)],
        })
    });
    all.filter(|piece| piece.ns > 0).collect()
}
