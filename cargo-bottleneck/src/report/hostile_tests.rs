//! Names as a program could have them to harm whoever reads its report: every output shows each of them, and obeys none.

use std::collections::BTreeMap;

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde_json::Value;

use super::escape::{LEFT_TO_RIGHT, columns, harmless, is_obeyed, is_right_to_left, shown_name};
use super::model::{Frame, Summary};
use super::terminal::{self, Look};
use super::{folded, json, svg};
use crate::analysis::fixture::{MS, context, streams};
use crate::analysis::{analyze, summarize};
use crate::profile::SpanIdx;
use crate::profile::builder::ProfileBuilder;
use crate::profile::sampling::{Code, Counted, Mapping, Sampling};
use crate::symbols::{self, Symbols};

/// What is hostile about a name, and the name.
pub(crate) fn names() -> Vec<(&'static str, String)> {
    let mut res: Vec<(&'static str, String)> = [
        ("quotes", "\"double\" 'single' `back`"),
        ("elements", "</text></title></g><script>window.pwned=1</script><g>"),
        ("attributes", "\" onload=\"window.pwned=1\" onfocus='window.pwned=1' x=\""),
        ("address", "javascript:window.pwned=1"),
        ("end of a section", "]]><script>window.pwned=1</script><![CDATA["),
        ("comment", "-- --> <!-- --!>"),
        ("entities", "a&b &lt; &#10; &bogus; &#x0;"),
        ("separators", "a;b;;c›d"),
        ("a count at the end", "layer 12 7"),
        ("only a count", "7"),
        ("beginning of a comment", "# note"),
        ("line feeds", "one\ntwo\r\nthree\tfour\u{2028}five\u{2029}six\u{b}\u{c}"),
        ("colors", "\u{1b}[31mred\u{1b}[0m\u{1b}[8mhidden"),
        ("title of the window", "\u{1b}]0;owned\u{7}\u{1b}P1$r\u{1b}\\"),
        ("C1 controls", "\u{9b}2J\u{9d}0;owned\u{9c}\u{85}"),
        ("zero", "a\0b"),
        ("rubbed out", "evil\u{8}\u{8}\u{8}\u{8}\u{7f}"),
        ("override", "user\u{202e}txt.exe\u{202c}"),
        ("embeddings", "\u{202a}a\u{202b}b\u{202c}\u{202d}c"),
        ("isolates", "\u{2066}a\u{2067}b\u{2068}c\u{2069}"),
        ("marks of direction", "\u{200e}a\u{200f}b\u{61c}c"),
        ("Hebrew", "מודל"),
        ("Arabic with a number", "نموذج 12"),
        ("Persian with a joiner", "می\u{200c}خواهم"),
        ("combining", "e\u{301} ậ \u{301}begins"),
        ("zero width", "a\u{200b}b\u{feff}c\u{2060}d\u{ad}e\u{34f}"),
        ("joined pictures", "👩\u{200d}💻 ❤\u{fe0f} 🇪🇺"),
        ("wide", "层归一化 レイヤー 층"),
        ("blank letters", "\u{3164}\u{2800}\u{ffa0}"),
        ("noncharacters", "\u{fffe}\u{ffff}\u{fdd0}\u{10ffff}"),
        ("what was no text", "caf\u{fffd}\u{fffd}"),
        ("marks of ours", "\u{e000}f3 f3"),
        ("tags", "x\u{e0041}\u{e007f}"),
        ("prototype", "__proto__"),
        ("constructor", "constructor"),
        ("formats", "%s%n%x {} {0} ${x} $(reboot)"),
        ("expression", "(.*)+[\\"),
        ("empty", ""),
        ("spaces", "   "),
        ("other blanks", "\u{3000}\u{a0}\u{2003}"),
        ("nothing to see", "\u{200d}\u{200c}"),
    ]
    .map(|(what, name)| (what, name.to_owned()))
    .into();
    res.push(("a pile of marks", format!("a{}", "\u{301}\u{489}".repeat(500))));
    res.push(("ten thousand letters", format!("begin{}end", "x".repeat(10_000))));
    res.push(("ten thousand words", "word ".repeat(10_000)));
    res.push(("ten thousand wide", "层".repeat(10_000)));
    res.push(("ten thousand controls", "\u{1b}".repeat(10_000)));
    res
}

