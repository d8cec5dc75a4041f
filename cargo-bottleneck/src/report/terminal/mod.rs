//! The summary for a terminal: the verdict, where the time goes, and what to do. Pure: a [`Summary`] in, text out.
//!
//! At most 80 columns. Colors only repeat what words and tags say. Warnings are not here: the command shows them as it
//! shows its own.

mod evidence;
mod gpu;
mod line;

#[cfg(test)]
mod tests;

use anstyle::{AnsiColor, Style};

use crate::kind::Kind;
use crate::number::{count, digits, percent, time};
use crate::report::model::{Confidence, Evidence, Finding, Leaf, Phase, Summary, VerdictKind};
use evidence::evidence_words;
use line::{Line, WIDTH, wrap};

/// How the summary may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// With escape sequences for colors.
    pub color: bool,
    /// With bars beside the shares.
    pub bars: bool,
}

/// Findings that are shown.
const MOST_FINDINGS: usize = 3;
/// Measurements of a finding that are shown.
const MOST_EVIDENCE: usize = 4;
/// Functions inside a finding that are shown.
const MOST_HOT: usize = 4;
/// The least share of such a function.
const LEAST_HOT: f64 = 0.03;
/// Columns of the name of such a function.
const MOST_NAME: usize = 40;
/// Phases that are shown.
const MOST_PHASES: usize = 8;
/// Open spans that are shown.
const MOST_OPEN: usize = 3;
/// Bounds below this are not worth a number.
const LEAST_BOUND: f64 = 1.03;
/// Column at which the text of a finding begins.
const TEXT: usize = 8;

/// The whole summary; ends with a line feed.
pub fn render(summary: &Summary, look: Look) -> String {
    let mut page = Page { look, text: String::new() };
    page.verdict(summary);
    page.kinds(summary);
    page.next_of_verdict(summary);
    for (n, finding) in summary.findings.iter().take(MOST_FINDINGS).enumerate() {
        page.finding(n + 1, finding, summary.verdict.confidence);
    }
    page.phases(&summary.phases);
    page.gpu(summary.gpu.as_ref());
    page.notes(summary);
    page.text
}

/// The verdict in one line, without a line feed: `MEMORY-bound: 42% of the time in flight waits for DRAM`.
pub fn short(summary: &Summary) -> String {
    let mut page = String::new();
    let mut line = Line::default();
    line.add(Style::new(), &summary.verdict.headline);
    line.write(false, &mut page);
    page.trim_end().to_owned()
}

struct Page {
    look: Look,
    text: String,
}

impl Page {
    fn line(&mut self, fill: impl FnOnce(&mut Line)) {
        let mut line = Line::default();
        fill(&mut line);
        line.write(self.look.color, &mut self.text);
    }

    /// Text that goes on below its own beginning.
    fn paragraph(&mut self, indent: usize, style: Style, lead: &str, text: &str) {
        let hang = indent + crate::report::escape::columns(lead);
        for (n, part) in wrap(text, WIDTH - hang).iter().enumerate() {
            self.line(|line| {
                line.pad_to(indent).add(style, if n == 0 { lead } else { "" });
                line.pad_to(hang).add(style, part);
            });
        }
    }

    fn verdict(&mut self, summary: &Summary) {
        let verdict = &summary.verdict;
        let style = kind_style(kind_of(verdict.kind)).bold();
        let parts = wrap(&verdict.headline, WIDTH);
        let confidence = format!("confidence: {}", confidence_word(verdict.confidence));
        let has_confidence = !matches!(verdict.kind, VerdictKind::None | VerdictKind::Inconclusive);
        let last = parts.len() - 1;
        for (n, part) in parts.iter().enumerate() {
            let mut fits = true;
            self.line(|line| {
                line.add(style, part);
                if n == last && has_confidence {
                    fits = line.room() > confidence.len();
                    if fits {
                        line.add_right(Style::new(), &confidence);
                    }
                }
            });
            if !fits {
                self.line(|line| {
                    line.add_right(Style::new(), &confidence);
                });
            }
        }
    }

