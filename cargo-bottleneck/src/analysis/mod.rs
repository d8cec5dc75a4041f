//! From a profile to a judgement: what the time of every path went to, what limits it, and what to do.
//!
//! Pure and deterministic: a profile and a [`Context`] in, an [`Analysis`] out; no clock, no I/O. The steps, each in its
//! module: [`attribution`] (on the CPU or waiting), [`in_flight`] (what time counts), [`roofline`] and [`classify`] (which
//! kind), `finding` (where), [`verdict`] and `phases` (the judgement), [`gain`] (what it is worth), [`summary`] (as
//! reports hold it). Samples, device records and causes of waits will enter in `classify`, blame between threads in
//! `in_flight`.

pub mod attribution;
pub mod ceilings;
pub mod classify;
mod finding;
mod frames;
mod from_machine;
pub mod gain;
pub mod identity;
pub mod in_flight;
mod interference;
pub mod kinds;
mod phases;
pub mod roofline;
pub mod summary;
pub mod verdict;
pub mod wording;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use attribution::SelfTime;
pub use ceilings::{Ceilings, Peak, Range, working_threads};
pub use summary::summarize;

use crate::kind::Kind;
use crate::profile::{Column, OffCpuSource, Profile, SpanIdx};
use crate::report::model::{Exit, Finding, MachineView, Phase, Verdict};

use classify::Classification;
use finding::Facts;
use identity::Label;
use in_flight::InFlight;
use kinds::ByKind;
use roofline::Subkind;

/// What the command knows and the profile does not.
#[derive(Clone, Debug)]
pub struct Context {
    /// Name of the program.
    pub program: String,
    /// Its command line.
    pub command: Vec<String>,
    /// How it ended.
    pub exit: Exit,
    /// The machine that it ran on.
    pub machine: MachineView,
    /// The ceilings of that machine, or why there are none.
    pub ceilings: Result<Ceilings, String>,
    /// What went wrong before: the warnings of the loader, of the build, of the machine.
    pub warnings: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Self time of every path, divided.
    pub times: Column<SpanIdx, SelfTime>,
    /// Kinds of every path, and the regions of those that declare work.
    pub classes: Classification,
    /// What every path is called.
    pub labels: Column<SpanIdx, Label>,
    /// The time that counts.
    pub in_flight: InFlight,
    /// Thread time in flight by kind.
    pub thread_kinds: ByKind,
    /// Wall time in flight by kind.
    pub kinds: ByKind,
    /// The judgement.
    pub verdict: Verdict,
    /// Where the time goes, the largest first.
    pub findings: Vec<Finding>,
    /// Judgements by key.
    pub phases: Vec<Phase>,
    /// What was no problem.
    pub checked: Vec<String>,
    /// What was not looked at.
    pub skipped: Vec<String>,
    /// What the reader should know.
    pub warnings: Vec<String>,
    /// Other programs are what kept threads from running.
    pub disturbed: bool,
}

/// Findings below this share of the time in flight are not listed.
const LEAST_SHARE: f64 = 0.01;
/// At most so many findings are listed.
const MOST_FINDINGS: usize = 10;

/// Analyzes a profile. Linear in its paths, but for a logarithm.
pub fn analyze(profile: &Profile, context: &Context) -> Analysis {
    let times = attribution::attribute(profile);
    let in_flight = InFlight::of(profile, &times);
    let ceilings = context.ceilings.as_ref();
    let disturbed = interference::is_by_other_programs(profile, &times);
    let lowered = ceilings.ok().filter(|_| disturbed).map(Ceilings::of_a_disturbed_run);
    let classes = classify::classify(profile, &times, lowered.as_ref().or(ceilings.ok()));
    let labels = identity::label(profile);
    let facts = Facts {
        profile,
        disturbed,
        times: &times,
        classes: &classes,
        labels: &labels,
        no_ceilings: ceilings.err().map(String::as_str),
        is_exact: in_flight.is_exact(),
        has_requests: in_flight.has_requests,
    };
    let scope: Vec<SpanIdx> =
        profile.spans.indices().filter(|&span| in_flight.counts[span]).collect();
    let thread_kinds = verdict::kinds_of(&facts, &scope);
    let kinds = thread_kinds.scaled_to(in_flight.wall_ns);
    let verdict = verdict::judge(&facts, &scope, &in_flight.of_what());
    let found = finding::find(&facts, &scope);
    let says_something = |finding: &&finding::Finding| {
        finding.kind != Kind::Other && finding.subkind != Some(Subkind::Interference)
    };
    let listed = found.iter().filter(says_something).filter(|finding| finding.share >= LEAST_SHARE);
    let findings = listed.take(MOST_FINDINGS).map(|finding| finding.to_model(&facts)).collect();
    let (checked, skipped) = looked_at(profile, &times, &scope, thread_kinds);
    let phases = phases::phases(&facts, &in_flight);
    let mut warnings = warnings(profile, context, &in_flight);
    warnings.extend(verdict::interference(&facts, &scope));
    Analysis {
        times,
        classes,
        labels,
        in_flight,
        thread_kinds,
        kinds,
        verdict,
        findings,
        phases,
        checked,
        skipped,
        warnings,
        disturbed,
    }
}

