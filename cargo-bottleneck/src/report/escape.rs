//! Names as a terminal may show them: a name comes from the profiled program, and a terminal obeys what it reads.
//!
//! Control characters would move the cursor or change colors, bidirectional marks would show a name in another order than
//! it has, and characters without width would hide parts of it. All of them become visible escapes.

/// `text` on one line, with nothing in it that a terminal would obey. `\n`, `\t` and the like are escaped as Rust does.
pub fn harmless(text: &str) -> String {
    let mut res = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            res.extend(c.escape_default());
        } else {
            res.push(c);
        }
    }
    res
}

/// Whether a terminal or a picture acts on `c`, shows nothing for it, or reorders its neighbors; or XML cannot hold it. The
/// joiners U+200C and U+200D belong to writing systems: they stay.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{FFFE}' | '\u{FFFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Columns that a text takes in a terminal, after [`harmless`].
pub fn columns(text: &str) -> usize {
    text.chars().map(column_count).sum()
}

/// Columns of one character: 2 for those of East Asian scripts and for pictures, 0 for marks over others.
pub fn column_count(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200C..=0x200D | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => {
            0
        }
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xA960..=0xA97F
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
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
    }

    #[test]
    fn columns_are_counted_as_shown() {
        assert_eq!(columns("abc"), 3);
        assert_eq!(columns("层 ▏█"), 5);
        assert_eq!(columns("e\u{301}"), 1);
    }
}
