//! What the picture promises, read back from the file.

use std::collections::BTreeMap;

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::fixture::{frame, leaf, server, summary};
use super::{fold, palette, render};
use crate::kind::Kind;
use crate::report::model::{Frame, FrameLeaf, Summary, VerdictKind};

/// A box as it stands in the file.
#[derive(Debug, Default)]
struct Read {
    label: String,
    title: String,
    attributes: BTreeMap<String, String>,
    rects: Vec<BTreeMap<String, String>>,
}

impl Read {
    fn rect(&self, attribute: &str) -> f64 {
        self.rects[0][attribute].trim_end_matches('%').parse().unwrap()
    }
}

fn text(summary: &Summary, roots: &[Frame]) -> String {
    String::from_utf8(render(summary, roots).unwrap()).unwrap()
}

/// Reads the boxes, and with that all of the file: a file that is not well-formed fails here.
fn boxes(svg: &str) -> Vec<Read> {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    reader.config_mut().check_comments = true;
    let (mut boxes, mut inside, mut is_graph) = (Vec::<Read>::new(), String::new(), false);
    loop {
        let event = reader.read_event().unwrap();
        let (start, is_empty) = match &event {
            Event::Eof => break boxes,
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::Text(_) | Event::GeneralRef(_) => {
                let piece = match &event {
                    Event::Text(text) => text.decode().unwrap().into_owned(),
                    Event::GeneralRef(name) => {
                        let reference = format!("&{};", name.decode().unwrap());
                        quick_xml::escape::unescape(&reference).unwrap().into_owned()
                    }
                    _ => unreachable!(),
                };
                assert!(piece.chars().all(|c| c == '\n' || !c.is_control()), "{piece:?}");
                match (boxes.last_mut(), inside.as_str()) {
                    (Some(last), "title") if is_graph => last.title.push_str(&piece),
                    (Some(last), "text" | "tspan") if is_graph => last.label.push_str(&piece),
                    _ => {}
                }
                continue;
            }
            Event::End(end) => {
                is_graph &= end.name().as_ref() != b"svg";
                inside.clear();
                continue;
            }
            _ => continue,
        };
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        let attributes: BTreeMap<String, String> = start
            .attributes()
            .map(|it| {
                let it = it.unwrap();
                let value = it.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned();
                (String::from_utf8(it.key.as_ref().to_vec()).unwrap(), value)
            })
            .collect();
        is_graph |= attributes.get("id").is_some_and(|id| id == "frames");
        match (is_graph, name.as_str(), boxes.last_mut()) {
            (true, "g", _) => boxes.push(Read { attributes, ..Read::default() }),
            (true, "rect", Some(last)) => last.rects.push(attributes),
            _ => {}
        }
        if !is_empty {
            inside = name;
        }
    }
}

/// Width in percent that no box of the row below covers, by the color there.
fn uncovered(boxes: &[Read]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let is_leaf = |it: &&Read| it.attributes["class"].contains("inside");
    for it in boxes.iter().filter(|it| !is_leaf(it)) {
        let (left, right) = (it.rect("x"), it.rect("x") + it.rect("width"));
        let below = boxes.iter().filter(|it| !is_leaf(it)).filter(|other| {
            let middle = other.rect("x") + other.rect("width") / 2.0;
            other.rect("y") > it.rect("y")
                && other.rect("y") < it.rect("y") + 1.5 * super::annotate::ROW as f64
                && left < middle
                && middle < right
        });
        let free = it.rect("width") - below.map(|other| other.rect("width")).sum::<f64>();
        let own: Vec<_> = it.rects.iter().filter(|rect| rect["class"].contains("own")).collect();
        let painted: f64 = own
            .iter()
            .map(|rect| rect["width"].trim_end_matches('%').parse::<f64>().unwrap())
            .sum();
        assert!((free - painted).abs() < 0.01, "painted {painted} of {free}: {it:?}");
        for rect in own {
            let width: f64 = rect["width"].trim_end_matches('%').parse().unwrap();
            *sums.entry(rect["fill"].clone()).or_insert(0.0) += width;
        }
    }
    sums
}

/// Coordinates have four digits: each rectangle can be off by half of the last one.
#[track_caller]
fn check_area(roots: &[Frame]) {
    let summary = summary(roots);
    let boxes = boxes(&text(&summary, roots));
    let tolerance = 0.00005 * boxes.iter().map(|it| it.rects.len()).sum::<usize>() as f64;
    let painted = uncovered(&boxes);
    for kind in Kind::ALL {
        let share = 100.0 * summary.kinds[palette::id(kind)].share;
        let area = painted.get(&palette::color(kind).to_string()).copied().unwrap_or(0.0);
        assert!((area - share).abs() <= tolerance, "{kind:?}: painted {area}%, is {share}%");
    }
}

