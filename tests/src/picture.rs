//! The painted area of a flame graph by kind, read back from the file as a viewer would.

use std::collections::BTreeMap;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::Value;

use crate::summary::KINDS;

/// A box of the graph. Lengths are in percent of the width.
#[derive(Debug, Default)]
struct Drawn {
    left: f64,
    width: f64,
    top: f64,
    /// Width that is painted in the color of a kind, by that kind.
    own: BTreeMap<&'static str, f64>,
    rectangles: usize,
    /// A function inside of a box: it shows again what the box below it shows.
    is_leaf: bool,
}

/// Checks that the area of the picture is divided as the summary says.
///
/// # Panics
/// If it is not, or if the file is no picture.
#[track_caller]
pub fn check(svg: &Path, summary: &Value) {
    let text = std::fs::read_to_string(svg).expect("the picture is there");
    let boxes = boxes(&text);
    assert!(!boxes.is_empty(), "no boxes in {}", svg.display());
    let mut painted = BTreeMap::new();
    for drawn in &boxes {
        let free = drawn.width - covered(drawn, &boxes);
        let own: f64 = drawn.own.values().sum();
        assert!((free - own).abs() < 0.01, "painted {own} of {free}: {drawn:?}");
        for (kind, width) in &drawn.own {
            *painted.entry(*kind).or_insert(0.0) += width;
        }
    }
    // Coordinates have four digits: each rectangle can be off by half of the last one.
    let tolerance = 0.00005 * boxes.iter().map(|drawn| drawn.rectangles).sum::<usize>() as f64;
    for kind in KINDS {
        let share = 100.0 * summary["kinds"][kind]["share"].as_f64().expect("shares are numbers");
        let area = painted.get(kind).copied().unwrap_or(0.0);
        assert!((area - share).abs() <= tolerance, "{kind}: painted {area} %, is {share} %");
    }
}

/// Width of the boxes in the next row that stand on this one.
fn covered(drawn: &Drawn, boxes: &[Drawn]) -> f64 {
    let tops = boxes.iter().map(|it| it.top).filter(|&top| top > drawn.top);
    let next_row = tops.fold(f64::INFINITY, f64::min);
    let stands_on = |it: &&Drawn| {
        let middle = it.left + it.width / 2.0;
        (it.top - next_row).abs() < 0.5 && drawn.left < middle && middle < drawn.left + drawn.width
    };
    boxes.iter().filter(stands_on).map(|it| it.width).sum()
}

fn boxes(svg: &str) -> Vec<Drawn> {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let (mut boxes, mut is_graph) = (Vec::<Drawn>::new(), false);
    loop {
        match reader.read_event().expect("the picture is well-formed") {
            Event::Eof => {
                boxes.retain(|drawn| !drawn.is_leaf);
                break boxes;
            }
            Event::End(end) => is_graph &= end.name().as_ref() != b"svg",
            Event::Start(start) | Event::Empty(start) => {
                let attributes = attributes(&start);
                is_graph |= attributes.get("id").is_some_and(|id| id == "frames");
                match (is_graph, start.name().as_ref(), boxes.last_mut()) {
                    (true, b"g", _) => boxes.push(Drawn::default()),
                    (true, b"rect", Some(last)) => last.add(&attributes),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl Drawn {
    /// The first rectangle of a box is the box; those of its own time lie on it.
    fn add(&mut self, attributes: &BTreeMap<String, String>) {
        let length = |name: &str| -> f64 {
            attributes[name].trim_end_matches('%').parse().expect("a length is a number")
        };
        if self.rectangles == 0 {
            (self.left, self.width, self.top) = (length("x"), length("width"), length("y"));
        }
        self.rectangles += 1;
        let classes: Vec<&str> =
            attributes.get("class").map(|it| it.split(' ').collect()).unwrap_or_default();
        self.is_leaf |= classes.contains(&"leaf");
        if classes.contains(&"own") {
            let of_class = |kind: &&str| classes.contains(&format!("k-{kind}").as_str());
            let kind = KINDS.into_iter().find(of_class).expect("own time has a kind");
            *self.own.entry(kind).or_insert(0.0) += length("width");
        }
    }
}

fn attributes(start: &BytesStart<'_>) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pair = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        (text(attribute.key.as_ref()), value.expect("attributes are text").into_owned())
    };
    start.attributes().map(|it| pair(it.expect("attributes are well-formed"))).collect()
}
