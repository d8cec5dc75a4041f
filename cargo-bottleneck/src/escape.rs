//! Names as a terminal may show them: a name comes from the profiled program, and a terminal obeys what it reads.
//!
//! Control characters would move the cursor or change colors, bidirectional marks would show a name in another order than
//! it has, and characters without width would hide parts of it. All of them become visible escapes, as Rust writes them;
//! what belongs to a writing system stays, right-to-left scripts among it. Nothing here cuts a text.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// What a name is shown as that has nothing to be seen.
pub const NO_NAME: &str = "(no name)";

/// Set behind text of a right-to-left script: what follows, such as a number, keeps its place on the line.
pub const LEFT_TO_RIGHT: char = '\u{200E}';

/// Marks over one letter that are shown. No script needs more; a hundred of them paint over the lines around.
const MOST_MARKS: usize = 8;

/// `text` on one line, with nothing in it that a terminal would obey. `\n`, `\t` and the like are escaped as Rust does.
pub fn harmless(text: &str) -> String {
    keeping(text, |_| false)
}

/// The same for a message of several lines.
pub fn harmless_lines(text: &str) -> String {
    keeping(text, |c| matches!(c, '\n' | '\t'))
}

fn keeping(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut res = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if column_count(c) == 0 { marks + 1 } else { 0 };
        if !is_kept(c) && (is_obeyed(c) || MOST_MARKS < marks) {
            res.extend(c.escape_default());
        } else {
            res.push(c);
        }
    }
    res
}

/// A name on one line, harmless, without blanks around it; [`NO_NAME`] where nothing of it could be seen.
pub fn shown_name(name: &str) -> String {
    let shown = harmless(name.trim());
    if columns(&shown) == 0 { NO_NAME.to_owned() } else { shown }
}

/// JSON that may be shown in a terminal. What would be obeyed can only stand within its strings, and becomes `\uXXXX`
/// there: the text means the same.
pub fn harmless_json(json: &str) -> String {
    let mut res = String::with_capacity(json.len());
    for c in json.chars() {
        if is_obeyed(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(res, "\\u{unit:04x}");
            }
        } else {
            res.push(c);
        }
    }
    res
}

/// Whether a terminal or a picture acts on `c`, shows nothing for it, or reorders its neighbors; or XML cannot hold it. The
/// joiners U+200C and U+200D belong to writing systems, the selectors U+FE00 to U+FE0F to pictures: they stay.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{FFFE}' | '\u{FFFF}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a letter is of a script that is written from right to left.
pub fn is_right_to_left(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(c,
            '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
            | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
    })
}

/// Columns that a text takes in a terminal, after [`harmless`].
pub fn columns(text: &str) -> usize {
    text.chars().map(column_count).sum()
}

/// Columns of one character: 2 for those of East Asian scripts and for pictures, 0 for marks over others. Where terminals
/// differ, the larger count: a line may end early, but never wrap.
pub fn column_count(c: char) -> usize {
    match c {
        // Makes a picture, of two columns in some terminals, out of a sign of one.
        '\u{FE0F}' => 1,
        c => c.width().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        assert_eq!(harmless("a\x1b[31mb\r\n\t\u{7}\u{9b}"), "a\\u{1b}[31mb\\r\\n\\t\\u{7}\\u{9b}");
        assert_eq!(harmless("user\u{202e}txt.exe"), "user\\u{202e}txt.exe");
        assert_eq!(harmless("zero\u{200b}width\u{feff}"), "zero\\u{200b}width\\u{feff}");
        assert_eq!(harmless("Linear<[u8; 8]>::forward › 层"), "Linear<[u8; 8]>::forward › 层");
        assert_eq!(harmless_lines("a\n\tb\x1b"), "a\n\tb\\u{1b}");
    }

    #[test]
    fn writing_systems_stay_as_they_are() {
        for text in ["שלום", "مرحبا", "می\u{200c}خواهم", "क्षत्रिय", "e\u{301}", "ậ", "❤\u{fe0f}"]
        {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn a_pile_of_marks_is_spelled_out() {
        let pile = format!("a{}", "\u{301}".repeat(10));
        let shown = harmless(&pile);
        assert_eq!(shown, format!("a{}\\u{{301}}\\u{{301}}", "\u{301}".repeat(8)));
        assert_eq!(harmless(&shown), shown, "twice is as good as once");
    }

    #[test]
    fn a_name_has_something_to_be_seen() {
        for blank in ["", "   ", "\t\n", "\u{3000}\u{a0}", "\u{200d}\u{200c}"] {
            assert_eq!(shown_name(blank), NO_NAME, "{blank:?}");
        }
        assert_eq!(shown_name(" a b "), "a b");
        assert_eq!(shown_name("\0"), "\\u{0}");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"\u{9b}": "a\u{202e}b\u{7f}\u{e0041}\n\x1b层"});
        let text = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| is_obeyed(c) && c != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn columns_are_counted_as_shown() {
        assert_eq!(columns("abc"), 3);
        assert_eq!(columns("层 ▏█"), 5);
        assert_eq!(columns("e\u{301}"), 1);
        assert_eq!(columns("🚀🧠"), 4);
        assert_eq!(columns("שָׁלוֹם"), 4);
        assert_eq!(columns("ｶﾅ｡"), 3);
    }
}
