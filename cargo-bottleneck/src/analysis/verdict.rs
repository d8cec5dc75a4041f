//! The judgement of a scope (the program, or a phase): the largest kind, or why there is none.
//!
//! [`RULES`] is the table; the first row that holds decides. What no evidence explains is `other`, and a kind is named only
//! where it exceeds that; where the unexplained rest could still make another kind the largest, the verdict is weak.

use crate::kind::Kind;
use crate::number::percent;
use crate::profile::{OffCpuSource, SpanIdx};
use crate::report::model::{Confidence, Verdict, VerdictKind};

use super::blame::Part;
use super::cause::Cause;
use super::device::unseen;
use super::facts::Facts;
use super::finding::{Finding, find};
use super::kinds::{ByKind, ratio};
use super::ledger::{Basis, Ledger, Row, kinds_of};
use super::subkind::Subkind;
use super::thresholds::{FEW_MOMENTS, MIXED, MOSTLY_QUIET, WIDEST_MARGIN};
use super::wording;

/// The shares that a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// Spans were recorded at all.
    pub has_spans: bool,
    /// Sites are marked as requests.
    pub has_requests: bool,
    /// There is time in flight.
    pub has_time: bool,
    /// Part of the run in which nothing was asked of the program, and it did nothing.
    pub quiet: f64,
    /// Kinds within so much of each other cannot be told apart: the interval of sampled shares, at least five points.
    pub margin: f64,
    /// How far the largest kind must exceed what nothing explains.
    pub ahead: f64,
    /// Share of the largest kind that says something.
    pub first: f64,
    /// Share of the next one.
    pub second: f64,
    /// Share that nothing explains.
    pub other: f64,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing was recorded.
    Unrecorded,
    /// No request was in flight.
    Idle,
    /// Hardly ever was one.
    Unlimited,
    /// Spans were recorded, and no time in them.
    Untimed,
    /// Most of the time is unexplained.
    Unexplained,
    /// Two kinds are about as large.
    Mixed,
    /// The largest kind, which the unexplained rest could overturn.
    Leads,
    /// The largest kind.
    Largest,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    when: fn(&Situation) -> bool,
    says: Decision,
}

/// The rules, from the first to try to the last; the last always holds.
pub static RULES: &[Rule] = &[
    Rule { when: |s| !s.has_spans, says: Decision::Unrecorded },
    Rule { when: |s| !s.has_time && s.has_requests, says: Decision::Idle },
    Rule { when: |s| !s.has_time, says: Decision::Untimed },
    Rule { when: |s| s.has_requests && s.quiet >= MOSTLY_QUIET, says: Decision::Unlimited },
    Rule { when: |s| s.other > s.first - s.ahead, says: Decision::Unexplained },
    Rule { when: |s| s.first - s.second < s.margin, says: Decision::Mixed },
    Rule { when: |s| s.second + s.other > s.first, says: Decision::Leads },
    Rule { when: |_| true, says: Decision::Largest },
];

/// Applies the table.
pub fn decide(situation: &Situation) -> Decision {
    RULES.iter().find(|rule| (rule.when)(situation)).map_or(Decision::Unexplained, |rule| rule.says)
}

/// The kinds of one path's self time.
pub(super) fn kinds_of_self(facts: &Facts<'_>, span: SpanIdx) -> ByKind {
    let (time, class) = (facts.times[span], facts.classes.spans[span]);
    let mut res = ByKind::default();
    for (it, ns) in class.mixture.divide(time.on_cpu_ns) {
        res.add(it.kind, ns);
    }
    res.add(Kind::Scheduling, time.preempted_ns);
    let waits = &facts.ledger.waits[span];
    let mut left = time.blocked_ns;
    for wait in waits {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a time"
        )]
        let ns = ((time.blocked_ns as f64 * wait.part).round() as u64).min(left);
        res.add(wait.kind, ns);
        left -= ns;
    }
    // Rounding, or a wait that no snapshot saw.
    let rest =
        waits.iter().max_by(|a, b| a.part.total_cmp(&b.part)).map_or(class.waits, |it| it.kind);
    res.add(rest, left);
    res
}

