//! Writes the picture: inferno's boxes and script, with our banner, legend, colors by kind, and texts.
//!
//! The ids `frames`, `title`, `details`, `unzoom`, `search` and `matched`, and the classes `hide` and `parent`, are those
//! that inferno's script looks for.

use super::banner::{self, Banner, MARGIN, WIDTH};
use super::chart::Placed;
use super::fold::Piece;
use super::frames::Drawn;
use super::markup::Markup;
use super::{Graph, SvgError, label, palette};
use crate::number;
use crate::report::model::Summary;

const STYLE: &str = include_str!("assets/flame.css");
const SCRIPT: &str = include_str!("assets/flame.js");

/// Space between the edge of a box and its label, in pixels.
const LABEL_PAD: f64 = 3.0;

/// Width of the graph, in pixels.
const ACROSS: f64 = (WIDTH - 2 * MARGIN) as f64;

/// Boxes narrower than this have no outline, which would cover them, in pixels. The script knows it too.
const THIN: f64 = 4.0;

/// Between the two graphs, in pixels: a heading.
const BETWEEN: usize = 40;

/// Below the lowest boxes, in pixels.
const BOTTOM: usize = 24;

/// Height of a row of boxes, in pixels; inferno leaves one of them free.
pub(super) const ROW: usize = 22;

/// What is drawn beside the boxes.
pub(super) struct Texts<'a> {
    pub(super) summary: &'a Summary,
    pub(super) banner: Banner,
    /// What the picture shows.
    pub(super) title: String,
    /// How to read it.
    pub(super) subtitle: String,
}

/// The whole document.
pub(super) fn annotate(
    host: &Graph,
    devices: Option<&Graph>,
    texts: &Texts<'_>,
) -> Result<Vec<u8>, SvgError> {
    let (chart, boxes) = (&host.chart, &host.layout.boxes);
    let legend_y = texts.banner.height();
    let title_y = legend_y + banner::LEGEND_HEIGHT + 12;
    let graph_y = title_y + 32;
    let host_end = graph_y + host.rows() * ROW;
    let of_devices = devices.map_or(0, |it| BETWEEN + it.rows() * ROW);
    let height = host_end + of_devices + BOTTOM;

    let mut out = Markup::new()?;
    open(&mut out, height, &texts.banner, true)?;
    for comment in &chart.comments {
        out.comment(comment.trim())?;
    }
    definitions(&mut out, &chart.style)?;
    out.open("script", &[("type", "text/ecmascript")])?;
    for section in &chart.script {
        out.cdata(section)?;
    }
    out.close("script")?;
    out.open("script", &[("type", "text/ecmascript")])?;
    out.cdata(SCRIPT)?;
    out.close("script")?;

    ground(&mut out)?;
    texts.banner.write(&mut out)?;
    let has_waits = boxes.iter().flat_map(|it| &it.own).any(|piece| piece.is_wait);
    banner::write_legend(&mut out, texts.summary, legend_y, has_waits)?;
    controls(&mut out, title_y, texts)?;

    write_graph(&mut out, host, "frames", "The flame graph", graph_y)?;
    if let Some(devices) = devices {
        let all = devices.layout.boxes.first().map_or(0, |all| all.ns);
        let title =
            format!("Device time: {} in use. It is no part of the time above.", number::time(all));
        let (x, y) = (MARGIN.to_string(), (host_end + BETWEEN - 10).to_string());
        out.element("text", &[("class", "heading"), ("x", &x), ("y", &y)], &title)?;
        write_graph(&mut out, devices, "device", "The graph of device time", host_end + BETWEEN)?;
    }
    tooltip(&mut out)?;
    out.close("svg")?;
    Ok(out.into_bytes())
}