/// What was found to be no problem, and what was not looked at.
fn looked_at(
    profile: &Profile,
    times: &Column<SpanIdx, SelfTime>,
    scope: &[SpanIdx],
    kinds: ByKind,
) -> (Vec<String>, Vec<String>) {
    let is_small = |ns: u64| kinds::ratio(ns, kinds.total()) < LEAST_SHARE;
    let sum =
        |part: fn(&SelfTime) -> u64| scope.iter().map(|&span| part(&times[span])).sum::<u64>();
    let mut checked = Vec::new();
    let mut skipped = Vec::new();
    let knows_waits =
        profile.program_threads().any(|(_, thread)| thread.source != OffCpuSource::Unknown);
    if knows_waits && kinds.total() > 0 {
        // A thread's CPU clock does not tell preemption from waits.
        let knows_preemption =
            profile.program_threads().all(|(_, thread)| thread.source == OffCpuSource::Switches);
        if knows_preemption && is_small(sum(|time| time.preempted_ns)) {
            checked.push("preemption".to_owned());
        }
        if is_small(sum(|time| time.blocked_ns)) {
            checked.push("waits".to_owned());
        } else {
            skipped.push("causes of waits (recorded in amount only)".to_owned());
        }
    }
    skipped.push("code without spans (not sampled)".to_owned());
    (checked, skipped)
}

fn warnings(profile: &Profile, context: &Context, in_flight: &InFlight) -> Vec<String> {
    let mut res = context.warnings.clone();
    if !in_flight.is_exact() {
        res.push(format!(
            "{} threads have spans, and blame between threads is not sampled: shares are of thread time, `in_flight_ns` is the \
             time of the busiest thread, and no confidence is above moderate",
            in_flight.threads
        ));
    }
    let is_async_request = |span: SpanIdx| {
        let path = &profile.spans[span];
        path.polling.is_some() && profile.sites[path.site].is_request
    };
    if profile.spans.indices().any(is_async_request) {
        res.push("requests are asynchronous: time between their polls is in `waiting_ns` and not in flight".to_owned());
    }
    if let Ok(ceilings) = &context.ceilings {
        let (measured, working) = (ceilings.threads.unwrap_or(1), working_threads(profile));
        if measured != working && profile.spans.values().iter().any(|path| path.work.is_some()) {
            res.push(format!(
                "the ceilings were measured with {measured} threads, and {working} declare work: shares of a ceiling are \
                 those of one thread's equal part"
            ));
        }
    }
    for (_, thread) in profile.program_threads() {
        let name = identity::thread_name(thread);
        let why = thread
            .refusal
            .map(|refusal| format!(" ({} gave errno {})", refusal.call, refusal.errno));
        let why = why.unwrap_or_default();
        match thread.source {
            OffCpuSource::Switches => {}
            OffCpuSource::ThreadClock => res.push(format!(
                "thread `{name}`: no context-switch records{why}: waits come from the thread's CPU clock around longer \
                 spans, and count preemption with them; `cargo bottleneck doctor` says what would help"
            )),
            OffCpuSource::Unknown => res.push(format!(
                "thread `{name}`: off-CPU time is not known{why}: all of its time counts as on the CPU; \
                 `cargo bottleneck doctor` says what would help"
            )),
        }
    }
    dedup(&mut res);
    res
}

/// Keeps the first of equal warnings: the members of a pool have one name.
fn dedup(warnings: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
}