/// A tree of `n` frames whose widths differ by orders of magnitude; every kind, and waits.
fn forest(n: u64) -> Vec<Frame> {
    fn grow(state: &mut u64, depth: u32, left: &mut u64) -> Frame {
        let mut random = |below: u64| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % below
        };
        let kind = Kind::ALL[usize::try_from(random(5)).unwrap()];
        let self_ns = 10_u64.pow(u32::try_from(random(8)).unwrap()) * random(9);
        let is_wait = random(4) == 0;
        let n_children = if depth > 9 { 0 } else { random(7) };
        let mut children = Vec::new();
        for _ in 0..n_children {
            if *left > 0 {
                *left -= 1;
                children.push(grow(state, depth + 1, left));
            }
        }
        Frame { is_wait, ..frame("step", kind, self_ns, children) }
    }
    let (mut state, mut left) = (7, n);
    let mut roots = Vec::new();
    while left > 0 {
        left -= 1;
        roots.push(grow(&mut state, 0, &mut left));
    }
    roots
}

#[test]
fn the_painted_area_is_that_of_the_kinds() {
    check_area(&server());
    check_area(&forest(50));
    check_area(&forest(20_000));
    check_area(&[frame("alone", Kind::Io, 1, vec![])]);
}

#[test]
fn functions_inside_a_span_lie_below_its_own_time_and_are_in_no_share() {
    let child = frame("child", Kind::Io, 400, vec![]);
    let mut span = frame("span", Kind::Memory, 600, vec![child]);
    span.leaves = vec![
        leaf("matvec", 450, "src/math.rs:41", &["45 samples, 75%"]),
        FrameLeaf { kind: Some(Kind::Compute), ..leaf("softmax", 100, "src/math.rs:9", &[]) },
        leaf("narrow", 1, "src/math.rs:9", &[]),
        // More than there is: no leaf is wider than what is left.
        leaf("damaged", u64::MAX, "src/math.rs:9", &[]),
    ];
    let roots = [span];
    let svg = text(&summary(&roots), &roots);
    assert!(svg.contains("Lighter boxes are the functions"));
    let boxes = boxes(&svg);
    let shown: Vec<_> = boxes
        .iter()
        .map(|it| (it.title.lines().next().unwrap(), it.rect("x"), it.rect("width")))
        .map(|(name, x, width)| (name, (x * 10.0).round(), (width * 10.0).round()))
        .collect();
    let expected = [
        ("all", 0.0, 1000.0),
        ("span", 0.0, 1000.0),
        ("child", 0.0, 400.0),
        ("matvec", 400.0, 450.0),
        ("softmax", 850.0, 100.0),
        ("damaged", 950.0, 49.0),
    ];
    assert_eq!(shown, expected);
    let matvec = &boxes[3];
    assert_eq!(matvec.label, "matvec");
    assert_eq!(matvec.rects[0]["fill"], palette::shade(Kind::Memory).to_string());
    assert_eq!(boxes[4].rects[0]["fill"], palette::shade(Kind::Compute).to_string());
    assert!(matvec.attributes["aria-label"].contains("a function inside the span above"));
    assert_eq!(
        matvec.title,
        "matvec\n450 ns (45.0%), a function inside the span above\nsrc/math.rs:41\n45 samples, 75%"
    );
    check_area(&roots);
    assert!(!text(&summary(&[]), &[]).contains("Lighter boxes"));
}

#[test]
fn functions_inside_spans_do_not_swell_the_picture() {
    let roots: Vec<Frame> = (0..500)
        .map(|_| {
            let mut span = frame("span", Kind::Memory, 1_000, vec![]);
            span.leaves = (0..100).map(|_| leaf("leaf", 10, "src/math.rs:9", &[])).collect();
            span
        })
        .collect();
    assert!(boxes(&text(&summary(&roots), &roots)).len() <= 501);
    let roots = [frame("one", Kind::Memory, 1, roots)];
    check_area(&roots);
}

