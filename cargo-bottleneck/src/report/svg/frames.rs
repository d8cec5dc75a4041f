//! From the chosen boxes to what inferno lays out (stacks of keys) and to what is written on each box afterwards.
//!
//! inferno merges and colors frames by name, splits stacks at `;` and reads numbers at the end of a line. So it never
//! sees a name: each box has a key of its own, and the texts are put in by [`super::annotate`].

use std::fmt::Write as _;

use super::fold::{Leaf, Node, Piece, What};
use super::{label, palette};
use crate::kind::Kind;
use crate::number;
use crate::report::model::Frame;

/// Most lines of notes in a tooltip.
const MAX_NOTES: usize = 14;

/// What is known about a box.
#[derive(Debug)]
pub(super) struct Drawn {
    /// 0 for the box of everything.
    pub(super) depth: usize,
    /// Width in ns.
    pub(super) ns: u64,
    /// The parts that no other box covers, from left to right.
    pub(super) own: Vec<Piece>,
    /// Boxes of other spans, or of waits, hang below it.
    pub(super) is_container: bool,
    /// It is a function within the own time of the box above, of this kind.
    pub(super) leaf: Option<Kind>,
    /// The label, complete.
    pub(super) name: String,
    /// [`palette::tag`] of its own time; empty where there is none, or of several kinds.
    pub(super) tag: &'static str,
    /// The tooltip; its first line is the name.
    pub(super) title: String,
    /// What a screen reader says.
    pub(super) spoken: String,
}

/// Everything about the boxes of one graph.
#[derive(Debug)]
pub(super) struct Layout {
    /// What its keys begin with: there may be two graphs in one picture.
    prefix: char,
    /// Boxes, each before those below it. The key of one is [`Layout::key`] of its position.
    pub(super) boxes: Vec<Drawn>,
    /// Folded stacks of keys, for a top-down reading from left to right: own time after that of the children.
    pub(super) stacks: Vec<String>,
}

/// Flattens the tree of boxes.
pub(super) fn lay_out(root: &Node<'_>, prefix: char) -> Layout {
    let mut layout = Layout { prefix, boxes: Vec::new(), stacks: Vec::new() };
    layout.add(root, 0, "", root.ns);
    layout
}

impl Layout {
    /// The name under which inferno knows a box. The box of everything has none there.
    pub(super) fn key(&self, position: usize) -> String {
        format!("{}{position}", self.prefix)
    }

    fn add(&mut self, node: &Node<'_>, depth: usize, parent_stack: &str, all_ns: u64) {
        let stack = match (&node.what, parent_stack) {
            (What::All, _) => String::new(),
            (_, "") => self.key(self.boxes.len()),
            (_, parent) => format!("{parent};{}", self.key(self.boxes.len())),
        };
        self.boxes.push(describe(node, depth, all_ns));
        for child in &node.children {
            self.add(child, depth + 1, &stack, all_ns);
        }
        let mut own_ns: u64 = node.own.iter().map(|piece| piece.ns).sum();
        for leaf in &node.leaves {
            let name = self.key(self.boxes.len());
            self.boxes.push(describe_leaf(leaf, depth + 1, all_ns));
            self.stacks.push(format!("{stack};{name} {}", leaf.ns));
            own_ns = own_ns.saturating_sub(leaf.ns);
        }
        if own_ns > 0 {
            self.stacks.push(format!("{stack} {own_ns}"));
        }
    }
}

fn describe(node: &Node<'_>, depth: usize, all_ns: u64) -> Drawn {
    let share = node.ns as f64 / all_ns as f64;
    let (name, title, spoken) = match node.what {
        What::All => all_text(all_ns),
        What::Frame(frame) => frame_text(frame, share),
        What::Folded { n_frames } => folded_text(n_frames, node, share),
    };
    let tag = match (&node.what, node.own.as_slice()) {
        (What::Frame(frame), [_]) => palette::tag(frame.kind),
        _ => "",
    };
    Drawn {
        depth,
        ns: node.ns,
        own: node.own.clone(),
        is_container: !node.children.is_empty(),
        leaf: None,
        name,
        tag,
        title,
        spoken,
    }
}

fn describe_leaf(it: &Leaf<'_>, depth: usize, all_ns: u64) -> Drawn {
    let name = label::name(&it.function.name);
    let total = number::time(it.ns);
    let percent = label::percent(it.ns as f64 / all_ns as f64);
    let mut title = format!("{name}\n{total} ({percent}), a function inside the span above");
    let notes = it.function.site.iter().chain(&it.function.notes).flat_map(|note| note.lines());
    for line in notes.map(label::line).filter(|line| !line.is_empty()).take(MAX_NOTES) {
        title.push('\n');
        title.push_str(&line);
    }
    let spoken = format!("{name}, {percent}, {total}: a function inside the span above");
    Drawn {
        depth,
        ns: it.ns,
        own: Vec::new(),
        is_container: false,
        leaf: Some(it.kind),
        name,
        tag: "",
        title,
        spoken,
    }
}

fn all_text(ns: u64) -> (String, String, String) {
    let total = number::time(ns);
    let title = format!("all\n{total} total (100.0%)");
    ("all".to_owned(), title, format!("all, {total}"))
}

fn frame_text(frame: &Frame, share: f64) -> (String, String, String) {
    let name = label::name(&frame.name);
    let total = number::time(frame.total_ns);
    let percent = label::percent(share);
    let own = own_text(frame);
    let mut title = format!("{name}\n{total} total ({percent}){own}");
    let calls = match frame.calls {
        0 => None,
        1 => Some("1 call".to_owned()),
        n => Some(format!("{} calls", label::count(n))),
    };
    let facts: Vec<String> =
        calls.into_iter().chain(frame.site.as_deref().map(label::line)).collect();
    let notes = frame.notes.iter().flat_map(|note| note.lines()).map(label::line);
    let facts = (!facts.is_empty()).then(|| facts.join(", "));
    for line in facts.into_iter().chain(notes.filter(|note| !note.is_empty()).take(MAX_NOTES)) {
        title.push('\n');
        title.push_str(&line);
    }
    let spoken = format!("{name}, {percent}, {total} total{own}");
    (name, title, spoken)
}

/// The part on its own time, of a line that begins with the total.
fn own_text(frame: &Frame) -> String {
    if frame.self_ns == 0 {
        return String::new();
    }
    let own = number::time(frame.self_ns);
    let kind = match frame.kind {
        Kind::Other => "other, not classified".to_owned(),
        // The tag of this kind is its word.
        Kind::Io => Kind::Io.word().to_owned(),
        kind => format!("{} {}", kind.word(), kind.tag()),
    };
    let waiting = if frame.is_wait { ", waiting" } else { "" };
    format!(", {own} self: {kind}{waiting}")
}

fn folded_text(n_frames: u64, node: &Node<'_>, share: f64) -> (String, String, String) {
    let name = format!("({} smaller)", label::count(n_frames));
    let percent = label::percent(share);
    let mut kinds = String::new();
    for piece in &node.own {
        let separator = if kinds.is_empty() { "" } else { ", " };
        let waiting = if piece.is_wait { " waiting" } else { "" };
        let part = label::percent(piece.ns as f64 / node.ns as f64);
        let _ = write!(kinds, "{separator}{}{waiting} {part}", piece.kind.word());
    }
    let total = number::time(node.ns);
    let title = format!(
        "{name}\n{total} total ({percent}): {kinds}\nFrames too narrow to draw. The summary lists them all."
    );
    let spoken = format!("{name}, {percent}, {total} total: {kinds}");
    (name, title, spoken)
}
