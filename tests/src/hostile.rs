//! Names as a program could have them to harm whoever reads its report. Attributes take literals only, so the list is handed
//! to a macro.

/// Calls the macro of this name with `function => "name",` for each hostile name.
#[macro_export]
macro_rules! with_hostile_names {
    ($use:ident) => {
        $use! {
            quotes => "\"double\" 'single' `back`",
            elements => "</text></title></g><script>window.pwned=1</script><g>",
            attributes => "\" onload=\"window.pwned=1\" x=\"",
            section => "]]><script>window.pwned=1</script><![CDATA[",
            comment => "-- --> <!--",
            entities => "a&b &lt; &#10; &bogus;",
            separators => "a;b;;c",
            count => "layer 12 7",
            line_feeds => "one\ntwo\r\nthree\tfour\u{2028}five",
            colors => "\u{1b}[31mred\u{1b}[8mhidden",
            title => "\u{1b}]0;owned\u{7}",
            c1 => "\u{9b}2J\u{85}",
            rubbed_out => "evil\u{8}\u{8}\u{7f}",
            zero => "a\0b",
            direction => "user\u{202e}txt.exe\u{2066}x\u{2069}",
            hebrew => "מודל",
            combining => "e\u{301}",
            zero_width => "a\u{200b}b\u{feff}c",
            pictures => "👩\u{200d}💻 🚀",
            wide => "层归一化",
            prototype => "__proto__",
            constructor => "constructor",
        }
    };
}

macro_rules! list {
    ($($function:ident => $name:literal,)*) => {
        /// The hostile names.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

with_hostile_names!(list);
