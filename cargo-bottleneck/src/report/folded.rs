//! Folded stacks, one per line: `outer;inner 123`, the time in ns. The form that flame graph tools read.
//!
//! Names are plain: no kinds, no annotations. What would break a line is replaced. The functions inside a span, from samples,
//! are last frames below it; one that is inlined into others has the mark of flame graph tools for that, `_[i]`.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::model::Frame;
use crate::escape::shown_name;

/// How inferno and its kin know an inlined function: they hide the mark and may choose a color by it.
const INLINED: &str = "_[i]";

/// Writes every stack that has time of its own, outermost frame first, in the order of the tree. Equal stacks become one.
pub fn render(root_frames: &[Frame]) -> String {
    let mut stacks = Stacks::default();
    for root in root_frames {
        stacks.add(root, "");
    }
    let mut text = String::new();
    for (stack, ns) in stacks.lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{stack} {ns}");
    }
    text
}

#[derive(Default)]
struct Stacks {
    lines: Vec<(String, u64)>,
    positions: HashMap<String, usize>,
}

impl Stacks {
    fn add_line(&mut self, stack: String, ns: u64) {
        if ns == 0 {
            return;
        }
        let lines = &mut self.lines;
        let position = *self.positions.entry(stack).or_insert_with_key(|stack| {
            lines.push((stack.clone(), 0));
            lines.len() - 1
        });
        let sum = &mut lines[position].1;
        *sum = sum.saturating_add(ns);
    }

    fn add(&mut self, frame: &Frame, parent: &str) {
        let name = plain(&frame.name);
        let stack = if parent.is_empty() { name } else { format!("{parent};{name}") };
        let mut own_ns = frame.self_ns;
        for leaf in &frame.leaves {
            let ns = leaf.ns.min(own_ns);
            own_ns -= ns;
            let mark = if leaf.is_inlined { INLINED } else { "" };
            self.add_line(format!("{stack};{}{mark}", plain(&leaf.name)), ns);
        }
        self.add_line(stack.clone(), own_ns);
        for child in &frame.children {
            self.add(child, &stack);
        }
    }
}

/// A name that stays one frame of one line, and can be shown in a terminal. `;` separates frames, a number at the end would be read as a count, and `# `
/// at the beginning as a comment.
fn plain(name: &str) -> String {
    let mut res = shown_name(name).replace(';', ",");
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    if let Some((words, _)) = res.rsplit_once(' ').filter(|(_, last)| is_number(last)) {
        res.replace_range(words.len()..=words.len(), "_");
    }
    if res.starts_with("# ") {
        res.replace_range(1..2, "_");
    }
    res
}

#[cfg(test)]
mod tests {
    use inferno::flamegraph::{Options, from_lines};

    use super::*;
    use crate::kind::Kind;
    use crate::report::model::FrameLeaf;

    fn frame(name: &str, self_ns: u64, children: Vec<Frame>) -> Frame {
        let total_ns = self_ns + children.iter().map(|it| it.total_ns).sum::<u64>();
        Frame {
            name: name.to_owned(),
            span: None,
            site: None,
            total_ns,
            self_ns,
            kind: Kind::Compute,
            is_wait: false,
            calls: 1,
            notes: Vec::new(),
            leaves: Vec::new(),
            children,
        }
    }

    #[test]
    fn stacks_are_those_of_the_tree() {
        let serve = frame("serve", 5, vec![frame("child", 2, vec![]), frame("idle", 0, vec![])]);
        let inner = frame("serve::inner", 3, vec![]);
        let again = frame("serve", 1, vec![frame("child", 4, vec![])]);
        assert_eq!(render(&[serve, inner, again]), "serve 6\nserve;child 6\nserve::inner 3\n");
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn functions_inside_a_span_are_last_frames_and_the_rest_is_its_own() {
        let leaf = |name: &str, ns, is_inlined| FrameLeaf {
            name: name.to_owned(),
            site: None,
            ns,
            kind: None,
            is_inlined,
            notes: Vec::new(),
        };
        let mut span = frame("span", 10, vec![frame("child", 2, vec![])]);
        span.leaves =
            vec![leaf("gemm::<f32>", 6, false), leaf("dot", 3, true), leaf("none", 0, false)];
        let expected = "span;gemm::<f32> 6\nspan;dot_[i] 3\nspan 1\nspan;child 2\n";
        assert_eq!(render(std::slice::from_ref(&span)), expected);
        span.leaves.push(leaf("damaged", u64::MAX, false));
        assert!(render(&[span]).contains("span;damaged 1\nspan;child 2"));
    }

    #[test]
    fn hostile_names_stay_one_frame_of_one_line() {
        for (name, expected) in [
            ("foo::<[u8; 8]>", "foo::<[u8, 8]>"),
            ("layer 12", "layer_12"),
            ("a 1 2.5", "a 1_2.5"),
            ("7", "7"),
            ("# note", "#_note"),
            ("two\nlines\t\0", "two\\nlines\\t\\u{0}"),
            ("", "(no name)"),
            ("  ", "(no name)"),
            ("matmul_[k]", "matmul_[k]"),
        ] {
            let text = render(&[frame(name, 9, vec![])]);
            assert_eq!(text, format!("{expected} 9\n"));
            let mut svg = Vec::new();
            from_lines(&mut Options::default(), text.lines(), &mut svg).unwrap();
            let svg = String::from_utf8(svg).unwrap();
            assert_eq!(svg.matches("<title>").count(), 2, "{name}: everything and one frame");
        }
    }
}