    fn kinds(&mut self, summary: &Summary) {
        self.line(|_| ());
        let mut rows: Vec<(Kind, u64, f64)> = Kind::ALL
            .into_iter()
            .filter_map(|kind| {
                summary.kinds.get(json_name(kind)).map(|share| (kind, share.ns, share.share))
            })
            .filter(|&(kind, ns, _)| ns > 0 || kind == Kind::Other)
            .collect();
        rows.sort_by_key(|&(_, ns, _)| std::cmp::Reverse(ns));
        let has_bars = self.look.bars;
        for (kind, ns, share) in rows {
            self.line(|line| {
                line.add(Style::new(), "  ").add(kind_style(kind), kind.tag());
                line.add(Style::new(), &format!(" {:<11}", kind.word()));
                if has_bars {
                    line.add(kind_style(kind), &bar(share)).pad_to(60);
                }
                line.add(
                    Style::new(),
                    &format!("{:>7}{:>12}", percent_with_digit(share), time(ns)),
                );
            });
        }
        let (busy, idle) = (summary.in_flight_ns, summary.idle_ns);
        if idle > 0 {
            let outside = format!(
                "{} in flight of {}; the rest is in no share",
                time(busy),
                time(summary.wall_ns)
            );
            self.paragraph(2, Style::new().dimmed(), "", &outside);
        }
        self.line(|_| ());
    }

    /// An inconclusive verdict has no finding of its own: what would settle it stands in its place.
    fn next_of_verdict(&mut self, summary: &Summary) {
        let verdict = &summary.verdict;
        if !matches!(verdict.kind, VerdictKind::Inconclusive | VerdictKind::None)
            || verdict.next.is_empty()
        {
            return;
        }
        if let Some(span) =
            summary.spans.iter().find(|span| Some(&span.id) == verdict.span.as_ref())
        {
            self.line(|line| {
                line.add(Style::new(), " ? ")
                    .add(kind_style(Kind::Other), Kind::Other.tag())
                    .pad_to(TEXT);
                let room = line.room();
                line.add(Style::new().bold(), &path_in(&span.path, room));
            });
            self.line(|line| {
                line.pad_to(TEXT).add(Style::new(), verdict.site.as_deref().unwrap_or(""));
            });
            self.hot_inside(&span.leaves);
        }
        self.evidence(&verdict.evidence, &verdict.not_seen);
        self.paragraph(TEXT, Style::new().bold(), "→ ", &verdict.next);
    }

    fn finding(&mut self, n: usize, finding: &Finding, of_verdict: Confidence) {
        let estimate = match (finding.gain, finding.bound) {
            (Some(gain), Some(bound)) => format!("  est. {gain:.2}x (≤{bound:.2}x)"),
            (Some(gain), None) => format!("  est. {gain:.2}x"),
            (None, Some(bound)) if bound >= LEAST_BOUND => format!("  at most {bound:.2}x"),
            (None, Some(_) | None) => String::new(),
        };
        let right = format!("{:>6}{estimate:<24}", percent_with_digit(finding.share));
        self.line(|line| {
            line.add(Style::new(), &format!("{n:>2} "))
                .add(kind_style(finding.kind), finding.kind.tag())
                .pad_to(TEXT);
            let room = WIDTH - TEXT - crate::report::escape::columns(&right) - 1;
            line.add(Style::new().bold(), &path_in(&finding.path, room));
            line.add_right(Style::new(), &right);
        });
        let confidence = if finding.confidence == of_verdict {
            String::new()
        } else {
            format!("confidence: {}", confidence_word(finding.confidence))
        };
        if !finding.site.is_empty() || !confidence.is_empty() {
            self.line(|line| {
                line.pad_to(TEXT).add(
                    Style::new(),
                    &line::cut(&finding.site, WIDTH - TEXT - confidence.len() - 1),
                );
                line.add_right(Style::new(), &confidence);
            });
        }
        self.hot_inside(&finding.leaves);
        self.evidence(&finding.evidence, &finding.not_seen);
        self.paragraph(TEXT, Style::new().bold(), "→ ", &finding.next);
    }