/// Time in `scope` that other programs took from it, in ns.
fn taken_ns(scope: &[Row]) -> u64 {
    scope
        .iter()
        .filter(|row| row.blamed.subkind == Some(Subkind::Interference))
        .map(|row| row.ns)
        .sum()
}

/// A sentence on what other programs took, where it is worth one.
pub(super) fn interference(scope: &[Row]) -> Option<String> {
    let share = ratio(taken_ns(scope), kinds_of(scope.iter()).total());
    (share >= MIXED).then(|| {
        format!(
            "other programs had the CPUs for {} of the time in flight: the verdict is about the rest, and rates may be lower \
             than on a machine that does nothing else",
            percent(share)
        )
    })
}

/// Judges the time in `scope`, that of the program or a part of it; `of` says what its shares are shares of. Time that
/// other programs took is in the kinds of a report, but not in its verdict: nothing in this program would win it back.
pub(super) fn judge(facts: &Facts<'_>, scope: &[Row], of_program: bool, of: &str) -> Verdict {
    let mut kinds = kinds_of(scope.iter());
    let taken_ns = taken_ns(scope);
    let left =
        if ratio(taken_ns, kinds.total()) < MIXED { "" } else { " that other programs left" };
    let of = &format!("{of}{left}");
    kinds.remove(Kind::Scheduling, taken_ns);
    let mut findings = find(facts, scope.iter());
    findings.retain(|finding| finding.subkind != Some(Subkind::Interference));
    let ranked = kinds.ranked();
    let (first, second) = (ranked[0].0, ranked[1].0);
    let situation = Situation {
        has_requests: facts.has_requests,
        has_spans: !facts.profile.spans.is_empty(),
        has_time: kinds.total() > 0,
        quiet: if of_program { facts.ledger.quiet } else { 0.0 },
        margin: facts.ledger.interval.clamp(MIXED, WIDEST_MARGIN),
        // Threads that spin cannot be told from threads that work where no instruction was sampled: unexplained time of
        // several threads weighs more there.
        ahead: if facts.ledger.basis == Basis::Sampled && facts.profile.samples.is_none() {
            WIDEST_MARGIN
        } else {
            MIXED
        },
        first: kinds.share(first),
        second: kinds.share(second),
        other: kinds.share(Kind::Other),
    };
    let top_of = |kind: Kind| findings.iter().find(|finding| finding.kind == kind);
    let mut verdict = Verdict {
        kind: VerdictKind::Inconclusive,
        subkind: None,
        share: situation.first,
        of: of.clone(),
        confidence: Confidence::Weak,
        span: None,
        site: None,
        headline: String::new(),
        next: String::new(),
        gain: None,
        bound: None,
        evidence: Vec::new(),
        not_seen: Vec::new(),
    };
    match decide(&situation) {
        decision @ (Decision::Unrecorded
        | Decision::Idle
        | Decision::Unlimited
        | Decision::Untimed) => verdict.say_nothing_was_limited(decision, facts.ledger),
        Decision::Unexplained => {
            verdict.share = situation.other.max(situation.first);
            if let Some(unexplained) = top_of(Kind::Other) {
                verdict.start_at(facts, unexplained);
                verdict.headline = unexplained_headline(facts, unexplained, situation.other, of);
            }
        }
        Decision::Mixed => {
            verdict.kind = VerdictKind::Mixed;
            verdict.headline = format!(
                "MIXED: {} {}, {} {} of the {of}",
                first.word(),
                percent(situation.first),
                second.word(),
                percent(situation.second)
            );
            if let Some(top) = top_of(first) {
                verdict.start_at(facts, top);
            }
            if let Some(other_half) = top_of(second) {
                verdict.evidence.extend(other_half.evidence(facts));
            }
        }
        decision @ (Decision::Leads | Decision::Largest) => {
            verdict.kind = verdict_kind(first);
            if let Some(top) = top_of(first) {
                verdict.start_at(facts, top);
                let cause = wording::advice(first, top.subkind).map_or("", |advice| advice.cause);
                verdict.headline = format!(
                    "{}-bound: {} of the {of} {cause}",
                    first.word().to_uppercase(),
                    percent(situation.first)
                );
            }
            if decision == Decision::Leads {
                verdict.confidence = Confidence::Weak;
                verdict.not_seen.push(format!(
                    "the kind of {} of the time, which could make another kind the largest",
                    percent(situation.other)
                ));
            }
        }
    }
    verdict.confidence = verdict.confidence.min(most_confidence(facts, scope, verdict.kind));
    verdict.not_seen.extend(not_seen(facts, &findings, verdict.kind));
    verdict
}