/// The boxes of a graph, from `graph_y` on. Only the one with the id `frames` is what inferno's script zooms.
fn write_graph(
    out: &mut Markup,
    graph: &Graph,
    id: &str,
    what: &str,
    graph_y: usize,
) -> Result<(), SvgError> {
    let boxes = &graph.layout.boxes;
    // inferno leaves room for its own texts above the first row; ours end where the graph begins.
    let offset = (graph_y as f64 - graph.place(0)?.number("y")? as f64).to_string();
    let spans = format!("{what}, {} boxes", boxes.len());
    let mut attributes =
        vec![("role", "tree"), ("aria-label", spans.as_str()), ("y", &offset), ("id", id)];
    let of_inferno = graph.chart.frames.iter().filter(|(name, _)| *name != "id");
    attributes.extend(of_inferno.map(|(name, value)| (name.as_str(), value.as_str())));
    out.open("svg", &attributes)?;
    let all_ns = boxes.first().map_or(0, |all| all.ns);
    for (i, it) in boxes.iter().enumerate() {
        draw(out, &graph.layout.key(i), it, graph.place(i)?, all_ns)?;
        out.text("\n")?;
    }
    Ok(out.close("svg")?)
}

/// A document without a graph, which says why there is none.
pub(super) fn empty(texts: &Texts<'_>, reasons: &[String]) -> Result<Vec<u8>, SvgError> {
    let top = texts.banner.height() + 16;
    let mut out = Markup::new()?;
    open(&mut out, top + 20 * reasons.len() + BOTTOM, &texts.banner, false)?;
    definitions(&mut out, "text { font-family:monospace; font-size:12px }")?;
    ground(&mut out)?;
    texts.banner.write(&mut out)?;
    for (i, line) in reasons.iter().enumerate() {
        let y = (top + 20 * i).to_string();
        out.element("text", &[("x", &MARGIN.to_string()), ("y", &y)], line)?;
    }
    out.close("svg")?;
    Ok(out.into_bytes())
}

fn open(
    out: &mut Markup,
    height: usize,
    banner: &Banner,
    has_script: bool,
) -> Result<(), SvgError> {
    let (width, height) = (WIDTH.to_string(), height.to_string());
    let view_box = format!("0 0 {width} {height}");
    let mut attributes = vec![
        ("version", "1.1"),
        ("width", &*width),
        ("height", &*height),
        ("viewBox", &*view_box),
        ("role", "graphics-document document"),
        ("aria-labelledby", "doc-title"),
        ("aria-describedby", "doc-desc"),
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("xmlns:xlink", "http://www.w3.org/1999/xlink"),
        ("xmlns:fg", "http://github.com/jonhoo/inferno"),
    ];
    if has_script {
        attributes.push(("onload", "init(evt)"));
    }
    out.open("svg", &attributes)?;
    let title = format!("cargo-bottleneck: {}", banner.title());
    out.element("title", &[("id", "doc-title")], &title)?;
    let keys = "A flame graph: width is time, color is the kind of bottleneck. Arrow keys move between boxes, \
                Enter zooms, Escape resets. The summary holds the same data as text.";
    let desc = format!("{} {keys}", banner.spoken());
    out.element("desc", &[("id", "doc-desc")], if has_script { &desc } else { &title })?;
    Ok(())
}

fn definitions(out: &mut Markup, inferno_style: &str) -> Result<(), SvgError> {
    let tile = [("id", "hatch"), ("width", "9"), ("height", "9")];
    let turned = [("patternUnits", "userSpaceOnUse"), ("patternTransform", "rotate(45)")];
    out.open("defs", &[])?;
    out.open("pattern", &[&tile[..], &turned[..]].concat())?;
    // A dark and a light line, so that the hatch shows on every color in both modes.
    for (class, x) in [("hatch-dark", "1"), ("hatch-light", "2.5")] {
        let line = [("class", class), ("x1", x), ("y1", "0"), ("x2", x), ("y2", "9")];
        out.empty("line", &[&line[..], &[("stroke-width", "1.5")]].concat())?;
    }
    out.close("pattern")?;
    out.close("defs")?;
    out.open("style", &[("type", "text/css")])?;
    out.cdata(inferno_style)?;
    out.cdata(STYLE)?;
    out.close("style")?;
    Ok(())
}