    /// `hot inside: matvec 81%, softmax 9%`; on one line, with as many functions as fit.
    fn hot_inside(&mut self, leaves: &[Leaf]) {
        const LEAD: &str = "hot inside: ";
        // Of a pool that works for the span, the span's own thread has no samples.
        let is_adopted = leaves.iter().all(|leaf| leaf.adopted);
        let mut text = String::new();
        let shown = |leaf: &&Leaf| leaf.adopted == is_adopted && leaf.share >= LEAST_HOT;
        for leaf in leaves.iter().filter(shown).take(MOST_HOT) {
            let name = line::cut(&crate::report::escape::shown_name(&leaf.function), MOST_NAME);
            let part = format!("{name} {}", percent(leaf.share));
            let separator = if text.is_empty() { "" } else { ", " };
            let columns = TEXT + LEAD.len() + crate::report::escape::columns(&text);
            let more = separator.len() + crate::report::escape::columns(&part);
            if WIDTH < columns + more {
                break;
            }
            text.push_str(separator);
            text.push_str(&part);
        }
        if !text.is_empty() {
            self.paragraph(TEXT, Style::new(), LEAD, &text);
        }
    }

    fn evidence(&mut self, evidence: &[Evidence], not_seen: &[String]) {
        for evidence in evidence.iter().take(MOST_EVIDENCE) {
            self.paragraph(TEXT, Style::new(), "| ", &evidence_words(evidence));
        }
        for missing in not_seen {
            self.paragraph(TEXT, Style::new().dimmed(), "| ", &format!("not seen: {missing}"));
        }
    }

    fn phases(&mut self, phases: &[Phase]) {
        if phases.is_empty() {
            return;
        }
        self.line(|_| ());
        self.paragraph(2, Style::new(), "", "Phases:");
        for phase in phases.iter().take(MOST_PHASES) {
            let verdict = &phase.verdict;
            self.line(|line| {
                line.add(Style::new(), "    ")
                    .add(
                        Style::new().bold(),
                        &line::cut(&crate::report::escape::shown_name(&phase.key), 15),
                    )
                    .pad_to(20);
                line.add(
                    Style::new(),
                    &format!(
                        "{:>6}{:>10}  ",
                        percent_with_digit(phase.share),
                        time(phase.total_ns)
                    ),
                );
                line.add(kind_style(kind_of(verdict.kind)), verdict_word(verdict.kind));
                if let Some(subkind) = &verdict.subkind {
                    line.add(Style::new(), &format!(", {subkind}"));
                }
                if !matches!(verdict.kind, VerdictKind::None | VerdictKind::Inconclusive) {
                    line.add(
                        Style::new(),
                        &format!(
                            " {} ({})",
                            percent(verdict.share),
                            confidence_word(verdict.confidence)
                        ),
                    );
                }
            });
        }
        if phases.len() > MOST_PHASES {
            let more = format!("and {} more phases in summary.json", phases.len() - MOST_PHASES);
            self.paragraph(2, Style::new(), "", &more);
        }
    }

    fn notes(&mut self, summary: &Summary) {
        self.line(|_| ());
        if summary.cut {
            let how = match (summary.exit.signal, summary.exit.code) {
                (Some(signal), _) => format!("signal {signal} ended the run"),
                (None, Some(code)) => format!("the run did not end by itself (exit code {code})"),
                (None, None) => "the run did not end by itself".to_owned(),
            };
            self.paragraph(
                2,
                Style::new().bold(),
                "Cut: ",
                &format!("{how}; this is what it had recorded until then"),
            );
        }
        if let Some(ns) = summary.stopped_after_ns {
            let text = format!("after {}, as asked", crate::number::time(ns));
            self.paragraph(2, Style::new(), "Stopped: ", &text);
        }
        for path in summary.open_spans.iter().take(MOST_OPEN) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.paragraph(2, Style::new(), "Open at the end: ", &path.join(" › "));
        }
        if summary.open_spans.len() > MOST_OPEN {
            let more = format!("and {} more in summary.json", summary.open_spans.len() - MOST_OPEN);
            self.paragraph(2, Style::new(), "Open at the end: ", &more);
        }
        let shown = |missing: &&String| {
            let is_with_verdict =
                matches!(summary.verdict.kind, VerdictKind::Inconclusive | VerdictKind::None);
            is_with_verdict
                || summary
                    .findings
                    .iter()
                    .take(MOST_FINDINGS)
                    .any(|finding| finding.not_seen.contains(missing))
        };
        for missing in summary.verdict.not_seen.iter().filter(|missing| !shown(missing)) {
            self.paragraph(2, Style::new(), "Not seen: ", missing);
        }
        if !summary.checked.is_empty() {
            self.paragraph(2, Style::new(), "Checked, no problem: ", &summary.checked.join(", "));
        }
        if !summary.skipped.is_empty() {
            self.paragraph(2, Style::new(), "Skipped: ", &summary.skipped.join(", "));
        }
        if summary.samples.n > 0 {
            let n = count(summary.samples.n);
            let within = format!("{:.1}", 100.0 * summary.samples.interval);
            let text = format!("{n} moments; the largest share is within {within} points (95%)");
            self.paragraph(2, Style::new(), "Sampled: ", &text);
        }
        if let Some(lost) = lost(summary) {
            self.paragraph(2, Style::new().bold(), "Lost: ", &lost);
        }
        if let Some(share) = summary.overhead.share {
            let per_span = |ns| format!(" ({} ns a span)", digits(ns));
            let span = summary.overhead.span_ns.map(per_span).unwrap_or_default();
            let cost = format!("{} of the program's CPU time, estimated{span}", percent(share));
            self.paragraph(2, Style::new(), "Recording cost: ", &cost);
        }
        if summary.findings.iter().take(MOST_FINDINGS).any(|it| it.gain.or(it.bound).is_some()) {
            let estimates =
                "Estimates are end to end, one at a time; they overlap, do not add them.";
            self.paragraph(2, Style::new().dimmed(), "", estimates);
        }
    }
}

