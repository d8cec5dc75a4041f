//! The boxes of the flame graph: only time in flight, and one kind for the uncovered width of each box.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::number::{count, percent, time};
use crate::profile::{Profile, RowIdx, SpanIdx, ThreadIdx};
use crate::report::model::{Evidence, Frame, FrameLeaf};

use super::blame::{Blamed, Part};
use super::classify::Classification;
use super::facts::Facts;
use super::leaves::Leaf;
use super::ledger::Ledger;
use super::subkind::Subkind;
use super::{Analysis, Column, Context, identity, wording};

/// The tree of boxes; with several threads each has a box below the program's.
pub(super) fn frames(
    profile: &Profile,
    analysis: &Analysis,
    context: &Context,
    facts: &Facts<'_>,
) -> Frame {
    let parts = Parts::of(profile, &analysis.ledger, &analysis.classes);
    let several = identity::has_several_threads(profile, analysis);
    let mut top = container(context.program.clone());
    for (index, thread) in profile.program_threads() {
        let boxes = thread_frames(profile, analysis, facts, &parts, index);
        if several && !boxes.is_empty() {
            let mut frame = container(format!("[thread {}]", identity::thread_name(thread)));
            frame.total_ns = boxes.iter().map(|child| child.total_ns).sum();
            frame.children = boxes;
            top.children.push(frame);
        } else {
            top.children.extend(boxes);
        }
    }
    top.total_ns = top.children.iter().map(|child| child.total_ns).sum();
    top
}

fn container(name: String) -> Frame {
    Frame {
        name,
        span: None,
        site: None,
        total_ns: 0,
        self_ns: 0,
        kind: Kind::Other,
        is_wait: false,
        calls: 0,
        notes: Vec::new(),
        leaves: Vec::new(),
        children: Vec::new(),
    }
}

/// The outermost boxes of a thread. Built from the last path to the first, so that children are done before their parent
/// without recursion.
fn thread_frames(
    profile: &Profile,
    analysis: &Analysis,
    facts: &Facts<'_>,
    parts: &Parts,
    thread: ThreadIdx,
) -> Vec<Frame> {
    let range = profile.threads[thread].spans.clone();
    let first = range.start;
    // The boxes inside each path, in reverse order; those of the thread behind the paths'.
    let mut inside: Vec<Vec<Frame>> = vec![Vec::new(); range.len() + 1];
    for at in range.rev() {
        let span = SpanIdx::from_position(at);
        let mut children = std::mem::take(&mut inside[at - first]);
        children.reverse();
        let frame = span_frame(profile, analysis, facts, &parts.0[span], span, children);
        if frame.total_ns > 0 {
            let parent = profile.spans[span]
                .parent
                .map_or(inside.len() - 1, |parent| parent.position() - first);
            inside[parent].push(frame);
        }
    }
    let mut res = inside.pop().unwrap_or_default();
    res.reverse();
    res
}

/// What the time of a path is made of, without the paths inside it.
#[derive(Clone, Debug, Default)]
struct Own {
    on_cpu_ns: u64,
    /// Boxes of their own: label, kind, whether nothing ran, time.
    others: BTreeMap<(String, Kind, bool), u64>,
}

/// By path.
struct Parts(Column<SpanIdx, Own>);

impl Parts {
    fn of(profile: &Profile, ledger: &Ledger, classes: &Classification) -> Self {
        let mut res = Column::filled(profile.spans.len(), Own::default());
        for row in &ledger.rows {
            let own = &mut res[row.blamed.span];
            let main = classes.spans[row.blamed.span].on_cpu;
            match label(profile, main, &row.blamed) {
                None => own.on_cpu_ns += row.ns,
                Some((label, is_wait)) => {
                    *own.others.entry((label, row.blamed.kind, is_wait)).or_default() += row.ns;
                }
            }
        }
        Self(res)
    }
}

/// Whether kernels were captured into a graph there.
fn is_captured(profile: &Profile, span: SpanIdx) -> bool {
    profile.devices.as_ref().is_some_and(|it| it.captured.get(&span).is_some_and(|&n| 0 < n))
}

/// How the label of a box of threads without spans begins.
const HELPERS: &str = "[threads without spans: ";