impl Verdict {
    /// Where there is hardly any time to judge.
    fn say_nothing_was_limited(&mut self, decision: Decision, ledger: &Ledger) {
        let (headline, next) = match decision {
            Decision::Idle => {
                ("NO BOTTLENECK: no request was in flight", "send requests while recording")
            }
            Decision::Unlimited => {
                ("", "send more requests while recording; what limits the few that came is below")
            }
            Decision::Untimed => (
                "INCONCLUSIVE: no time was recorded in spans",
                "let the program run longer while recording",
            ),
            _ => (
                "INCONCLUSIVE: no span was recorded",
                "put #[bottleneck] on the functions that do the work, and run again",
            ),
        };
        headline.clone_into(&mut self.headline);
        next.clone_into(&mut self.next);
        if decision == Decision::Unlimited {
            let idle = ratio(ledger.idle_ns, ledger.idle_ns + ledger.in_flight_ns);
            self.headline = format!(
                "NOT LIMITED at this load: no request was in flight {} of the time",
                percent(idle)
            );
        }
        if matches!(decision, Decision::Idle | Decision::Unlimited) {
            self.kind = VerdictKind::None;
            self.confidence = Confidence::Strong;
        }
    }

    fn start_at(&mut self, facts: &Facts<'_>, finding: &Finding) {
        let label = &facts.labels[finding.lead];
        let gain = finding.gain(facts);
        self.subkind = finding.subkind.map(|subkind| subkind.word().to_owned());
        self.confidence = finding.confidence(facts);
        self.span = Some(label.id.clone());
        self.site = Some(label.site.clone()).filter(|site| !site.is_empty());
        self.next = finding.next(facts);
        (self.gain, self.bound) = (gain.gain, gain.bound);
        self.evidence = finding.evidence(facts);
        self.not_seen = finding.not_seen(facts);
    }
}

fn verdict_kind(kind: Kind) -> VerdictKind {
    match kind {
        Kind::Memory => VerdictKind::Memory,
        Kind::Compute => VerdictKind::Compute,
        Kind::Io => VerdictKind::Io,
        Kind::Scheduling => VerdictKind::Scheduling,
        Kind::Other => VerdictKind::Inconclusive,
    }
}

fn unexplained_headline(facts: &Facts<'_>, finding: &Finding, other: f64, of: &str) -> String {
    let what = match (finding.part, finding.cause) {
        (Part::Waits, _) if finding.subkind == Some(Subkind::UnseenDevice) => {
            "waits that may be for a device, of which nothing was recorded".to_owned()
        }
        (Part::OnCpu | Part::Helpers, _) if finding.subkind == Some(Subkind::UnseenDevice) => {
            match unseen::reason(facts.profile) {
                Some(_) => "in the driver of a device, of which nothing was recorded".to_owned(),
                None => "in the driver of a device".to_owned(),
            }
        }
        (
            Part::Waits,
            Some(cause @ (Cause::Lock | Cause::Thread | Cause::Input | Cause::Listener)),
        ) => {
            format!("waits for {}", cause.words())
        }
        (Part::Waits, _) => "waits of unknown cause".to_owned(),
        (Part::Device, _) if !facts.records_are_whole() => {
            "on a device whose times cannot be relied on".to_owned()
        }
        (Part::Device, _) => "on a device without evidence of what limits it".to_owned(),
        _ => "on the CPU without evidence of what limits it".to_owned(),
    };
    format!(
        "INCONCLUSIVE: {} of the {of} is unexplained, most of it {what}: {}",
        percent(other),
        finding.in_words(facts)
    )
}