fn ground(out: &mut Markup) -> Result<(), SvgError> {
    let all = [("class", "ground"), ("width", "100%"), ("height", "100%"), ("fill", "#ffffff")];
    Ok(out.empty("rect", &all)?)
}

/// Title and subtitle on the left, what inferno's script offers on the right.
fn controls(out: &mut Markup, y: usize, texts: &Texts<'_>) -> Result<(), SvgError> {
    let (left, right) = (MARGIN.to_string(), (WIDTH - MARGIN).to_string());
    let unzoom = (WIDTH - MARGIN - 102).to_string();
    let (upper, lower) = (y.to_string(), (y + 17).to_string());
    let fit = [("class", "fit"), ("x", &*left)];
    let title = [("id", "title"), ("y", &*upper), ("data-reserve", "200")];
    out.element("text", &[&fit[..], &title[..]].concat(), &texts.title)?;
    let subtitle = [("id", "subtitle"), ("y", &*lower), ("data-reserve", "130")];
    out.element("text", &[&fit[..], &subtitle[..]].concat(), &texts.subtitle)?;
    out.element("text", &[("id", "details"), ("x", &left), ("y", &lower)], " ")?;
    let button = [("role", "button"), ("tabindex", "0"), ("y", &*upper)];
    let zoom = [("id", "unzoom"), ("class", "hide"), ("x", &*unzoom)];
    out.element("text", &[&button[..], &zoom[..]].concat(), "Reset Zoom")?;
    out.element("text", &[&button[..], &[("id", "search"), ("x", &*right)]].concat(), "Search")?;
    let matched = [("id", "matched"), ("role", "status"), ("x", &*right), ("y", &*lower)];
    Ok(out.element("text", &matched, " ")?)
}

fn tooltip(out: &mut Markup) -> Result<(), SvgError> {
    out.open("g", &[("id", "tip"), ("class", "hide"), ("aria-hidden", "true")])?;
    out.empty("rect", &[("class", "tip-box"), ("rx", "3")])?;
    out.empty("rect", &[("class", "tip-kind"), ("width", "5")])?;
    out.element("text", &[], " ")?;
    Ok(out.close("g")?)
}

/// One box: inferno's rectangle, the parts that are its own time, the hatch of those that are waits, and the label.
fn draw(out: &mut Markup, id: &str, it: &Drawn, at: &Placed, all_ns: u64) -> Result<(), SvgError> {
    let mut class = String::from("box");
    if it.ns as f64 * ACROSS < all_ns as f64 * THIN {
        class.push_str(" thin");
    }
    for kind in it.own.iter().map(|piece| piece.kind).chain(it.leaf) {
        class.push_str(" has-");
        class.push_str(palette::id(kind));
    }
    if it.leaf.is_some() {
        class.push_str(" inside");
    }
    let level = (it.depth + 1).to_string();
    let tab = if it.depth == 0 { "0" } else { "-1" };
    let mut group = vec![
        ("id", id),
        ("class", &*class),
        ("role", "treeitem"),
        ("aria-level", &*level),
        ("aria-label", &*it.spoken),
        ("tabindex", tab),
    ];
    if !it.tag.is_empty() {
        group.push(("data-tag", it.tag));
    }
    out.open("g", &group)?;
    out.element("title", &[], &it.title)?;

    let own_ns: u64 = it.own.iter().map(|piece| piece.ns).sum();
    let mut start = (at.number("fg:x")? + at.number("fg:w")?).saturating_sub(own_ns);
    if let Some(kind) = it.leaf {
        rect(out, &format!("base leaf k-{}", palette::id(kind)), at.get("fill")?, at, None)?;
    } else if let (false, [own]) = (it.is_container, it.own.as_slice()) {
        let class = format!("base own k-{}", palette::id(own.kind));
        rect(out, &class, at.get("fill")?, at, None)?;
    } else {
        rect(out, "base", at.get("fill")?, at, None)?;
    }
    for piece in &it.own {
        let stretch = Stretch { start, ns: piece.ns, all_ns };
        own(out, it, *piece, at, &stretch)?;
        start += piece.ns;
    }
    write_label(out, it, at, own_ns, all_ns)?;
    Ok(out.close("g")?)
}

