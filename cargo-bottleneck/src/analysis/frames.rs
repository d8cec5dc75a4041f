//! The boxes of the flame graph: only time in flight, and one kind for the uncovered width of each box.

use crate::kind::Kind;
use crate::number::{percent, time};
use crate::profile::{Profile, RowIdx, SpanIdx, ThreadIdx};
use crate::report::model::{Evidence, Frame};

use super::finding::Facts;
use super::{Analysis, Context, identity, wording};

/// The tree of boxes; with several threads each has a box below the program's.
pub(super) fn frames(
    profile: &Profile,
    analysis: &Analysis,
    context: &Context,
    facts: &Facts<'_>,
) -> Frame {
    let several = analysis.in_flight.threads > 1;
    let mut top = container(context.program.clone());
    for (index, thread) in profile.program_threads() {
        let boxes = thread_frames(profile, analysis, facts, index);
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
        children: Vec::new(),
    }
}

/// The outermost boxes of a thread. Built from the last path to the first, so that children are done before their parent
/// without recursion.
fn thread_frames(
    profile: &Profile,
    analysis: &Analysis,
    facts: &Facts<'_>,
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
        let frame = span_frame(profile, analysis, facts, span, children);
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

fn span_frame(
    profile: &Profile,
    analysis: &Analysis,
    facts: &Facts<'_>,
    span: SpanIdx,
    mut children: Vec<Frame>,
) -> Frame {
    let (path, label) = (&profile.spans[span], &analysis.labels[span]);
    let class = analysis.classes.spans[span];
    let counts = analysis.in_flight.counts[span];
    let time = if counts { analysis.times[span] } else { super::SelfTime::default() };
    let mut part = |name: &str, ns: u64, kind: Kind, note: &str| {
        if ns > 0 {
            children.push(Frame {
                name: name.to_owned(),
                span: Some(label.id.clone()),
                site: Some(label.site.clone()).filter(|site| !site.is_empty()),
                total_ns: ns,
                self_ns: ns,
                kind,
                is_wait: true,
                calls: path.calls,
                notes: vec![note.to_owned()],
                children: Vec::new(),
            });
        }
    };
    let cause = if class.waits == Kind::Other {
        "waits in this span; their cause is not known"
    } else {
        "waits in this span, of the asserted kind"
    };
    part("[waiting]", time.blocked_ns, class.waits, cause);
    part("[preempted]", time.preempted_ns, Kind::Scheduling, "could run, but had no CPU");
    let covered: u64 = children.iter().map(|child| child.total_ns).sum();
    let name = path
        .key
        .as_ref()
        .map_or_else(|| label.name.clone(), |key| format!("{} [{key}]", label.name));
    Frame {
        name,
        span: Some(label.id.clone()),
        site: Some(label.site.clone()).filter(|site| !site.is_empty()),
        total_ns: covered + time.on_cpu_ns,
        self_ns: time.on_cpu_ns,
        kind: class.on_cpu,
        is_wait: false,
        calls: path.calls,
        notes: notes(profile, analysis, facts, span),
        children,
    }
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
        Kind::Other if self_time.on_cpu_ns.saturating_mul(20) < analysis.in_flight.thread_ns => {
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