/// How sure a verdict can be at most.
fn most_confidence(facts: &Facts<'_>, scope: &[Row], kind: VerdictKind) -> Confidence {
    if kind == VerdictKind::None {
        return Confidence::Strong;
    }
    if facts.profile.is_uncalibrated {
        return Confidence::Weak;
    }
    let is_by_records = |row: &Row| {
        let thread = facts.profile.spans[row.blamed.span].thread;
        facts.profile.threads[thread].source == OffCpuSource::Switches
    };
    let ledger = facts.ledger;
    if ledger.basis == Basis::Sampled && ledger.n < FEW_MOMENTS {
        return Confidence::Weak;
    }
    // Without switch records on-CPU time is a difference of clocks, or a guess.
    let is_sure = ledger.basis != Basis::ThreadTime
        && ledger.interval <= WIDEST_MARGIN
        && scope.iter().all(is_by_records);
    if is_sure { Confidence::Strong } else { Confidence::Moderate }
}

fn not_seen(facts: &Facts<'_>, findings: &[Finding], kind: VerdictKind) -> Vec<String> {
    let mut res = Vec::new();
    if matches!(kind, VerdictKind::Memory | VerdictKind::Compute | VerdictKind::Mixed) {
        res.push("cache misses, instructions per cycle: hardware counters are not read".to_owned());
    }
    let waits: f64 = findings
        .iter()
        .filter(|finding| finding.kind == Kind::Other && finding.part == Part::Waits)
        .map(|it| it.share)
        .sum();
    if waits >= MIXED && kind != VerdictKind::Inconclusive {
        res.push(format!("the cause of waits ({} of the time)", percent(waits)));
    }
    if facts.ledger.basis == Basis::ThreadTime {
        let what = match facts.devices {
            Some(_) => "what the host did while devices had nothing to do",
            None => "which thread held up which",
        };
        res.push(format!("{what}: there are no snapshots of what the threads did"));
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: f64, second: f64, other: f64, expected: Decision) {
        let situation = Situation {
            has_spans: true,
            has_requests: false,
            has_time: true,
            quiet: 0.5,
            margin: MIXED,
            ahead: MIXED,
            first,
            second,
            other,
        };
        assert_eq!(decide(&situation), expected);
    }

    #[test]
    fn every_row_has_its_case() {
        let nothing = Situation {
            has_spans: false,
            has_requests: true,
            has_time: false,
            quiet: 1.0,
            margin: MIXED,
            ahead: MIXED,
            first: 0.0,
            second: 0.0,
            other: 0.0,
        };
        assert_eq!(decide(&nothing), Decision::Unrecorded);
        assert_eq!(decide(&Situation { has_spans: true, ..nothing }), Decision::Idle);
        let untimed = Situation { has_spans: true, has_requests: false, ..nothing };
        assert_eq!(decide(&untimed), Decision::Untimed);
        let idle = Situation { has_time: true, has_requests: true, first: 1.0, ..nothing };
        assert_eq!(decide(&Situation { has_spans: true, ..idle }), Decision::Unlimited);
        check(0.0, 0.0, 1.0, Decision::Unexplained);
        check(0.48, 0.05, 0.47, Decision::Unexplained);
        check(0.47, 0.44, 0.09, Decision::Mixed);
        check(0.45, 0.35, 0.2, Decision::Leads);
        check(0.7, 0.2, 0.1, Decision::Largest);
        assert_eq!(RULES.len(), 8);
    }
}
