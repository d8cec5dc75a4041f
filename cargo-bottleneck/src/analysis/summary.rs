//! An [`Analysis`] as reports hold it: the summary and the boxes of the flame graph.

use crate::kind::Kind;
use crate::profile::{OffCpuSource, Profile, SpanIdx};
use crate::report::model::{
    Frame, Lost, MachineView, Overhead, SCHEMA, Samples, Span, Summary, Wait,
};

use super::cause::Cause;
use super::facts::Facts;
use super::kinds::ratio;
use super::testimony::Witness;
use super::{Analysis, Context, device, frames, identity, verdict, wording};

/// Fills the model of the reports. Pure; a path of depth `d` costs `d` names.
pub fn summarize(profile: &Profile, analysis: &Analysis, context: &Context) -> (Summary, Frame) {
    let facts = Facts {
        profile,
        times: &analysis.times,
        classes: &analysis.classes,
        labels: &analysis.labels,
        witness: analysis.sampled.as_ref().map(|it| -> &dyn Witness { it }),
        no_ceilings: context.ceilings.as_ref().err().map(String::as_str),
        ledger: &analysis.ledger,
        devices: analysis.devices.as_ref(),
        leaves: &analysis.leaves,
        has_requests: analysis.in_flight.has_requests,
    };
    let program_spans = || {
        profile
            .spans
            .indices()
            .filter(|&span| !profile.threads[profile.spans[span].thread].is_recorder)
    };
    let several = identity::has_several_threads(profile, analysis);
    let spans = program_spans().map(|span| span_row(&facts, span, several)).collect();
    let open = program_spans().filter(|&span| profile.is_open(span));
    let innermost_open =
        open.filter(|&span| !profile.children(span).any(|child| profile.is_open(child)));
    let summary = Summary {
        schema: SCHEMA,
        program: context.program.clone(),
        command: context.command.clone(),
        exit: context.exit,
        wall_ns: profile.life_ns,
        machine: machine(profile, context),
        verdict: analysis.verdict.clone(),
        findings: analysis.findings.clone(),
        checked: analysis.checked.clone(),
        skipped: analysis.skipped.clone(),
        phases: analysis.phases.clone(),
        in_flight_ns: analysis.ledger.in_flight_ns,
        idle_ns: analysis.ledger.idle_ns,
        cut: profile.is_cut,
        stopped_after_ns: None,
        pid: profile.pid,
        samples: Samples { n: analysis.ledger.n, interval: analysis.ledger.interval },
        on_cpu_source: on_cpu_source(profile).to_owned(),
        kinds: analysis.kinds.shares(),
        thread_kinds: analysis.thread_kinds.shares(),
        gpu: device::section(profile, analysis.devices.as_ref(), &analysis.labels),
        spans,
        open_spans: innermost_open
            .map(|span| identity::path_names(profile, &analysis.labels, span))
            .collect(),
        lost: Lost {
            spans: profile.losses.spans,
            refused: profile.losses.refused,
            switches: profile.losses.switches,
        },
        overhead: overhead(profile, analysis),
        warnings: analysis.warnings.clone(),
    };
    (summary, frames::frames(profile, analysis, context, &facts))
}

fn span_row(facts: &Facts<'_>, span: SpanIdx, several_threads: bool) -> Span {
    let (profile, path, label) = (facts.profile, &facts.profile.spans[span], &facts.labels[span]);
    let (time, class) = (facts.times[span], facts.classes.spans[span]);
    let thread = &profile.threads[path.thread];
    Span {
        id: label.id.clone(),
        path: identity::path_names(profile, facts.labels, span),
        name: label.name.clone(),
        key: path.key.as_deref().map(str::to_owned),
        site: label.site.clone(),
        thread: if several_threads { identity::thread_name(thread) } else { String::new() },
        calls: path.calls,
        total_ns: path.total_ns,
        self_ns: time.wall_ns,
        on_cpu_ns: time.on_cpu_ns,
        blocked_ns: time.blocked_ns,
        preempted_ns: time.preempted_ns,
        waiting_ns: path.polling.map(|polling| polling.waiting_ns),
        polls: path.polling.map(|polling| polling.polls),
        p50_ns: path.p50_ns,
        p99_ns: path.p99_ns,
        min_ns: path.min_ns,
        max_ns: path.max_ns,
        kind: largest_kind(facts, span),
        asserted: profile.sites[path.site].asserted,
        confidence: class.confidence,
        kinds: verdict::kinds_of_self(facts, span).nanoseconds(),
        waits: waits(facts, span),
        wakeup_ns: path.wakeup_ns.min(time.blocked_ns),
        flops: path.work.map(|work| work.flops).filter(|&flops| flops > 0.0),
        bytes: path.work.map(|work| work.bytes).filter(|&bytes| bytes > 0.0),
        evidence: facts.classes.regions[span].iter().flat_map(wording::region_evidence).collect(),
        leaves: facts.leaves.to_model([span], time.on_cpu_ns),
        open: profile.is_open(span),
    }
}

