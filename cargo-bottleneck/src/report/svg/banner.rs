//! The verdict above the graph: what kind, where to start, how we know, and the legend that filters.

use std::fmt::Write as _;
use std::io;

use super::markup::Markup;
use super::palette::Rgb;
use super::{label, palette};
use crate::kind::Kind;
use crate::report::model::{Confidence, Evidence, Summary, Verdict, VerdictKind};

/// Left edge of everything, in pixels.
pub(super) const MARGIN: usize = 10;

/// Width of a picture that no script has fitted to its window yet, in pixels.
pub(super) const WIDTH: usize = 1200;

/// Width of a column of 12 px text, in pixels, in the widest of the usual fonts.
pub(super) const COLUMN: f64 = 7.25;

/// Of 17 px text in bold.
const HEADLINE_COLUMN: f64 = 10.3;

/// Where the text beside the bar begins.
const TEXT_X: usize = 26;

/// Most measurements in the line that says how we know.
const MAX_EVIDENCE: usize = 3;

/// The text of the banner.
#[derive(Debug)]
pub(super) struct Banner {
    /// Colors of the bar, from top to bottom.
    bar: Vec<Rgb>,
    headline: Vec<String>,
    lines: Vec<(Tone, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Tone {
    Plain,
    Quiet,
    Caution,
}

impl Banner {
    /// The banner for this report.
    pub(super) fn new(summary: &Summary) -> Self {
        let room = columns(WIDTH - TEXT_X - MARGIN, COLUMN);
        let lines = said(summary).into_iter().flat_map(|(tone, text, n_lines)| {
            label::wrap(&text, room, n_lines).into_iter().map(move |line| (tone, line))
        });
        Self {
            bar: bar(summary),
            headline: label::wrap(
                &headline(&summary.verdict),
                columns(WIDTH - TEXT_X - MARGIN, HEADLINE_COLUMN),
                2,
            ),
            lines: lines.collect(),
        }
    }

    /// Height with the space below it, in pixels.
    pub(super) fn height(&self) -> usize {
        10 + 22 * self.headline.len() + 18 * self.lines.len() + 14
    }

    /// Everything that it says, for a screen reader.
    pub(super) fn spoken(&self) -> String {
        let headline = self.headline.iter().map(String::as_str);
        let lines = self.lines.iter().map(|(_, line)| line.as_str());
        headline.chain(lines).collect::<Vec<_>>().join(" ")
    }

    /// The headline in one line.
    pub(super) fn title(&self) -> String {
        self.headline.join(" ")
    }

    /// Draws it at the top.
    pub(super) fn write(&self, out: &mut Markup) -> io::Result<()> {
        out.open("g", &[("id", "headline")])?;
        let height = self.height() - 18;
        let part = height / self.bar.len().max(1);
        for (i, color) in self.bar.iter().enumerate() {
            out.empty(
                "rect",
                &[
                    ("x", &MARGIN.to_string()),
                    ("y", &(10 + i * part).to_string()),
                    ("width", "6"),
                    ("height", &part.to_string()),
                    ("class", "swatch"),
                    ("fill", &color.to_string()),
                ],
            )?;
        }
        for (i, line) in self.headline.iter().enumerate() {
            text(out, "fit", 28 + 22 * i, line)?;
        }
        out.close("g")?;
        let below = 10 + 22 * self.headline.len();
        for (i, (tone, line)) in self.lines.iter().enumerate() {
            let class = match tone {
                Tone::Plain => "fit",
                Tone::Quiet => "fit quiet",
                Tone::Caution => "fit caution",
            };
            text(out, class, below + 15 + 18 * i, line)?;
        }
        Ok(())
    }
}

fn text(out: &mut Markup, class: &str, y: usize, text: &str) -> io::Result<()> {
    let (x, y) = (TEXT_X.to_string(), y.to_string());
    out.element("text", &[("class", class), ("x", &x), ("y", &y)], text)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels of a window over the width of a letter"
)]
pub(super) fn columns(pixels: usize, column: f64) -> usize {
    (pixels as f64 / column) as usize
}

/// One color, or the two largest kinds where the verdict is mixed.
fn bar(summary: &Summary) -> Vec<Rgb> {
    match (summary.verdict.kind, palette::of_verdict(summary.verdict.kind)) {
        (_, Some(kind)) => vec![palette::color(kind)],
        (VerdictKind::Mixed, None) => {
            let mut kinds = [Kind::Memory, Kind::Compute, Kind::Io, Kind::Scheduling];
            kinds.sort_by_key(|&kind| std::cmp::Reverse(ns(summary, kind)));
            kinds[..2].iter().map(|&kind| palette::color(kind)).collect()
        }
        _ => vec![palette::color(Kind::Other)],
    }
}

fn ns(summary: &Summary, kind: Kind) -> u64 {
    summary.kinds.get(palette::id(kind)).map_or(0, |share| share.ns)
}

fn headline(verdict: &Verdict) -> String {
    let headline = label::line(&verdict.headline);
    let confidence = match verdict.confidence {
        Confidence::Weak => "weak",
        Confidence::Moderate => "moderate",
        Confidence::Strong => "strong",
    };
    match verdict.kind {
        // To be strongly unsure says nothing.
        VerdictKind::Inconclusive | VerdictKind::None => headline,
        _ => format!("{headline} (confidence: {confidence})"),
    }
}

/// What the banner says below the headline, with the most lines that each may take.
fn said(summary: &Summary) -> Vec<(Tone, String, usize)> {
    let verdict = &summary.verdict;
    let mut said = Vec::new();
    if let Some(text) = start_at(summary) {
        said.push((Tone::Plain, text, 2));
    }
    let evidence: Vec<String> =
        verdict.evidence.iter().take(MAX_EVIDENCE).map(measurement).collect();
    if !evidence.is_empty() {
        said.push((Tone::Quiet, format!("How we know: {}", evidence.join("; ")), 2));
    }
    if summary.cut {
        let text = "The run did not end by itself: this is what was recorded until then.";
        said.push((Tone::Caution, text.to_owned(), 1));
    }
    if let Some(ns) = summary.stopped_after_ns {
        let text = format!("The program was stopped after {}, as asked.", crate::number::time(ns));
        said.push((Tone::Quiet, text, 1));
    }
    if let Some(first) = summary.warnings.first() {
        let more = match summary.warnings.len() - 1 {
            0 => String::new(),
            n => format!(" ({n} more in the summary)"),
        };
        said.push((Tone::Caution, format!("Note: {}{more}", label::line(first)), 2));
    }
    said
}

/// Where to start, what to do there, and what it would be worth.
fn start_at(summary: &Summary) -> Option<String> {
    let verdict = &summary.verdict;
    let next = label::line(verdict.next.trim_end_matches('.'));
    let place = verdict.span.as_deref().and_then(|id| {
        let span = summary.spans.iter().find(|span| span.id == id)?;
        let site = verdict.site.as_deref().unwrap_or(&span.site);
        Some((place(&span.path), label::line(site)))
    });
    let mut text = match (place, next.as_str()) {
        (Some((path, site)), "") => format!("Start at {path} ({site})"),
        (Some((path, site)), next) => format!("Start at {path} ({site}): {next}"),
        (None, "") => return None,
        (None, next) => format!("Next: {next}"),
    };
    text.push('.');
    if let Some(gain) = verdict.gain {
        let _ = write!(text, " Estimated {gain:.2}x end to end");
        if let Some(bound) = verdict.bound {
            let _ = write!(text, ", at most {bound:.2}x");
        }
        text.push('.');
    }
    Some(text)
}

/// The end of a path: who reads the banner looks for the function, and the graph shows the rest.
fn place(path: &[String]) -> String {
    let shown = &path[path.len().saturating_sub(3)..];
    let names: Vec<String> = shown.iter().map(|name| label::cut(&label::name(name), 60)).collect();
    let more = if shown.len() < path.len() { "… › " } else { "" };
    format!("{more}{}", names.join(" › "))
}

fn measurement(evidence: &Evidence) -> String {
    let Evidence { what, value, unit, of, .. } = evidence;
    let reference = match of {
        Some(ridge) if unit.ends_with("/byte") => {
            let side = if value < ridge { "left" } else { "right" };
            format!(", {side} of the ridge at {}", number(*ridge))
        }
        Some(of) if *of > 0.0 => {
            format!(" = {:.0}% of {} {unit}", 100.0 * value / of, number(*of))
        }
        _ => String::new(),
    };
    label::line(&format!("{what} {} {unit}{reference}", number(*value)))
}

fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 || value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Height of the legend with the space below it, in pixels.
pub(super) const LEGEND_HEIGHT: usize = 30;

/// Draws the legend, whose items filter by kind. `has_waits` adds what the hatch means.
pub(super) fn write_legend(
    out: &mut Markup,
    summary: &Summary,
    y: usize,
    has_waits: bool,
) -> io::Result<()> {
    out.open("g", &[("role", "group"), ("aria-label", "Kinds; choose one to show only its time")])?;
    let mut x = MARGIN;
    for kind in Kind::ALL {
        let share = summary.kinds.get(palette::id(kind)).map_or(0.0, |share| share.share);
        let words = format!("{} {}", kind.word(), label::percent(share));
        let spoken = format!("show only {words}");
        out.open(
            "g",
            &[
                ("class", "legend"),
                ("role", "button"),
                ("tabindex", "0"),
                ("aria-pressed", "false"),
                ("aria-label", &spoken),
                ("data-kind", palette::id(kind)),
            ],
        )?;
        x = item(out, x, y, &palette::color(kind).to_string(), &words)?;
        out.close("g")?;
    }
    out.close("g")?;
    out.open("g", &[("class", "legend")])?;
    x = item(out, x, y, &palette::CONTAINER.to_string(), "spent in the boxes below")?;
    if has_waits {
        let gray = palette::color(Kind::Other).to_string();
        let box_x = x.to_string();
        item(out, x, y, &gray, "waiting")?;
        out.empty("rect", &swatch(&box_x, &y.to_string(), "url(#hatch)"))?;
    }
    out.close("g")
}

fn swatch<'a>(x: &'a str, y: &'a str, fill: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("class", "swatch"),
        ("x", x),
        ("y", y),
        ("width", "14"),
        ("height", "14"),
        ("rx", "2"),
        ("fill", fill),
    ]
}

/// Draws a swatch with its words; returns where the next one begins.
fn item(out: &mut Markup, x: usize, y: usize, fill: &str, words: &str) -> io::Result<usize> {
    out.empty("rect", &swatch(&x.to_string(), &y.to_string(), fill))?;
    let at = [("x", &*(x + 20).to_string()), ("y", &*(y + 11).to_string())];
    out.element("text", &at, words)?;
    Ok(x + 20 + label::width(words) * 29 / 4 + 22)
}
