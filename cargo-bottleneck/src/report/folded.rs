//! Folded stacks, one per line: `outer;inner 123`, the time in ns. The form that flame graph tools read.
//!
//! Names are plain: no kinds, no annotations. What would break a line is replaced.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::model::Frame;
use crate::escape::shown_name;

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
    fn add(&mut self, frame: &Frame, parent: &str) {
        let name = plain(&frame.name);
        let stack = if parent.is_empty() { name } else { format!("{parent};{name}") };
        if frame.self_ns > 0 {
            let position = *self.positions.entry(stack.clone()).or_insert_with(|| {
                self.lines.push((stack.clone(), 0));
                self.lines.len() - 1
            });
            let ns = &mut self.lines[position].1;
            *ns = ns.saturating_add(frame.self_ns);
        }
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
