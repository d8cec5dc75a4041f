//! Lines of at most [`WIDTH`] columns, made of styled pieces. Every text of a report passes through [`Line::add`], which
//! makes it harmless; nothing else writes to the page.

use std::fmt::Write as _;

use anstyle::Style;

use crate::escape::{LEFT_TO_RIGHT, column_count, columns, harmless, is_right_to_left};

/// Columns of the page.
pub(super) const WIDTH: usize = 80;

/// Lines of a text that is shown.
const MOST_LINES: usize = 12;

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(Style, String)>,
    columns: usize,
}

impl Line {
    /// Adds text, cut where the page ends.
    pub(super) fn add(&mut self, style: Style, text: &str) -> &mut Self {
        let text = cut(&harmless(text), WIDTH - self.columns);
        self.columns += columns(&text);
        self.pieces.push((style, text));
        self
    }

    /// Adds spaces up to a column.
    pub(super) fn pad_to(&mut self, column: usize) -> &mut Self {
        let gap = column.min(WIDTH).saturating_sub(self.columns);
        self.columns += gap;
        self.pieces.push((Style::new(), " ".repeat(gap)));
        self
    }

    /// Adds text so that it ends with the page.
    pub(super) fn add_right(&mut self, style: Style, text: &str) -> &mut Self {
        self.pad_to(WIDTH.saturating_sub(columns(&harmless(text)))).add(style, text)
    }

    /// Columns that are left.
    pub(super) fn room(&self) -> usize {
        WIDTH - self.columns
    }

    /// Writes the line without trailing space.
    pub(super) fn write(&self, color: bool, page: &mut String) {
        let filled = self
            .pieces
            .iter()
            .rposition(|(_, text)| !text.trim_end().is_empty())
            .map_or(0, |last| last + 1);
        for (at, (style, text)) in self.pieces[..filled].iter().enumerate() {
            let text = if at + 1 == filled { text.trim_end() } else { text };
            // Numbers behind a Hebrew name would else be drawn in front of it.
            let mark =
                if is_right_to_left(text) { LEFT_TO_RIGHT.to_string() } else { String::new() };
            if color && *style != Style::new() {
                // Writing to a string cannot fail.
                let _ = write!(page, "{style}{text}{mark}{style:#}");
            } else {
                page.push_str(text);
                page.push_str(&mark);
            }
        }
        page.push('\n');
    }
}

/// `text` in at most `room` columns; what is cut is marked.
pub(super) fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut res = String::new();
    let mut used = 0;
    for c in text.chars() {
        if used + column_count(c) + 1 > room {
            break;
        }
        used += column_count(c);
        res.push(c);
    }
    if room > 0 {
        res.push('…');
    }
    res
}

/// `text` in lines of at most `room` columns, broken between words, and within words that are longer than a line.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut res: Vec<String> = vec![String::new()];
    let mut used = 0;
    for word in harmless(text).split(' ').filter(|word| !word.is_empty()) {
        let needed = columns(word);
        if used > 0 && used + 1 + needed <= room {
            used += 1;
            if let Some(line) = res.last_mut() {
                line.push(' ');
            }
        } else if used > 0 {
            res.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            if used + column_count(c) > room && used > 0 {
                res.push(String::new());
                used = 0;
            }
            used += column_count(c);
            if let Some(line) = res.last_mut() {
                line.push(c);
            }
        }
    }
    // A name may have ten thousand letters.
    if MOST_LINES < res.len() {
        res.truncate(MOST_LINES);
        if let Some(last) = res.last_mut() {
            *last = format!("{}…", cut(last, room.saturating_sub(1)).trim_end_matches('…'));
        }
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_between_words_and_breaks_what_is_too_long() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("a abcdefgh b", 4), ["a", "abcd", "efgh", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_line_ends_with_the_page() {
        let mut line = Line::default();
        line.add(Style::new(), &"x".repeat(70))
            .add_right(Style::new(), "right")
            .add(Style::new(), "more");
        let mut page = String::new();
        line.write(false, &mut page);
        assert_eq!(columns(page.trim_end()), 80);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("层层层", 4), "层…");
    }
}