/// A report with the name in every place that the profiled program or its surroundings decide.
pub(crate) fn report_on(name: &str) -> (Summary, Frame) {
    let builder = ProfileBuilder::new(200 * MS)
        .cut()
        .thread("main", |main| {
            main.span(name, 0..90 * MS, |outer| {
                outer.keyed(name, Some(name), 0..50 * MS, |keyed| streams(keyed, 50));
                outer.span("plain", 50 * MS..80 * MS, |plain| {
                    plain.owner(name).blocked(9 * MS).preempted(3 * MS);
                });
            });
            main.open("open", 100 * MS, |open| {
                open.open(name, 110 * MS, |_| ());
            });
        })
        .thread(name, |thread| {
            thread.span("worker", 0..40 * MS, |_| ());
        });
    let mut profile = builder.build();
    let sites: Vec<_> = profile.sites.indices().collect();
    for site in sites {
        name.clone_into(&mut profile.sites[site].file);
        name.clone_into(&mut profile.sites[site].module);
    }
    let frame = |line| symbols::Frame {
        function: name.to_owned(),
        file: Some(name.to_owned()),
        line: Some(line),
    };
    let place = symbols::Place {
        function: format!("{name}::{name}"),
        file: Some(name.to_owned()),
        line: Some(7),
        inlined: vec![frame(7), frame(8)],
        object: name.to_owned(),
    };
    let counted = |(at, span): (u64, SpanIdx)| Counted {
        span,
        sampled: at % 2,
        n: 5,
        is_adopted: at == 3,
        spins: false,
    };
    let mapping = Mapping { start: 0, end: 1, offset: 0, path: format!("/{name}") };
    profile.sampling = Some(Sampling {
        counted: (0..6)
            .flat_map(|at| profile.spans.indices().map(move |it| (at, it)))
            .map(counted)
            .collect(),
        code: Code { maps: vec![mapping], blocks: Vec::new() },
        ..Sampling::default()
    });
    let mut context = context();
    context.symbols = Some(Symbols::of_places([(1, place)]));
    name.clone_into(&mut context.program);
    context.command = vec![name.to_owned(), "--flag".to_owned(), name.to_owned()];
    context.warnings = vec![format!("`{name}` was left out")];
    context.ceilings = Err(format!("nobody knows `{name}`"));
    let analysis = analyze(&profile, &context);
    summarize(&profile, &analysis, &context)
}

/// Runs the check for every name, and says for which it failed.
fn for_each(check: impl Fn(&str, &Summary, &Frame)) {
    for (what, name) in names() {
        println!("{what}");
        let (summary, frame) = report_on(&name);
        check(&name, &summary, &frame);
    }
}

#[test]
fn a_terminal_obeys_no_name() {
    for_each(|name, summary, _| {
        for bars in [true, false] {
            let plain = terminal::render(summary, Look { color: false, bars });
            for line in plain.lines() {
                assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
                let mut obeyed = line.chars().filter(|&c| is_obeyed(c) && c != LEFT_TO_RIGHT);
                assert_eq!(obeyed.next(), None, "{line}");
            }
            assert!(plain.lines().count() < 150, "the rest is not driven away:\n{plain}");
            let colored = terminal::render(summary, Look { color: true, bars });
            assert_eq!(without_colors(&colored), plain);
        }
        let short = terminal::short(summary);
        assert!(columns(&short) <= 80 && !short.contains(['\n', '\u{1b}']), "{short}");
        if is_right_to_left(name) && harmless(name) == name {
            let shown = terminal::render(summary, Look::default());
            assert!(shown.contains(name), "legible as it is:\n{shown}");
        }
    });
}

/// The text without our own colors, which are the only escape sequences that may be there.
fn without_colors(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut res = parts.next().unwrap().to_owned();
    for part in parts {
        let (color, rest) = part.split_once('m').expect("a color ends with m");
        let numbers = color.strip_prefix('[').expect("a color begins with [");
        assert!(numbers.chars().all(|c| c.is_ascii_digit() || c == ';'), "{color}");
        res.push_str(rest);
    }
    res
}

