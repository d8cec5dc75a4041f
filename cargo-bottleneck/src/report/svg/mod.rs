//! The annotated flame graph: one SVG file that says where the time goes, of which kind it is, and what to do.
//!
//! Time lies from left to right and calls from top to bottom. A box is painted in the color of a kind exactly as far as
//! it is time of that kind: the part that boxes below cover is pale. So the painted areas have the shares of the legend. The
//! functions inside a span hang below that part in a lighter shade, which is in no share: they say where in it the time is.
//!
//! The way of the data: `fold` chooses the boxes, `frames` turns them into stacks of keys, inferno lays those out,
//! `chart` reads the result, and `annotate` writes the picture. Names never pass through inferno, whose formats they
//! could break, and nothing from the profiled program is ever markup or script. The output depends on the input alone.

mod annotate;
mod banner;
mod chart;
mod fold;
mod frames;
mod label;
mod markup;
mod palette;

#[cfg(test)]
mod browser_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::io::{self, Cursor};

use inferno::flamegraph::color::{BackgroundColor, PaletteMap};
use inferno::flamegraph::{self, Direction, FuncFrameAttrsMap, Options, TextTruncateDirection};

use self::annotate::Texts;
use self::banner::Banner;
use self::chart::{Chart, Placed};
use self::fold::Node;
use self::frames::{Drawn, Layout};
use crate::number;
use crate::report::model::{Frame, Summary};

/// Where inferno's script and style come from: its license asks that whoever gets them is told.
const NOTICE: &str = "the first style section and the first script of this file are those of inferno, under the \
                      Common Development and Distribution License, version 1.0 (CDDL-1.0). Their source: \
                      https://github.com/jonhoo/inferno";

/// Why there is no picture.
#[derive(Debug)]
pub enum SvgError {
    /// inferno refused the stacks.
    Inferno(io::Error),
    /// inferno's output is not XML.
    Xml(quick_xml::Error),
    /// inferno's output is not shaped as expected; says how.
    Layout(String),
}

impl fmt::Display for SvgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inferno(error) => write!(f, "cannot lay out the flame graph: {error}"),
            Self::Xml(error) => write!(f, "cannot read the laid out flame graph: {error}"),
            Self::Layout(what) => {
                write!(f, "cannot annotate the flame graph: the layout holds {what}")
            }
        }
    }
}

impl std::error::Error for SvgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inferno(error) => Some(error),
            Self::Xml(error) => Some(error),
            Self::Layout(_) => None,
        }
    }
}

impl From<io::Error> for SvgError {
    fn from(error: io::Error) -> Self {
        Self::Inferno(error)
    }
}

impl From<quick_xml::Error> for SvgError {
    fn from(error: quick_xml::Error) -> Self {
        Self::Xml(error)
    }
}

impl From<quick_xml::encoding::EncodingError> for SvgError {
    fn from(error: quick_xml::encoding::EncodingError) -> Self {
        Self::Xml(error.into())
    }
}

/// Draws the flame graph of `root_frames` (one per thread, or one) below the verdict of `summary`.
///
/// Widths are sums of [`Frame::self_ns`]. At most about 3000 boxes are drawn: frames that are narrower than half a pixel
/// share a box per parent. Without any time the picture says why it is empty. Takes some 10 ms for a full picture, whose
/// size is about 1.5 MB.
///
/// # Errors
/// Only if inferno's output is not what this version expects.
pub fn render(summary: &Summary, root_frames: &[Frame]) -> Result<Vec<u8>, SvgError> {
    let root = fold::fold(root_frames);
    let texts = Texts {
        summary,
        banner: Banner::new(summary),
        title: title(summary),
        subtitle: subtitle(has_leaves(root_frames)),
    };
    if root.ns == 0 {
        return annotate::empty(&texts, &reasons(summary));
    }
    let host = Graph::new(&root, 'f')?;
    let of_devices = summary.gpu.as_ref().map_or(&[][..], |gpu| &gpu.frames);
    let devices = fold::fold(of_devices);
    let devices = if devices.ns > 0 { Some(Graph::new(&devices, 'd')?) } else { None };
    annotate::annotate(&host, devices.as_ref(), &texts)
}

/// One of the two graphs of a picture: host time, or device time.
struct Graph {
    layout: Layout,
    chart: Chart,
}