/// Draws the color and the hatch of a part of a box, as far as the box itself is not it.
fn own(
    out: &mut Markup,
    it: &Drawn,
    piece: Piece,
    at: &Placed,
    stretch: &Stretch,
) -> Result<(), SvgError> {
    let id = palette::id(piece.kind);
    if it.is_container || it.own.len() > 1 {
        let color = palette::color(piece.kind).to_string();
        rect(out, &format!("own part k-{id}"), &color, at, Some(stretch))?;
    }
    if piece.is_wait {
        rect(out, &format!("hatch k-{id}"), "url(#hatch)", at, Some(stretch))?;
    }
    Ok(())
}

/// A part of the width.
struct Stretch {
    start: u64,
    ns: u64,
    all_ns: u64,
}

impl Stretch {
    /// Columns for a label.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and no room is no room"
    )]
    fn room(&self) -> usize {
        let pixels = ACROSS * self.ns as f64 / self.all_ns as f64 - 2.0 * LABEL_PAD;
        (pixels / banner::COLUMN) as usize
    }
}

/// Draws a rectangle over the whole box or a part of it. inferno's script moves every one by its `fg:x` and `fg:w`.
fn rect(
    out: &mut Markup,
    class: &str,
    fill: &str,
    at: &Placed,
    part: Option<&Stretch>,
) -> Result<(), SvgError> {
    let part = part.map(|it| {
        let percent = |ns: u64| format!("{:.4}%", 100.0 * ns as f64 / it.all_ns as f64);
        [percent(it.start), percent(it.ns), it.start.to_string(), it.ns.to_string()]
    });
    let (x, width, fg_x, fg_w) = match &part {
        Some([x, width, fg_x, fg_w]) => (x.as_str(), width.as_str(), fg_x.as_str(), fg_w.as_str()),
        None => (at.get("x")?, at.get("width")?, at.get("fg:x")?, at.get("fg:w")?),
    };
    let shape = [
        ("class", class),
        ("x", x),
        ("y", at.get("y")?),
        ("width", width),
        ("height", at.get("height")?),
        ("fill", fill),
        ("fg:x", fg_x),
        ("fg:w", fg_w),
    ];
    Ok(out.empty("rect", &shape)?)
}

/// Writes the label on the larger part of the box: its own time, which lies to the right, or that of its children. In the
/// latter case the tag stands apart, on the own time.
fn write_label(
    out: &mut Markup,
    it: &Drawn,
    at: &Placed,
    own_ns: u64,
    all_ns: u64,
) -> Result<(), SvgError> {
    let left = at.number("fg:x")?;
    let children_ns = it.ns - own_ns;
    let y = (at.number("y")? as f64 + (ROW as f64 - 1.0) / 2.0 + 4.0).to_string();
    let own = Stretch { start: left + children_ns, ns: own_ns, all_ns };
    if own_ns > children_ns {
        return label_on(out, "on-own", &label::fit(&it.name, it.tag, own.room()), &own, &y);
    }
    let children = Stretch { start: left, ns: children_ns, all_ns };
    label_on(out, "on-children", &label::fit(&it.name, "", children.room()), &children, &y)?;
    if !it.tag.is_empty() {
        label_on(out, "on-own part", &label::fit("", it.tag, own.room()), &own, &y)?;
    }
    Ok(())
}

fn label_on(
    out: &mut Markup,
    class: &str,
    (name, tag): &(String, String),
    part: &Stretch,
    y: &str,
) -> Result<(), SvgError> {
    let left = 100.0 * part.start as f64 / part.all_ns as f64;
    let x = format!("{:.4}%", left + 100.0 * LABEL_PAD / ACROSS);
    out.open("text", &[("class", class), ("x", &x), ("y", y)])?;
    out.text(name)?;
    if !tag.is_empty() {
        out.element("tspan", &[], tag)?;
    }
    Ok(out.close("text")?)
}