#[test]
fn json_has_the_true_name_and_nothing_to_obey() {
    for_each(|name, summary, _| {
        let text = json::render(summary);
        assert!(!text.chars().any(|c| is_obeyed(c) && c != '\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["program"], name);
        assert_eq!(value["command"][2], name);
        let spans = value["spans"].as_array().unwrap();
        let found = |key: Option<&str>| {
            spans.iter().find(|span| span["name"] == name && span["key"].as_str() == key).is_some()
        };
        // The file pads texts with zeros.
        assert!(found(None) && found(Some(name)), "{name:?}");
        assert!(spans.iter().any(|span| span["path"].as_array().unwrap().len() == 2));
        let leaf = spans[0]["leaves"].as_array().unwrap().iter().find(|it| it["line"] == 7);
        assert_eq!(leaf.unwrap()["file"], name);
        assert_eq!(spans[0]["site"].as_str().unwrap().is_empty(), name.is_empty());
    });
}

#[test]
fn folded_stacks_have_one_separator_a_level() {
    for_each(|_, _, frame| {
        let text = folded::render(&frame.children);
        assert!(!text.chars().any(|c| is_obeyed(c) && c != '\n'));
        let mut depths = Vec::new();
        frame.children.iter().for_each(|child| collect_depths(child, 0, &mut depths));
        let lines: Vec<(&str, &str)> =
            text.lines().map(|line| line.rsplit_once(' ').expect("a stack and a count")).collect();
        assert!(lines.iter().all(|(_, count)| count.parse::<u64>().is_ok()), "{text}");
        let found: Vec<usize> = lines.iter().map(|(stack, _)| stack.matches(';').count()).collect();
        assert_eq!(found, depths, "{text}");
    });
}

fn collect_depths(frame: &Frame, depth: usize, depths: &mut Vec<usize>) {
    depths.extend(frame.leaves.iter().filter(|leaf| leaf.ns > 0).map(|_| depth + 1));
    if frame.self_ns > frame.leaves.iter().map(|leaf| leaf.ns).sum() {
        depths.push(depth);
    }
    frame.children.iter().for_each(|child| collect_depths(child, depth + 1, depths));
}

/// The parts of a picture that a browser would act on, and its texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Acting {
    elements: BTreeMap<String, usize>,
    /// Names of attributes, and the values of those that run something.
    attributes: BTreeMap<String, String>,
    code: Vec<String>,
    titles: Vec<String>,
}

pub(super) fn read(svg: &[u8]) -> Acting {
    let text = std::str::from_utf8(svg).unwrap();
    assert!(text.chars().all(is_legal_in_xml));
    let mut reader = Reader::from_str(text);
    let mut res = Acting::default();
    let (mut inside, mut title) = (String::new(), None::<String>);
    loop {
        match reader.read_event().expect("the picture is well-formed") {
            Event::Eof => return res,
            Event::Start(start) | Event::Empty(start) => {
                inside = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                *res.elements.entry(inside.clone()).or_default() += 1;
                title = (inside == "title").then(String::new);
                for attribute in start.attributes() {
                    let attribute = attribute.expect("attributes are well-formed");
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
                    let value =
                        if key.starts_with("on") || key.contains("href") { &*value } else { "" };
                    res.attributes.insert(key, value.to_owned());
                }
            }
            Event::CData(code) => res.code.push(format!("{inside}: {code:?}")),
            Event::Text(text) => {
                if let Some(title) = &mut title {
                    title.push_str(&text.decode().unwrap());
                }
            }
            Event::GeneralRef(reference) => {
                let c = match (reference.resolve_char_ref().unwrap(), &*reference.decode().unwrap())
                {
                    (Some(c), _) => c,
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "amp") => '&',
                    (None, "quot") => '"',
                    (None, "apos") => '\'',
                    (None, other) => panic!("an entity that nobody has defined: {other}"),
                };
                if let Some(title) = &mut title {
                    title.push(c);
                }
            }
            Event::End(_) => res.titles.extend(title.take()),
            Event::DocType(_) => panic!("no document type was written"),
            Event::PI(_) | Event::Comment(_) | Event::Decl(_) => {}
        }
    }
}

fn is_legal_in_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[test]
fn a_picture_shows_every_name_and_runs_none() {
    let drawn = |name: &str| {
        let (summary, frame) = report_on(name);
        read(&svg::render(&summary, &frame.children).unwrap())
    };
    let tame = drawn("tame");
    for (what, name) in names() {
        println!("{what}");
        let acting = drawn(&name);
        // Whatever the name, the picture has the parts that it has for a harmless one.
        assert_eq!(acting.attributes, tame.attributes);
        assert_eq!(acting.code, tame.code);
        assert_eq!(acting.elements["script"], 2);
        let kinds = |of: &Acting| of.elements.keys().cloned().collect::<Vec<_>>();
        assert_eq!(kinds(&acting), kinds(&tame));
        let shown = shown_name(&name);
        let is_shown = |title: &String| {
            let first = title.lines().next().unwrap().trim_end_matches(LEFT_TO_RIGHT);
            let (head, tail) = first.split_once('…').unwrap_or((first, ""));
            // A pile of marks begins anew behind the cut.
            let end: String = tail.chars().skip(tail.chars().count().saturating_sub(9)).collect();
            shown.starts_with(head) && shown.ends_with(&end) && !head.is_empty()
        };
        assert!(
            acting.titles.iter().any(is_shown),
            "{what}: {:.2000}",
            format!("{:?}", acting.titles)
        );
    }
}

#[test]
fn paths_in_messages_are_escaped_too() {
    let error =
        crate::error::Error::new(crate::exit_code::ExitCode::Setup, "cannot read `\u{1b}[2J`");
    assert_eq!(super::escape::harmless_lines(&error.to_string()), "cannot read `\\u{1b}[2J`");
}