impl Graph {
    fn new(root: &Node<'_>, prefix: char) -> Result<Self, SvgError> {
        let layout = frames::lay_out(root, prefix);
        let chart = chart::read(&lay_out(&layout)?)?;
        Ok(Self { layout, chart })
    }

    /// Its rows.
    fn rows(&self) -> usize {
        self.layout.boxes.iter().map(|it| it.depth + 1).max().unwrap_or(0)
    }

    /// Where a box lies.
    fn place(&self, position: usize) -> Result<&Placed, SvgError> {
        let key = if position == 0 { String::new() } else { self.layout.key(position) };
        self.chart.boxes.get(&key).ok_or_else(|| SvgError::Layout(format!("no box `{key}`")))
    }
}

/// inferno's picture of the keys.
fn lay_out(layout: &Layout) -> Result<String, SvgError> {
    let mut palette = PaletteMap::default();
    let mut attributes = String::new();
    for (i, it) in layout.boxes.iter().enumerate() {
        // inferno knows the box of everything by an empty name, which cannot have attributes.
        let key = if i == 0 { String::new() } else { layout.key(i) };
        palette.insert(&key, base_color(it).into());
        // Writing to a string cannot fail.
        let _ = writeln!(attributes, "{key}\tid={key}");
    }
    let mut options = Options::default();
    options.palette_map = Some(&mut palette);
    options.func_frameattrs = FuncFrameAttrsMap::from_reader(Cursor::new(attributes))?;
    NOTICE.clone_into(&mut options.notes);
    options.name_type = String::new();
    options.bgcolors = Some(BackgroundColor::Flat(palette::Rgb(0xFF, 0xFF, 0xFF).into()));
    options.direction = Direction::Inverted;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.frame_height = annotate::ROW;
    options.min_width = 0.0;
    options.search_color = palette::FOUND.to_search_color()?;
    // The only mode that keeps the order it is given. Sorted by bytes, `serve::inner` would come between the stacks of
    // `serve` and split its box in two. It takes the lines from last to first.
    options.flame_chart = true;
    let mut svg = Vec::new();
    let stacks = layout.stacks.iter().rev().map(String::as_str);
    flamegraph::from_lines(&mut options, stacks, &mut svg)?;
    String::from_utf8(svg).map_err(|_| SvgError::Layout("text that is not UTF-8".to_owned()))
}

/// Color of the whole box, before parts of it are painted over.
fn base_color(it: &Drawn) -> palette::Rgb {
    if let Some(kind) = it.leaf {
        return palette::shade(kind);
    }
    match (it.is_container, it.own.as_slice()) {
        (false, [own]) => palette::color(own.kind),
        _ => palette::CONTAINER,
    }
}

fn has_leaves(frames: &[Frame]) -> bool {
    let mut open: Vec<&Frame> = frames.iter().collect();
    while let Some(frame) = open.pop() {
        if !frame.leaves.is_empty() {
            return true;
        }
        open.extend(&frame.children);
    }
    false
}

fn subtitle(has_leaves: bool) -> String {
    let width = "Width is time. The color of a box is the kind of its own time.";
    let leaves = " Lighter boxes are the functions that it is spent in, from samples.";
    format!("{width}{}", if has_leaves { leaves } else { "" })
}

fn title(summary: &Summary) -> String {
    let in_flight = number::time(summary.in_flight_ns);
    let wall = number::time(summary.wall_ns);
    format!("{}: {in_flight} in flight, {wall} from start to end", label::name(&summary.program))
}

/// Why there is nothing to draw, and how to go on.
fn reasons(summary: &Summary) -> Vec<String> {
    let mut reasons = if summary.spans.is_empty() {
        vec![
            "No span was recorded, so there is no graph.".to_owned(),
            "Annotate the functions that may be slow with #[bottleneck], check that the run calls them, and run again."
                .to_owned(),
        ]
    } else if summary.in_flight_ns == 0 {
        vec![
            "Nothing was asked of the program while it was recorded, so there is no graph."
                .to_owned(),
            "Send it requests while it runs, and run again.".to_owned(),
        ]
    } else {
        vec![
            "No span took any time that could be divided by kind, so there is no graph.".to_owned(),
        ]
    };
    reasons.extend(
        summary.warnings.iter().skip(1).take(5).map(|it| format!("Note: {}", label::line(it))),
    );
    reasons
}