/// What a path's waits were for, the most first; each cause once.
fn waits(facts: &Facts<'_>, span: SpanIdx) -> Vec<Wait> {
    let mut by_cause: Vec<Wait> = Vec::new();
    for share in &facts.ledger.waits[span] {
        let cause = share.cause.map_or("preemption", Cause::words);
        match by_cause.iter_mut().find(|it| it.cause == cause) {
            Some(wait) => wait.share += share.part,
            None => by_cause.push(Wait { cause: cause.to_owned(), ns: 0, share: share.part }),
        }
    }
    by_cause.sort_by(|a, b| b.share.total_cmp(&a.share));
    let blocked_ns = facts.times[span].blocked_ns;
    for wait in &mut by_cause {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a time"
        )]
        let ns = (blocked_ns as f64 * wait.share.min(1.0)) as u64;
        wait.ns = ns;
    }
    by_cause
}

/// The kind that most of a path's self time has; that of its on-CPU time where it has none.
fn largest_kind(facts: &Facts<'_>, span: SpanIdx) -> Kind {
    let kinds = verdict::kinds_of_self(facts, span);
    let on_cpu = facts.classes.spans[span].on_cpu;
    let most = Kind::ALL.into_iter().map(|kind| kinds.ns(kind)).max().unwrap_or(0);
    if kinds.ns(on_cpu) == most {
        return on_cpu;
    }
    Kind::ALL.into_iter().find(|&kind| kinds.ns(kind) == most).unwrap_or(on_cpu)
}

/// The machine of the context; what the profile itself knows of capabilities fills in where the context knows none.
fn machine(profile: &Profile, context: &Context) -> MachineView {
    let mut res = context.machine.clone();
    if res.capabilities.is_null() && !profile.capabilities.is_empty() {
        let entry = |capability: &crate::profile::Capability| {
            let reason = (!capability.reason.is_empty()).then(|| capability.reason.clone());
            (
                capability.name.clone(),
                serde_json::json!({ "available": capability.is_available, "reason": reason }),
            )
        };
        res.capabilities =
            profile.capabilities.iter().map(entry).collect::<serde_json::Map<_, _>>().into();
    }
    for empty in [&mut res.ceilings, &mut res.capabilities] {
        if empty.is_null() {
            *empty = serde_json::Value::Object(serde_json::Map::new());
        }
    }
    res
}

/// The weakest source among the threads with spans.
fn on_cpu_source(profile: &Profile) -> &'static str {
    let sources = || {
        profile
            .program_threads()
            .filter(|(_, thread)| !thread.spans.is_empty())
            .map(|(_, it)| it.source)
    };
    if sources().any(|source| source == OffCpuSource::Unknown) || sources().next().is_none() {
        "none"
    } else if sources().any(|source| source == OffCpuSource::ThreadClock) {
        "thread clock"
    } else {
        "context switches"
    }
}

/// Calls times the cost of one, the time inside the handler of samples, and the recorder's own CPU time, as a part of the
/// CPU time that the threads with spans had.
fn overhead(profile: &Profile, analysis: &Analysis) -> Overhead {
    let in_spans: u64 = profile
        .program_threads()
        .flat_map(|(_, it)| it.spans.clone())
        .map(|at| analysis.times.values()[at].on_cpu_ns)
        .sum();
    let known: u64 =
        profile.program_threads().filter_map(|(_, thread)| Some(thread.clock?.cpu_ns)).sum();
    let calls = |thread: &crate::profile::Thread| {
        profile.spans.values()[thread.spans.clone()]
            .iter()
            .map(|path| path.calls)
            .fold(0, u64::saturating_add)
    };
    let calls =
        profile.program_threads().map(|(_, thread)| calls(thread)).fold(0, u64::saturating_add);
    let sampling_ns = profile.sampling.as_ref().map_or(0, |it| it.probing.handler_ns);
    let cpu_ns = in_spans.max(known).saturating_add(profile.recorder_cpu_ns);
    let share = profile.span_cost_ns.filter(|_| cpu_ns > 0).map(|cost| {
        let spans = cost * calls as f64 / cpu_ns as f64;
        (spans + ratio(profile.recorder_cpu_ns.saturating_add(sampling_ns), cpu_ns)).min(1.0)
    });
    Overhead {
        share,
        span_ns: profile.span_cost_ns,
        recorder_ns: profile.recorder_cpu_ns,
        sampling_ns,
    }
}
