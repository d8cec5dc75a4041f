//! Text for the picture: names made harmless and visible, cut to the room there is, and numbers with units.
//!
//! A name comes from the profiled program and may hold anything. What [`clean`] returns is legal XML text once escaped,
//! is one line, and reads in the order in which it is written.

use crate::escape::{LEFT_TO_RIGHT, NO_NAME, columns, harmless, is_right_to_left};

/// Longest name that is written out, in characters. A longer one loses its middle, which keeps crate and function.
const NAME_CHARS: usize = 240;

/// Longest line of a note, in characters.
const NOTE_CHARS: usize = 400;

/// A name as it is shown: controls and invisible marks as Rust escapes, at most [`NAME_CHARS`] long.
pub(super) fn name(raw: &str) -> String {
    let mut name = clean(raw, NAME_CHARS);
    if columns(&name) == 0 {
        return NO_NAME.to_owned();
    }
    if is_right_to_left(&name) {
        name.push(LEFT_TO_RIGHT);
    }
    name
}

/// A line of running text, cleaned like a name.
pub(super) fn line(raw: &str) -> String {
    clean(raw, NOTE_CHARS)
}

/// Trims, shortens in the middle, and escapes what is illegal in XML, invisible, or reorders its neighbors.
fn clean(raw: &str, limit: usize) -> String {
    let raw = raw.trim();
    let n_chars = raw.chars().count();
    if n_chars <= limit {
        return harmless(raw);
    }
    // Three quarters of the room for the beginning.
    let (head, tail) = (limit * 3 / 4, limit - limit * 3 / 4 - 1);
    let (head, tail) = (raw.chars().take(head), raw.chars().skip(n_chars - tail));
    harmless(&head.chain(['…']).chain(tail).collect::<String>())
}

/// Columns that a character takes in a monospaced font. The script counts the same way.
pub(super) fn cells(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(cells).sum()
}

/// As much of `text` as fits into `room` columns, with an ellipsis where some is missing.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let mut res: String = text
        .chars()
        .take_while(|&c| {
            used += cells(c);
            used <= room
        })
        .collect();
    if room > 0 {
        res.push('…');
    }
    res
}

/// A label for a box of `room` columns: the name, and the tag if both fit. Where hardly a letter of the name would fit,
/// the tag alone says more. Returns the two parts.
pub(super) fn fit(name: &str, tag: &str, room: usize) -> (String, String) {
    let needed = width(name);
    if needed == 0 {
        return (String::new(), if tag.len() <= room { tag.to_owned() } else { String::new() });
    }
    if !tag.is_empty() && needed + 1 + tag.len() <= room {
        (name.to_owned(), format!(" {tag}"))
    } else if needed <= room {
        (name.to_owned(), String::new())
    } else if !tag.is_empty() && tag.len() <= room && room < 6 {
        (String::new(), tag.to_owned())
    } else if room >= 3 {
        (cut(name, room), String::new())
    } else {
        (String::new(), String::new())
    }
}

/// Breaks a text between words into lines of at most `room` columns, `n_lines` at most: the last one is cut.
pub(super) fn wrap(text: &str, room: usize, n_lines: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_last_line = lines.len() == n_lines;
        match lines.last_mut() {
            Some(last) if is_last_line || width(last) + 1 + width(word) <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| cut(&line, room)).collect()
}

/// A share with one digit after the point; what is there but rounds to nothing says so.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.05 { "<0.1%".to_owned() } else { format!("{percent:.1}%") }
}

/// A count with its digits in groups of three.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut res = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            res.push(',');
        }
        res.push(digit);
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_visible() {
        assert_eq!(name("a\u{1b}[31m\nb\0"), "a\\u{1b}[31m\\nb\\u{0}");
        assert_eq!(name("safe\u{202e}cilam"), "safe\\u{202e}cilam");
        assert_eq!(name("  \t "), "(no name)");
        assert_eq!(name("foo::<[u8; 8]> \u{e000}1"), "foo::<[u8; 8]> \u{e000}1");
        assert_eq!(name("שלום"), "שלום\u{200e}", "what follows keeps its place");
    }

    #[test]
    fn long_names_keep_both_ends() {
        let long = name(&format!("begin{}end", "x".repeat(10_000)));
        assert_eq!(long.chars().count(), NAME_CHARS);
        assert!(long.starts_with("begin") && long.contains('…') && long.ends_with("end"));
    }

    #[test]
    fn labels_use_the_room_they_have() {
        let fit = |room| {
            let (name, tag) = fit("forward", "MEM", room);
            format!("{name}{tag}")
        };
        assert_eq!(fit(40), "forward MEM");
        assert_eq!(fit(11), "forward MEM");
        assert_eq!(fit(10), "forward");
        assert_eq!(fit(6), "forwa…");
        assert_eq!(fit(5), "MEM");
        assert_eq!(fit(2), "");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("日本語です", 5), "日本…");
        assert_eq!(width("日本a"), 5);
    }

    #[test]
    fn lines_break_between_words_and_the_last_is_cut() {
        assert_eq!(wrap("one two three four", 9, 5), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo…"]);
    }

    #[test]
    fn numbers_carry_units() {
        assert_eq!([0.0, 0.0001, 0.419, 1.0].map(percent), ["0.0%", "<0.1%", "41.9%", "100.0%"]);
        assert_eq!([0, 999, 1_000, 12_345_678].map(count), ["0", "999", "1,000", "12,345,678"]);
    }
}