/// The label of a box for what is not the path's own time on the CPU, or not of its `main` kind, and whether nothing runs
/// there.
fn label(profile: &Profile, main: Kind, blamed: &Blamed) -> Option<(String, bool)> {
    Some(match (blamed.part, blamed.subkind, blamed.cause) {
        (Part::OnCpu, ..) if blamed.kind == main => return None,
        (Part::OnCpu, subkind, _) => {
            (format!("[{} part]", blamed.kind.word()), subkind == Some(Subkind::Spin))
        }
        (Part::Helpers, ..) => {
            let name = blamed.helper.map_or_else(String::new, |it| wording::pool_name(profile, it));
            (format!("{HELPERS}{name}]"), false)
        }
        (Part::Device, Some(Subkind::DeviceCopy), _) => ("[GPU: copies]".to_owned(), false),
        // The span is that of the capture; the time is that of all launches.
        (Part::Device, ..) if is_captured(profile, blamed.span) => {
            ("[GPU: kernels in CUDA graphs]".to_owned(), false)
        }
        (Part::Device, ..) => ("[GPU: kernels]".to_owned(), false),
        (Part::DeviceIdle, subkind, _) => {
            let why = subkind.map_or("idle", Subkind::word);
            (format!("[GPU waits: {why}]"), true)
        }
        (Part::HeldUp, Some(Subkind::StarvedQueue), _) => ("[starves others]".to_owned(), false),
        (Part::HeldUp, ..) => ("[others wait for this]".to_owned(), false),
        (Part::Preempted, Some(Subkind::Throttled), _) => ("[throttled]".to_owned(), true),
        (Part::Preempted, ..) => ("[preempted]".to_owned(), true),
        (Part::Waits, _, Some(cause)) => (format!("[waiting for {}]", cause.words()), true),
        (Part::Waits, _, None) => ("[waiting]".to_owned(), true),
    })
}

/// The line of such a box's tooltip.
fn note(label: &str, kind: Kind) -> &'static str {
    match label.trim_start_matches('[').split([' ', ':', ']']).next() {
        Some("preempted") => "could run, but had no CPU",
        Some("throttled") => "could run, but the control group had used up its CPU time",
        Some("threads") => "ran while this span waited for them",
        Some("GPU") if label.starts_with("[GPU:") => "a device ran what this span submitted",
        Some("GPU") => "a device had nothing to run",
        Some("others") => "the others of its region are done and wait for it",
        Some("memory" | "compute" | "I/O" | "scheduling" | "other") => {
            "time on the CPU that is of another kind than the rest"
        }
        Some("starves") => "another thread waits for what this one makes",
        _ if kind == Kind::Other => "waits in this span; what for is not known",
        _ => "waits in this span",
    }
}

fn span_frame(
    profile: &Profile,
    analysis: &Analysis,
    facts: &Facts<'_>,
    own: &Own,
    span: SpanIdx,
    mut children: Vec<Frame>,
) -> Frame {
    let (path, span_label) = (&profile.spans[span], &analysis.labels[span]);
    let class = analysis.classes.spans[span];
    let n_spans = children.len();
    for ((label, kind, is_wait), &ns) in &own.others {
        children.push(Frame {
            name: label.clone(),
            span: Some(span_label.id.clone()),
            site: Some(span_label.site.clone()).filter(|site| !site.is_empty()),
            total_ns: ns,
            self_ns: ns,
            kind: *kind,
            is_wait: *is_wait,
            calls: path.calls,
            notes: vec![note(label, *kind).to_owned()],
            leaves: Vec::new(),
            children: Vec::new(),
        });
    }
    let (adopted, leaves): (Vec<_>, Vec<_>) =
        analysis.leaves.of_spans([span]).into_iter().partition(|leaf| leaf.adopted);
    for helper in helpers(&mut children[n_spans..]) {
        helper.leaves = adopted.iter().map(|leaf| frame_leaf(leaf, helper.self_ns, None)).collect();
    }
    let covered: u64 = children.iter().map(|child| child.total_ns).sum();
    let name = path
        .key
        .as_ref()
        .map_or_else(|| span_label.name.clone(), |key| format!("{} [{key}]", span_label.name));
    Frame {
        name,
        span: Some(span_label.id.clone()),
        site: Some(span_label.site.clone()).filter(|site| !site.is_empty()),
        total_ns: covered + own.on_cpu_ns,
        self_ns: own.on_cpu_ns,
        kind: class.on_cpu,
        is_wait: class.subkind == Some(Subkind::Spin),
        calls: path.calls,
        notes: notes(profile, analysis, facts, span),
        leaves: leaves
            .iter()
            .map(|leaf| frame_leaf(leaf, own.on_cpu_ns, Some(&profile.sites[path.site].name)))
            .collect(),
        children,
    }
}