#[test]
fn narrow_frames_are_folded_without_losing_their_time() {
    let sliver = |kind| frame("sliver", kind, 1, vec![]);
    let children = vec![
        frame("wide", Kind::Memory, 10_000, vec![]),
        sliver(Kind::Io),
        frame("parent", Kind::Compute, 1, vec![sliver(Kind::Io)]),
    ];
    let roots = [frame("main", Kind::Other, 0, children)];
    let boxes = boxes(&text(&summary(&roots), &roots));
    let titles: Vec<&str> = boxes.iter().map(|it| it.title.lines().next().unwrap()).collect();
    assert_eq!(titles, ["all", "main", "wide", "(3 smaller)"]);
    assert!(boxes[3].title.contains("compute 33.3%, I/O 66.7%"), "{}", boxes[3].title);
    check_area(&roots);
}

#[test]
fn pictures_stay_small_enough_for_a_browser() {
    for roots in [
        forest(100_000),
        (0..50_000).map(|_| frame("thread", Kind::Memory, 7, vec![])).collect(),
        vec![(0..5_000).fold(frame("leaf", Kind::Io, 5, vec![]), |below, _| {
            frame("recursive", Kind::Compute, 1, vec![below])
        })],
    ] {
        let boxes = boxes(&text(&summary(&roots), &roots));
        assert!(boxes.len() <= fold::MAX_BOXES, "{}", boxes.len());
    }
    check_area(&forest(100_000));
}

#[test]
fn a_name_that_another_begins_with_keeps_one_box() {
    // Sorted by bytes, `serve::inner` lies between `serve` and `serve;child`, as `f10` does between `f1` and `f1;f2`.
    let serve = frame("serve", Kind::Compute, 5, vec![frame("child", Kind::Memory, 2, vec![])]);
    let inner = (0..10).map(|_| frame("serve::inner", Kind::Compute, 3, vec![]));
    let roots: Vec<Frame> = std::iter::once(serve).chain(inner).collect();
    let boxes = boxes(&text(&summary(&roots), &roots));
    let serve: Vec<&Read> = boxes.iter().filter(|it| it.title.starts_with("serve\n")).collect();
    assert_eq!(serve.len(), 1);
    assert_eq!(serve[0].rects[0]["fg:w"], "7");
}

#[test]
fn boxes_keep_the_order_they_are_given() {
    let roots = [
        frame("b", Kind::Io, 1, vec![]),
        frame("c", Kind::Io, 9, vec![]),
        frame("a", Kind::Io, 5, vec![]),
    ];
    let boxes = boxes(&text(&summary(&roots), &roots));
    let names: Vec<&str> = boxes.iter().map(|it| it.title.lines().next().unwrap()).collect();
    assert_eq!(names, ["all", "b", "c", "a"]);
    assert!(boxes[1].rect("x") < boxes[2].rect("x") && boxes[2].rect("x") < boxes[3].rect("x"));
}

#[test]
fn hostile_names_are_text() {
    let long = "x".repeat(10_000);
    // The name, and the first line of its tooltip.
    let names: &[(&str, &str)] = &[
        ("\"q\" 'q' &amp; <b>", "\"q\" 'q' &amp; <b>"),
        ("</title><script>window.pwned=1</script>", "</title><script>window.pwned=1</script>"),
        ("a;b;c", "a;b;c"),
        ("--x-->", "--x-->"),
        ("]]>", "]]>"),
        ("\u{1b}[31m\0\r\n\u{85}", "\\u{1b}[31m\\u{0}"),
        ("safe\u{202e}gnp\u{200f}", "safe\\u{202e}gnp\\u{200f}"),
        ("שלום", "שלום"),
        ("layer 12 7", "layer 12 7"),
        ("foo::<[u8; 8]>", "foo::<[u8; 8]>"),
        ("mark\u{e000}9", "mark\u{e000}9"),
        ("# comment", "# comment"),
        ("x_[k]", "x_[k]"),
        ("a(b)(c", "a(b)(c"),
        ("f3", "f3"),
        ("\t", "(no name)"),
        ("\u{fffe}", "\\u{fffe}"),
        ("key\tid=x\ttitle=y", "key\\tid=x\\ttitle=y"),
        (&long, "…"),
    ];
    let children: Vec<Frame> =
        names.iter().map(|(name, _)| frame(name, Kind::Memory, 1000, vec![])).collect();
    let mut root = frame(names[1].0, Kind::Other, 0, children);
    root.site = Some(names[1].0.to_owned());
    root.notes = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    let roots = [root];
    let mut summary = summary(&roots);
    names[0].0.clone_into(&mut summary.program);
    summary.verdict.headline = names.iter().map(|(name, _)| *name).collect();
    names[4].0.clone_into(&mut summary.verdict.next);
    summary.spans[0].path = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    summary.warnings = names.iter().map(|(name, _)| (*name).to_owned()).collect();

    let svg = text(&summary, &roots);
    assert_eq!(svg.matches("<script").count(), 2, "only inferno's and ours");
    let boxes = boxes(&svg);
    assert_eq!(boxes.len(), 2 + names.len());
    for (it, (name, shown)) in boxes[2..].iter().zip(names) {
        let first = it.title.lines().next().unwrap();
        let is_shown =
            if *shown == "…" { first.chars().count() == 240 } else { first.starts_with(shown) };
        assert!(is_shown, "{name:?} is shown as {first:?}");
        assert!(it.attributes["aria-label"].starts_with(first));
        assert!((it.rect("width") - 100.0 / names.len() as f64).abs() < 0.001);
    }
}