fn lost(summary: &Summary) -> Option<String> {
    let lost = &summary.lost;
    let parts: Vec<String> = [
        (lost.spans, "spans"),
        (lost.refused, "calls on new paths that had no room (their time is in the span around)"),
        (lost.switches, "context-switch records"),
    ]
    .into_iter()
    .filter(|&(n, _)| n > 0)
    .map(|(n, what)| format!("{} {what}", count(n)))
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The names of a path from the innermost outwards, as many as there is room for.
fn path_in(path: &[String], room: usize) -> String {
    const BETWEEN: &str = " › ";
    const LEFT_OUT: &str = "… › ";
    let mut res = String::new();
    for (left, name) in path.iter().enumerate().rev() {
        let name = crate::report::escape::shown_name(name);
        let longer = if res.is_empty() { name } else { format!("{name}{BETWEEN}{res}") };
        let mark = if left > 0 { crate::report::escape::columns(LEFT_OUT) } else { 0 };
        if !res.is_empty() && crate::report::escape::columns(&longer) + mark > room {
            return format!("{LEFT_OUT}{res}");
        }
        res = longer;
    }
    line::cut(&res, room)
}

/// Columns of the longest bar.
const BAR: usize = 42;

fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and eight times 42"
    )]
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    // What is there at all is seen.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn percent_with_digit(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn kind_of(verdict: VerdictKind) -> Kind {
    match verdict {
        VerdictKind::Memory => Kind::Memory,
        VerdictKind::Compute => Kind::Compute,
        VerdictKind::Io => Kind::Io,
        VerdictKind::Scheduling => Kind::Scheduling,
        VerdictKind::Mixed | VerdictKind::Inconclusive | VerdictKind::None => Kind::Other,
    }
}

fn verdict_word(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Memory => "memory",
        VerdictKind::Compute => "compute",
        VerdictKind::Io => "I/O",
        VerdictKind::Scheduling => "scheduling",
        VerdictKind::Mixed => "mixed",
        VerdictKind::Inconclusive => "inconclusive",
        VerdictKind::None => "no bottleneck",
    }
}

fn confidence_word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Weak => "weak",
        Confidence::Moderate => "moderate",
        Confidence::Strong => "strong",
    }
}

fn json_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory => "memory",
        Kind::Compute => "compute",
        Kind::Io => "io",
        Kind::Scheduling => "scheduling",
        Kind::Other => "other",
    }
}

fn kind_style(kind: Kind) -> Style {
    match kind {
        Kind::Memory => AnsiColor::Blue.on_default(),
        Kind::Compute => AnsiColor::Red.on_default(),
        Kind::Io => AnsiColor::Yellow.on_default(),
        Kind::Scheduling => AnsiColor::Magenta.on_default(),
        Kind::Other => Style::new(),
    }
}