/// The boxes of the threads without spans, if all of them are of one pool: whose the samples are is not known.
fn helpers(others: &mut [Frame]) -> Vec<&mut Frame> {
    let res: Vec<&mut Frame> =
        others.iter_mut().filter(|frame| frame.name.starts_with(HELPERS)).collect();
    if res.windows(2).all(|pair| pair[0].name == pair[1].name) { res } else { Vec::new() }
}

/// A leaf as a part of `own_ns`, which is the own time of the span's box. What it is inlined into is told up to the annotated
/// function.
fn frame_leaf(leaf: &Leaf, own_ns: u64, annotated: Option<&str>) -> FrameLeaf {
    let n = if leaf.samples == 1 {
        "1 sample".to_owned()
    } else {
        format!("{} samples", count(leaf.samples))
    };
    let of = if leaf.adopted {
        "what threads without spans do here"
    } else {
        "the span's own time on the CPU"
    };
    let mut notes = vec![format!("{n}, {} of {of}", percent(leaf.share()))];
    if leaf.full != leaf.function {
        notes.push(leaf.full.clone());
    }
    let callers: Vec<&str> = leaf
        .callers
        .iter()
        .map(String::as_str)
        .take_while(|&caller| Some(last_name(caller)) != annotated)
        .collect();
    if !callers.is_empty() {
        notes.push(format!("inlined into {}", callers.join(", in ")));
    }
    FrameLeaf {
        name: leaf.function.clone(),
        site: leaf.file.as_ref().map(|file| match leaf.line {
            Some(line) => format!("{file}:{line}"),
            None => file.clone(),
        }),
        ns: leaf.part(own_ns),
        kind: leaf.kind,
        is_inlined: leaf.is_inlined,
        notes,
    }
}

/// `forward` of `Linear::forward`; of a closure the function that it is in.
fn last_name(function: &str) -> &str {
    let function = function.strip_suffix("::{closure}").unwrap_or(function);
    function.rsplit("::").next().unwrap_or(function)
}

/// The lines of a tooltip.
fn notes(profile: &Profile, analysis: &Analysis, facts: &Facts<'_>, span: SpanIdx) -> Vec<String> {
    let (path, class) = (&profile.spans[span], analysis.classes.spans[span]);
    let self_time = analysis.times[span];
    let mut res =
        vec![format!("self {}: {} on CPU", time(self_time.wall_ns), time(self_time.on_cpu_ns))];
    if let Some(region) = &analysis.classes.regions[class.owner] {
        res.extend(wording::region_evidence(region).iter().map(evidence_line));
    }
    if profile.sites[profile.spans[class.owner].site].asserted.is_some() {
        res.push(format!("{}: asserted by the author", class.on_cpu.word()));
    }
    if let Some(polling) = path.polling {
        res.push(format!("{} polls, {} between them", polling.polls, time(polling.waiting_ns)));
    }
    if profile.is_open(span) {
        res.push("a call was open when the run ended".to_owned());
    }
    let next = match class.on_cpu {
        // A hint at every box without work would drown the others: only where it is worth it.
        Kind::Other if self_time.on_cpu_ns.saturating_mul(20) < analysis.thread_kinds.total() => {
            String::new()
        }
        Kind::Other => wording::settle_on_cpu(&facts.labels[class.owner].name, class.reason),
        kind => wording::next_step(
            kind,
            class.subkind,
            analysis.classes.regions[class.owner].map(|region| region.work.dtype),
        ),
    };
    if !next.is_empty() && self_time.on_cpu_ns > 0 {
        res.push(format!("→ {next}"));
    }
    res
}

/// `DRAM bandwidth 19.1 GB/s = 87% of 22.0 GB/s`.
fn evidence_line(evidence: &Evidence) -> String {
    let value =
        format!("{} {} {}", evidence.what, crate::number::digits(evidence.value), evidence.unit);
    match evidence.of {
        Some(of) if evidence.unit.ends_with("/byte") => {
            format!("{value}, ridge at {}", crate::number::digits(of))
        }
        Some(of) if of > 0.0 => {
            format!(
                "{value} = {} of {} {}",
                percent(evidence.value / of),
                crate::number::digits(of),
                evidence.unit
            )
        }
        _ => value,
    }
}