#[test]
fn empty_pictures_say_why() {
    let mut nothing = summary(&[]);
    assert!(text(&nothing, &[]).contains("Nothing was asked of the program"));
    nothing.spans.clear();
    assert!(text(&nothing, &[]).contains("No span was recorded"));
    assert!(boxes(&text(&nothing, &[frame("idle", Kind::Other, 0, vec![])])).is_empty());
}

#[test]
fn the_banner_says_what_the_verdict_says() {
    let roots = server();
    let mut summary = summary(&roots);
    summary.cut = true;
    summary.warnings = vec!["2 spans were lost".to_owned(), "another".to_owned()];
    let svg = text(&summary, &roots);
    for part in [
        "MEMORY-bound: 40% of the time in flight waits for DRAM (confidence: strong)",
        "Start at serve_request › decode › Linear&lt;[u8; 8]&gt;::forward (src/model.rs:141): halve",
        "Estimated 1.21x end to end, at most 1.54x.",
        "How we know: memory bandwidth 38.1 GB/s = 92% of 41.2 GB/s",
        "The run did not end by itself",
        "Note: 2 spans were lost (1 more in the summary)",
        "CDDL-1.0",
        "https://github.com/jonhoo/inferno",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    summary.verdict.kind = VerdictKind::Inconclusive;
    assert!(!text(&summary, &roots).contains("(confidence:"));
}

#[test]
fn a_damaged_profile_is_drawn_too() {
    let roots = [
        frame("long", Kind::Io, u64::MAX / 4, vec![]),
        frame("longer", Kind::Memory, u64::MAX / 2, vec![]),
    ];
    let boxes = boxes(&text(&summary(&roots), &roots));
    assert!((boxes[2].rect("width") - 66.6667).abs() < 0.001);
}

#[test]
fn the_style_sheet_knows_the_colors() {
    let style = include_str!("assets/flame.css");
    for color in [palette::CONTAINER, palette::FOUND, palette::color(Kind::Other)] {
        assert!(style.contains(&format!("[fill=\"{color}\"]")), "{color}");
    }
    for kind in Kind::ALL {
        let id = palette::id(kind);
        assert!(
            style.contains(&format!(
                ":is(#frames, #device)[data-filter=\"{id}\"] rect:not(.k-{id})"
            ))
        );
    }
}

#[test]
fn both_graphs_have_the_same_colors_in_the_dark() {
    let style = include_str!("assets/flame.css");
    let (_, dark) = style.split_once("(prefers-color-scheme: dark)").unwrap();
    let both = dark.matches(":is(#frames, #device)").count();
    // The others are no colors of boxes, but of all that is there.
    let all = dark.matches("#frames, #device, .legend").count();
    assert_eq!(dark.matches("#frames").count(), both + all);
    assert!(both > 10, "{both}");
}

#[test]
fn golden() {
    let roots = server();
    let svg = text(&summary(&roots), &roots);
    assert_eq!(svg, text(&summary(&roots), &roots), "the same input gives the same picture");
    let mut golden = String::new();
    // Scripts and styles have tests of their own; a line for each element makes differences readable.
    let mut rest = svg.as_str();
    for element in ["<style", "<script", "<script"] {
        let (before, after) = rest.split_once(element).unwrap();
        golden.push_str(before);
        let end = format!("</{}>", &element[1..]);
        rest = after.split_once(&end).unwrap().1;
    }
    golden.push_str(rest);
    insta::assert_snapshot!("flame_graph", golden.replace("><", ">\n<"));
}
